"""
Phones on @waku/sdk against `hushbell serve` with its own node: they register, ask and ring.

js-waku carries, seals and opens; what is inside is made and read by our client's rules.
"""

import secrets
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.interop.waku.peers import Hushbell, Peer

from hushbell import wire
from hushbell.core import envelope
from hushbell.core.client import query, registration, request
from hushbell.core.client.registration import Device, Options
from hushbell.crypto import hashes, secp256k1, topics
from hushbell.testing.mock.server import MockProviders
from hushbell.types import (
    DeviceToken,
    InstallationId,
    KeyPair,
    MessageId,
    NotificationType,
    PublicKey,
    RequestId,
    TokenType,
)

pytestmark = pytest.mark.interop

DEVICE_TOKEN = "0123456789abcdef" * 4
DEVICE = Device(
    installation_id=InstallationId("00000000-0000-4000-8000-000000000001"),
    device_token=DeviceToken(DEVICE_TOKEN),
    token_type=TokenType.APN,
    apn_topic="im.status.ethereum",
)

Start = Callable[..., Awaitable[Peer]]


def new_key() -> KeyPair:
    return secp256k1.key_pair(secrets.token_bytes)


class JsPhone:
    """A light client of js-waku that one of our clients thinks for."""

    def __init__(self, peer: Peer, server: Hushbell) -> None:
        self._peer = peer
        self.server = secp256k1.parse_public_key(bytes.fromhex(server.ready["identity"]))

    async def listen(self, key: KeyPair) -> None:
        """Have js-waku subscribe to the key's topic and open what comes with the key."""
        await self._peer.do("listen", ct=topics.partitioned_topic(key.public), private=key.private.hex())

    async def send(self, application: bytes, signer: KeyPair, ct: str, **key: str) -> None:
        """Have js-waku seal an application message and push it."""
        await self._peer.do("seal", ct=ct, hex=application.hex(), private=signer.private.hex(), **key)

    async def to_server(self, application: bytes, signer: KeyPair, ct: str) -> None:
        await self.send(application, signer, ct, public=self.server.hex())

    async def answer(self, key: KeyPair) -> envelope.OpenedEnvelope:
        """Return the first message that js-waku opened with the key; the server must have signed its frame."""
        reply = await self._peer.do("opened", ct=topics.partitioned_topic(key.public), n=1, timeout=20)
        [opened] = reply["opened"]
        assert opened["signer"] == self.server.hex()
        return envelope.open_application(wire.unwrap_protocol_message(bytes.fromhex(opened["payload"])))


@pytest.fixture(params=["ws", "tcp"])
async def phone(request: pytest.FixtureRequest, js_light: Start, push_server: Hushbell) -> JsPhone:
    websocket = request.param == "ws"
    peer = await js_light(*([] if websocket else ["--tcp"]))
    await peer.do("connect", addr=push_server.address(websocket=websocket))
    return JsPhone(peer, push_server)


async def registered(phone: JsPhone, bob: KeyPair) -> registration.RegistrationResult:
    await phone.listen(bob)
    last = registration.next_registration(Options(), DEVICE, None, bob, secrets.token_bytes)
    sent = registration.seal_registration(last.registration, bob, phone.server, secrets.token_bytes)
    await phone.to_server(sent.application, bob, topics.personal_topic(phone.server))
    return registration.read_response(await phone.answer(bob), {RequestId(sent.request_id): phone.server})


async def found(phone: JsPhone, bob: PublicKey, alice: KeyPair) -> tuple[query.Info, ...]:
    await phone.listen(alice)
    asked = query.build_query(bob, alice)
    name = topics.query_topic_name(hashes.hash_public_key(bob))
    ct = topics.content_topic(topics.topic4(name))
    await phone.send(asked.application, alice, ct, symmetric=topics.topic_key(name).hex())
    return query.read_response(await phone.answer(alice), {MessageId(asked.message_id): bob}, alice.private)


async def test_it_registers_and_gets_its_encrypted_answer(phone: JsPhone) -> None:
    answer = await registered(phone, new_key())

    assert answer.success
    assert answer.server == phone.server


async def test_it_asks_for_a_phone_and_rings_it(phone: JsPhone, gorush: MockProviders) -> None:
    bob, asker, ringer = new_key(), new_key(), new_key()
    assert (await registered(phone, bob)).success

    infos = await found(phone, bob.public, asker)
    message = request.NotificationContent(secrets.token_bytes(32), "chat", NotificationType.MESSAGE, asker.public)
    [asked] = request.build_requests(infos, message, ringer)
    await phone.listen(ringer)
    await phone.to_server(asked.application, ringer, topics.partitioned_topic(phone.server))
    reports = request.read_reports(await phone.answer(ringer), asked)

    assert [info.installation_id for info in infos] == [DEVICE.installation_id]
    assert [report.success for report in reports] == [True]
    await gorush.wait_for(1, "gorush")
    body: dict[str, Any] = gorush.requests[0].json
    assert body["notifications"][0]["tokens"] == [DEVICE_TOKEN]
