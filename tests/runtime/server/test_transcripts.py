"""What the real status-go was told, told to our server: it must answer as status-go did, or say here why not."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hushbell import wire
from hushbell.core import envelope
from hushbell.crypto import secp256k1
from hushbell.errors import WireError
from hushbell.http.client import open_http
from hushbell.ports.provider import ProviderContext
from hushbell.providers.gorush.provider import GorushProvider
from hushbell.providers.gorush.settings import GorushSettings
from hushbell.runtime.clock import SystemClock, system_random
from hushbell.stores.memory.server import MemoryServerStore
from hushbell.testing.mock.server import MockProviders
from hushbell.types import Envelope, KeyHash, PubsubTopic, SymmetricKey
from hushbell.wire.messages import (
    NotificationResponse,
    QueryResponse,
    RegistrationError,
    RegistrationResponse,
    ReportError,
    WakuMessage,
)

TRANSCRIPTS = sorted((Path(__file__).parents[2] / "vectors" / "status-go").glob("t*.json"))
KINDS = {17: RegistrationResponse, 19: QueryResponse, 21: NotificationResponse}

SILENT_QUERY = "DESIGN 4: a query for unknown keys gets no answer (spec 16)"
REPEATED = "DESIGN 4: a duplicate gets its stored reports again and rings nobody; status-go is silent"
ONE_RING = "DESIGN 4: one message rings one device once, whichever key the sender used; status-go rings again"
LOST_ANSWER = "DESIGN 4: equal version and identical decrypted bytes are a lost answer, and succeed again"
UNREACHABLE = "DESIGN 4: an unreachable gateway is no reason for silence; the outbox retries"


@dataclass(frozen=True)
class Deviation:
    """What we do instead of status-go, and the decision that says so."""

    reason: str
    answer: str = "same"  # same | none | success | again: that of the first request once more
    items: int | None = None  # of the body posted; None: the same body


DEVIATIONS = {
    ("t03", "alice queries the unregistered bob"): Deviation(SILENT_QUERY, "none"),
    ("t07", "unknown key on bob's topic"): Deviation(SILENT_QUERY, "none"),
    ("t09", "the same item twice in one request"): Deviation(ONE_RING, items=1),
    ("t15", "identical Waku frame"): Deviation(REPEATED, "again"),
    ("t15", "identical signed request (same wrapper id) in a new Waku frame"): Deviation(REPEATED, "again"),
    ("t15", "same content and message id, another ephemeral key"): Deviation(ONE_RING, items=0),
    ("t16", "version 2 again"): Deviation(LOST_ANSWER, "success"),
    ("t19b", "request while the gateway refuses connections"): Deviation(UNREACHABLE, "success", items=1),
    ("t19b", "the same request again"): Deviation(REPEATED, "again"),
}
PLAYED_BY_HAND = ("t23", "t24")  # somebody else holds the server's key there: only what the real server did counts


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
                opened = envelope.open_with_private(waku.payload, key.private)
            except WireError:
                continue
            return plain(wire.decode(KINDS[opened.type], opened.payload))
        raise AssertionError("nobody of the transcript can open the answer")


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.stem)
async def test_our_server_answers_as_status_go_did(path: Path, start_service: Any) -> None:
    transcript = load(path)
    store = MemoryServerStore(random=os.urandom)
    for name, key in transcript["symmetric_keys"].items():
        if len(name) == 128:
            await store.keep_query_key(KeyHash(bytes.fromhex(name)), SymmetricKey(bytes.fromhex(key)))
    identity = None
    if "server" in transcript["keys"]:
        identity = secp256k1.key_pair_from(bytes.fromhex(transcript["keys"]["server"]["private_key"]))
    listener = Listener(transcript)
    steps = {step["step"]: step for step in transcript["steps"] if "step" in step}

    async with MockProviders() as gorush:
        context = ProviderContext(clock=SystemClock(), random=system_random, open_http=open_http)
        provider = GorushProvider(GorushSettings(url=gorush.plain_url), context)
        running = await start_service(identity=identity, store=store, providers={"gorush": provider})
        everybody = running.bus.connect()
        sent, posted = 0, 0
        before: list[dict[str, Any]] = [{}]
        for outcome in transcript["outcomes"]:
            if path.stem.startswith(PLAYED_BY_HAND) and outcome["silence"]:
                continue
            answers: list[dict[str, Any]] = []
            for step in inputs(outcome, steps):
                message = bytes.fromhex(step["waku_message_hex"])
                await everybody.publish([Envelope(PubsubTopic(step["pubsub_topic"]), message)])
                sent += 1
                await running.settled(sent)
                answers += await heard(everybody, running, listener)
            bodies = [request.request.body.decode() for request in list(gorush.requests)[posted:]]
            posted = len(gorush.requests)
            deviation = DEVIATIONS.get((path.stem.split("_")[0], outcome["action"]), Deviation(""))
            compare(outcome, deviation, answers, bodies, before)
            before = answers or before
        await running.stop()


def inputs(outcome: dict[str, Any], steps: dict[int, Any]) -> list[dict[str, Any]]:
    first, last = outcome["steps"]
    numbers = [steps[number] for number in range(first, last + 1)]
    return [step for step in numbers if step["kind"] == "waku" and step["from"] not in ("server", "fake", "mallory")]


def compare(
    outcome: dict[str, Any],
    deviation: Deviation,
    answers: list[dict[str, Any]],
    bodies: list[str],
    before: list[dict[str, Any]],
) -> None:
    """The same decoded answers and the same HTTP bodies, but for what the deviation says."""
    recorded = [] if outcome["silence"] else [answer["decoded"] for answer in outcome["status_go_answered"]]
    match deviation.answer:
        case "same":
            assert answers == recorded, outcome["action"]
        case "none":
            assert answers == [], outcome["action"]
        case "success":
            assert len(answers) == 1, outcome["action"]
            assert answers[0].get("success") or all(report["success"] for report in answers[0]["reports"])
        case "again":
            assert answers == before, outcome["action"]
    if deviation.items is None:
        assert bodies == outcome["http_bodies"], outcome["action"]
    else:
        assert sum(len(json.loads(body)["notifications"]) for body in bodies) == deviation.items, outcome["action"]


def test_every_deviation_is_in_a_transcript() -> None:
    actions = {
        (path.stem.split("_")[0], outcome["action"]) for path in TRANSCRIPTS for outcome in load(path)["outcomes"]
    }

    assert set(DEVIATIONS) <= actions


async def heard(transport: Any, running: Any, listener: Listener) -> list[dict[str, Any]]:
    """Take what the server has published so far."""
    answers = []
    while running.counters["answers"] > running.counters["heard"]:
        for received in await transport.receive(1):
            answers.append(listener.decoded(received.waku_message))
            running.counters["heard"] += 1
    return answers
