"""What the real status-go was told, told to our server: it must answer as status-go did, or say here why not."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from hushbell import wire
from hushbell.core import envelope
from hushbell.crypto import secp256k1
from hushbell.providers.gorush import GorushGateway
from hushbell.providers.opening import open_http
from hushbell.config.gateway import GorushSettings
from hushbell.stores.memory import MemoryStore
from hushbell.testing.gorush import MockGorush
from hushbell.types import Envelope, KeyHash, PubsubTopic, SymmetricKey
from hushbell.wire.messages import (
    NotificationResponse,
    QueryResponse,
    RegistrationError,
    RegistrationResponse,
    ReportError,
    WakuMessage,
)

TRANSCRIPTS = sorted((Path(__file__).parents[1] / "vectors" / "status-go").glob("t*.json"))
KINDS = {17: RegistrationResponse, 19: QueryResponse, 21: NotificationResponse}
NAMES = {"RegistrationError": RegistrationError, "ReportError": ReportError}

SILENT_QUERY = "DESIGN 4: a query for unknown keys gets no answer (spec 16)"
REPEATED = "DESIGN 4: a duplicate gets its stored reports again and rings nobody; status-go is silent"
ONE_RING = "DESIGN 4: one message rings one device once, whichever key the sender used; status-go rings again"
UNREACHABLE = "DESIGN 4: an unreachable gateway is no reason for silence; the outbox retries"

# (transcript, part of the action) → what we do instead, and the decision that says so
SILENCE, ANSWER, NO_POST, ONE_ITEM = "silence", "answer", "no post", "one item posted"
DEVIATIONS = {
    ("t03_unregister", "alice queries the unregistered bob"): (SILENCE, SILENT_QUERY),
    ("t07_query_two_and_unknown_keys", "unknown key on bob's topic"): (SILENCE, SILENT_QUERY),
}


def load(path: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(path.read_text())
    return value


def plain(message: Any) -> dict[str, Any]:
    """Our message as the transcripts write one: hex, enum names, defaults left out."""
    value: dict[str, Any] = {}
    for name in message.__dataclass_fields__:
        field = getattr(message, name)
        if name == "error" and field:
            field = (RegistrationError if isinstance(message, RegistrationResponse) else ReportError)(field).name
        elif isinstance(field, bytes):
            field = field.hex()
        elif isinstance(field, tuple):
            field = [one.hex() if isinstance(one, bytes) else plain(one) for one in field]
        if field not in ("", 0, False, []):
            value[name] = field
    return value


class Listener:
    """Everybody else on the bus: opens what the server sends with the recorded private keys."""

    def __init__(self, transcript: dict[str, Any]) -> None:
        self._keys = [secp256k1.key_pair_from(bytes.fromhex(k["private_key"])) for k in transcript["keys"].values()]

    def decoded(self, message: bytes) -> dict[str, Any]:
        waku = wire.decode(WakuMessage, message)
        for key in self._keys:
            try:
                opened = envelope.open_with_private(waku, key.private)
            except wire_errors:
                continue
            return plain(wire.decode(KINDS[opened.type], opened.payload))
        raise AssertionError("nobody of the transcript can open the answer")


from hushbell.errors import WireError as wire_errors  # noqa: E402


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.stem)
async def test_our_server_answers_as_status_go_did(path: Path, start_service: Any) -> None:
    transcript = load(path)
    store = MemoryStore()
    for name, key in transcript["symmetric_keys"].items():
        if len(name) == 128:
            await store.keep_query_key(KeyHash(bytes.fromhex(name)), SymmetricKey(bytes.fromhex(key)))
    identity = None
    if "server" in transcript["keys"]:
        identity = secp256k1.key_pair_from(bytes.fromhex(transcript["keys"]["server"]["private_key"]))
    listener = Listener(transcript)
    steps = {step["step"]: step for step in transcript["steps"] if "step" in step}

    async with MockGorush() as gorush:
        gateway = GorushGateway(GorushSettings(url=gorush.url), open_http(GorushSettings(url=gorush.url).http))
        running = await start_service(identity=identity, store=store, gateway=gateway)
        everybody = running.bus.connect()
        sent, posted, report = 0, 0, []
        for outcome in transcript["outcomes"]:
            first, last = outcome["steps"]
            answers: list[dict[str, Any]] = []
            for number in range(first, last + 1):
                step = steps[number]
                if step["kind"] != "waku" or step["from"] in ("server", "fake", "mallory"):
                    continue
                message = bytes.fromhex(step["waku_message_hex"])
                await everybody.publish([Envelope(PubsubTopic(step["pubsub_topic"]), message)])
                sent += 1
                await running.settled(sent)
                answers += await heard(everybody, running, listener)
            bodies = [body.decode() for body in gorush.bodies[posted:]]
            posted = len(gorush.bodies)
            wanted = outcome["status_go_answered"]
            expected = [] if wanted == "silence" else [one["decoded"] for one in wanted]
            if (answers, bodies) != (expected, outcome["http_bodies"]):
                report.append((outcome["action"], answers, expected, bodies, outcome["http_bodies"]))
        await running.stop()

    assert report == []


async def heard(transport: Any, running: Any, listener: Listener) -> list[dict[str, Any]]:
    """Take what the server has published so far."""
    answers = []
    while running.counters["answers"] > running.counters["heard"]:
        for received in await transport.receive(1):
            answers.append(listener.decoded(received.waku_message))
            running.counters["heard"] += 1
    return answers
