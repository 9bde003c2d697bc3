"""Our phone against the unmodified server of status-go: register, register again, query, ring, be refused."""

import secrets
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hushbell.core.client.registration import Options
from hushbell.crypto.hashes import contact_id, hash_chat_id, hash_public_key
from hushbell.simulator.phone import NoAnswer, Phone
from hushbell.testing.gorush import MockGorush
from hushbell.transports.socket import SocketBusServer, SocketBusTransport
from hushbell.types import AccessToken, DeviceToken, InstallationId, KeyPair, Nanos, NotificationType, TokenType
from hushbell.wire import RegistrationError, ReportError

pytestmark = pytest.mark.interop

DEVICE_TOKEN = DeviceToken("0123456789abcdef" * 4)
OTHER_DEVICE_TOKEN = DeviceToken("f" * 64)
CHAT = "0x" + "ab" * 32
PATIENCE = 30.0  # seconds for one answer of a peer on a busy machine

NewPhone = Callable[..., Awaitable[Phone]]


@pytest.fixture
async def bus(tmp_path: Path) -> AsyncIterator[Path]:
    path = tmp_path / "bus.sock"
    server = await SocketBusServer.listen(path)
    yield path
    await server.close()


@pytest.fixture
async def server(start_peer: Any, bus: Path, gorush: MockGorush, new_key: Callable[[], KeyPair]) -> KeyPair:
    key = new_key()
    await start_peer("server", bus, "-gorush", gorush.url, key=key)
    return key


@pytest.fixture
async def new_phone(bus: Path, new_key: Callable[[], KeyPair]) -> AsyncIterator[NewPhone]:
    async with AsyncExitStack() as stack:

        async def make(
            key: KeyPair | None = None, installation_id: InstallationId | None = None, patience: float = PATIENCE
        ) -> Phone:
            phone = Phone(
                await SocketBusTransport.connect(bus),
                identity=key or new_key(),
                clock=lambda: Nanos(time.time_ns()),
                random=secrets.token_bytes,
                installation_id=installation_id,
                patience=patience,
                resend=PATIENCE,  # status-go is silent to a request that comes twice
            )
            return await stack.enter_async_context(phone)

        yield make


async def test_our_phone_registers_and_rings_another(server: KeyPair, new_phone: NewPhone, gorush: MockGorush) -> None:
    alice, bob = await new_phone(), await new_phone()

    registered = await alice.register(server.public, DEVICE_TOKEN, apn_topic="im.status.ethereum")
    [info] = await bob.query(alice.identity.public)
    [report] = await bob.notify([info], message_id=secrets.token_bytes(32), chat_id=CHAT)

    assert registered.success
    assert (info.server, info.installation_id) == (server.public, alice.installation_id)
    assert report.success
    [posted] = gorush.posted[0].notifications
    assert posted["tokens"] == [DEVICE_TOKEN]
    assert posted["platform"] == TokenType.APN
    assert posted["topic"] == "im.status.ethereum"
    assert posted["data"]["chatId"] == "0x" + hash_chat_id(CHAT).hex()
    assert posted["data"]["publicKey"] == "0x" + hash_public_key(alice.identity.public).hex()


async def test_our_phone_registers_again_and_only_the_new_device_token_rings(
    server: KeyPair, new_phone: NewPhone, gorush: MockGorush
) -> None:
    alice, bob = await new_phone(), await new_phone()
    await alice.register(server.public, DEVICE_TOKEN)

    again = await alice.register(server.public, OTHER_DEVICE_TOKEN, token_type=TokenType.FIREBASE)
    [info] = await bob.query(alice.identity.public)
    await bob.notify([info], message_id=secrets.token_bytes(32), chat_id=CHAT, type=NotificationType.MENTION)
    await bob.notify([info], message_id=secrets.token_bytes(32), chat_id=CHAT)

    assert again.success
    assert info.version == 2
    # the mention is filtered: alice joined no chat
    [posted] = gorush.posted[0].notifications
    assert (posted["tokens"], posted["platform"]) == ([OTHER_DEVICE_TOKEN], TokenType.FIREBASE)


async def test_two_devices_ring_with_one_request(server: KeyPair, new_phone: NewPhone, gorush: MockGorush) -> None:
    phone = await new_phone()
    tablet = await new_phone(key=phone.identity)
    bob = await new_phone()
    await phone.register(server.public, DEVICE_TOKEN)
    await tablet.register(server.public, OTHER_DEVICE_TOKEN)

    reports = await bob.notify(phone.identity.public, message_id=secrets.token_bytes(32), chat_id=CHAT)

    assert [report.success for report in reports] == [True, True]
    tokens = {token for posted in gorush.posted[0].notifications for token in posted["tokens"]}
    assert tokens == {DEVICE_TOKEN, OTHER_DEVICE_TOKEN}


async def test_contacts_only_shows_the_token_to_contacts(server: KeyPair, new_phone: NewPhone) -> None:
    alice, bob, mallory = await new_phone(), await new_phone(), await new_phone()
    options = Options(contacts=(bob.identity.public,), contacts_only=True)

    await alice.register(server.public, DEVICE_TOKEN, options=options)

    [info] = await bob.query(alice.identity.public)
    [report] = await bob.notify([info], message_id=secrets.token_bytes(32), chat_id=CHAT)
    assert report.success
    assert await mallory.query(alice.identity.public) == ()


async def test_somebody_blocked_hears_of_success_and_rings_nobody(
    server: KeyPair, new_phone: NewPhone, gorush: MockGorush
) -> None:
    alice, mallory = await new_phone(), await new_phone()
    options = Options(blocked=(contact_id(mallory.identity.public),))
    await alice.register(server.public, DEVICE_TOKEN, options=options)

    [report] = await mallory.notify(alice.identity.public, message_id=secrets.token_bytes(32), chat_id=CHAT)

    assert report.success
    assert gorush.posted == []


async def test_a_wrong_access_token_is_refused(server: KeyPair, new_phone: NewPhone, gorush: MockGorush) -> None:
    alice, mallory = await new_phone(), await new_phone()
    await alice.register(server.public, DEVICE_TOKEN)
    [info] = await mallory.query(alice.identity.public)
    guessed = replace(info, access_token=AccessToken(str(uuid.uuid4())))

    [report] = await mallory.notify([guessed], message_id=secrets.token_bytes(32), chat_id=CHAT)

    assert (report.success, report.error) == (False, ReportError.WRONG_TOKEN)
    assert gorush.posted == []


async def test_a_version_that_was_used_is_refused(server: KeyPair, new_phone: NewPhone) -> None:
    alice = await new_phone()
    await alice.register(server.public, DEVICE_TOKEN)
    forgetful = await new_phone(key=alice.identity, installation_id=alice.installation_id)

    answer = await forgetful.register(server.public, DEVICE_TOKEN)

    assert (answer.success, answer.error) == (False, RegistrationError.VERSION_MISMATCH)


async def test_a_phone_that_unregistered_cannot_be_found_or_rung(server: KeyPair, new_phone: NewPhone) -> None:
    alice, bob = await new_phone(), await new_phone()
    hasty = await new_phone(patience=1.0)
    await alice.register(server.public, DEVICE_TOKEN)
    [info] = await bob.query(alice.identity.public)

    answer = await alice.unregister(server.public)
    [report] = await bob.notify([info], message_id=secrets.token_bytes(32), chat_id=CHAT)

    assert answer.success
    assert (report.success, report.error) == (False, ReportError.NOT_REGISTERED)
    with pytest.raises(NoAnswer):  # status-go answers, with nothing
        await hasty.query(alice.identity.public)
