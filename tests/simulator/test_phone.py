"""Phones and a complete service in one process: every call that a phone has, and what it survives."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import pytest

from hushbell.core.client.registration import Options
from hushbell.crypto import secp256k1
from hushbell.errors import TransportError
from hushbell.ports.transport import ReceivedMessage
from hushbell.runtime.clock import system_random
from hushbell.simulator.phone import NoAnswer, Phone
from hushbell.transports.bus import Bus, BusTransport
from hushbell.types import AccessToken, DeviceToken, Envelope
from hushbell.wire import RegistrationError, ReportError

DEVICE_TOKEN = DeviceToken("0123456789abcdef" * 4)

NewPhone = Callable[..., Awaitable[Phone]]


class Unreliable:
    """A transport that fails, or swallows what it was given, as often as it is told; keeps what was published."""

    def __init__(self, inner: BusTransport, *, failures: int = 0, swallowed_answers: int = 0) -> None:
        self._inner = inner
        self._failures = failures
        self._swallowed = swallowed_answers
        self.published: list[Envelope] = []

    async def receive(self, limit: int) -> Sequence[ReceivedMessage]:
        while came := await self._inner.receive(limit):
            if self._swallowed == 0:
                return came
            self._swallowed -= 1
        return []

    async def publish(self, envelopes: Sequence[Envelope]) -> None:
        self.published.extend(envelopes)
        if self._failures:
            self._failures -= 1
            raise TransportError("down")
        await self._inner.publish(envelopes)

    async def close(self) -> None:
        await self._inner.close()


@pytest.fixture
async def new_phone(bus: Bus) -> AsyncIterator[NewPhone]:
    async with AsyncExitStack() as stack:

        async def make(**parts: Any) -> Phone:
            phone = Phone(
                parts.pop("transport", None) or bus.connect(),
                identity=parts.pop("identity", None) or secp256k1.key_pair(system_random),
                **parts,
            )
            return await stack.enter_async_context(phone)

        yield make


async def test_a_registered_phone_is_found_and_rings(served: Any, new_phone: NewPhone) -> None:
    alice, bob = await new_phone(), await new_phone()

    answer = await alice.register(served.identity.public, DEVICE_TOKEN)
    infos = await bob.query(alice.identity.public)
    [report] = await bob.notify(infos, message_id=b"m" * 32, chat_id="chat", message=b"sealed")

    assert answer.success
    assert report.success
    await served.provider.delivered.wait()
    [push] = served.provider.pushes
    assert push.targets == (DEVICE_TOKEN,)


async def test_contacts_only_lets_a_contact_ring_and_shows_others_nothing(served: Any, new_phone: NewPhone) -> None:
    alice, bob, mallory = await new_phone(), await new_phone(), await new_phone()
    options = Options(contacts_only=True, contacts=(bob.identity.public,))

    await alice.register(served.identity.public, DEVICE_TOKEN, options=options)

    assert len(await bob.query(alice.identity.public)) == 1
    assert await mallory.query(alice.identity.public) == ()


async def test_a_token_from_before_a_contact_was_removed_is_refused(served: Any, new_phone: NewPhone) -> None:
    alice, bob, carol = await new_phone(), await new_phone(), await new_phone()
    both = Options(contacts=(bob.identity.public, carol.identity.public))
    await alice.register(served.identity.public, DEVICE_TOKEN, options=both)
    stale = await bob.query(alice.identity.public)

    await alice.register(served.identity.public, DEVICE_TOKEN, options=replace(both, contacts=both.contacts[:1]))

    [report] = await bob.notify(stale, message_id=b"m" * 32, chat_id="chat")
    fresh = await bob.query(alice.identity.public)
    [again] = await bob.notify(fresh, message_id=b"m" * 32, chat_id="chat")
    assert (report.success, report.error) == (False, ReportError.WRONG_TOKEN)
    assert again.success


async def test_a_guessed_token_is_refused(served: Any, new_phone: NewPhone) -> None:
    alice, mallory = await new_phone(), await new_phone()
    await alice.register(served.identity.public, DEVICE_TOKEN)
    [info] = await mallory.query(alice.identity.public)
    guessed = replace(info, access_token=AccessToken("b6ae4fde-bb65-11ea-b3de-0242ac130004"))

    [report] = await mallory.notify([guessed], message_id=b"m" * 32, chat_id="chat")

    assert report.error == ReportError.WRONG_TOKEN


async def test_a_phone_that_forgot_its_version_is_refused(served: Any, new_phone: NewPhone) -> None:
    alice = await new_phone()
    await alice.register(served.identity.public, DEVICE_TOKEN)
    forgetful = await new_phone(identity=alice.identity, installation_id=alice.installation_id)

    answer = await forgetful.register(served.identity.public, DEVICE_TOKEN)

    assert answer.error == RegistrationError.VERSION_MISMATCH


async def test_after_unregistering_nobody_answers_for_the_phone(served: Any, new_phone: NewPhone) -> None:
    alice, bob = await new_phone(), await new_phone(patience=0.2)
    await alice.register(served.identity.public, DEVICE_TOKEN)

    await alice.unregister(served.identity.public)

    with pytest.raises(NoAnswer):
        await bob.query(alice.identity.public)


async def test_what_a_failing_transport_did_not_take_is_sent_again(served: Any, new_phone: NewPhone, bus: Bus) -> None:
    transport = Unreliable(bus.connect(), failures=2)
    alice = await new_phone(transport=transport, resend=0.01)

    answer = await alice.register(served.identity.public, DEVICE_TOKEN)

    assert answer.success
    assert len(set(transport.published)) == 3
    assert alice.resent == 0


async def test_a_lost_answer_is_given_again_and_the_device_rings_once(
    served: Any, new_phone: NewPhone, bus: Bus
) -> None:
    alice, bob = await new_phone(), await new_phone()
    await alice.register(served.identity.public, DEVICE_TOKEN)
    infos = await bob.query(alice.identity.public)
    transport = Unreliable(bus.connect(), swallowed_answers=1)
    forgetful = await new_phone(transport=transport, identity=bob.identity, resend=0.05)

    [report] = await forgetful.notify(infos, message_id=b"m" * 32, chat_id="chat")

    assert report.success
    assert len(transport.published) >= 2
    assert len(set(transport.published)) == len(transport.published), "a network relays no envelope twice"
    assert len(served.provider.pushes) == 1
