"""Recorded answers are believed or refused as the client of status-go did."""

import json
from pathlib import Path
from typing import Any

import pytest

from hushbell import wire
from hushbell.core import envelope
from hushbell.core.client import query, registration
from hushbell.core.client.events import ClientDecision, EnvelopeReceived
from hushbell.core.client.facts import ClientFacts, EphemeralKey, Profile, Purpose, Save, ServerRegistration
from hushbell.core.client.lifecycles import RegistrationState
from hushbell.core.client.machine import decide
from hushbell.core.client.registration import LastRegistration
from hushbell.core.envelope import OpenedEnvelope, open_waku, open_with_private, open_with_symmetric
from hushbell.crypto import ciphers
from hushbell.crypto.hashes import hash_public_key
from hushbell.crypto.message_ids import request_id
from hushbell.crypto.secp256k1 import key_pair_from
from hushbell.errors import WireError
from hushbell.types import KeyPair, MessageId, Millis, PublicKey, RequestId, SymmetricKey

VECTORS = Path(__file__).parents[2] / "vectors" / "status-go"
NOW = Millis(1_600_000_000_000)


def drawn(count: int) -> bytes:
    return bytes([7]) * count


class Replay:
    """A transcript with everybody's keys: opens each message whoever it was for."""

    def __init__(self, name: str) -> None:
        [path] = VECTORS.glob(name + "_*.json")
        self.told: dict[str, Any] = json.loads(path.read_text())
        self.keys = {who: key_pair_from(bytes.fromhex(key["private_key"])) for who, key in self.told["keys"].items()}
        self.topic_keys = [SymmetricKey(bytes.fromhex(key)) for key in self.told["symmetric_keys"].values()]
        self.owners = {hash_public_key(key.public): key.public for key in self.keys.values()}
        self.steps = {step["step"]: step for step in self.told["steps"] if step["kind"] == "waku"}

    def opened(self, step: dict[str, Any]) -> OpenedEnvelope:
        payload = open_waku(bytes.fromhex(step["waku_message_hex"])).payload
        attempts = [(open_with_private, key.private) for key in self.keys.values()]
        for opening, key in [*attempts, *((open_with_symmetric, key) for key in self.topic_keys)]:
            try:
                return opening(payload, key)  # type: ignore[operator,no-any-return]
            except WireError:
                continue
        raise AssertionError("nobody can open it")

    def between(self, first: int, last: int, kind: str) -> list[dict[str, Any]]:
        return [s for n, s in self.steps.items() if first <= n <= last and s["type"] == kind]

    def identity(self, step: dict[str, Any]) -> KeyPair:
        return self.keys[step["to"].split(".")[0]]


@pytest.mark.parametrize("name", ["t01", "t02", "t03", "t04", "t13", "t20", "t24"])
def test_registrations_are_answered_as_status_go_believed(name: str) -> None:
    replay = Replay(name)
    pending: dict[RequestId, PublicKey] = {}
    believed = []
    for step in replay.steps.values():
        if step["type"] == "PUSH_NOTIFICATION_REGISTRATION":
            pending[request_id(replay.opened(step).payload)] = replay.keys["server"].public
        if step["type"] == "PUSH_NOTIFICATION_REGISTRATION_RESPONSE":
            try:
                believed.append(registration.read_response(replay.opened(step), pending).success)
            except WireError:
                believed.append(False)

    handled = [
        "error" not in event
        for event in replay.told["steps"]
        if event.get("event") == "handled" and event.get("type") == "PUSH_NOTIFICATION_REGISTRATION_RESPONSE"
    ]

    assert believed == handled


@pytest.mark.parametrize("name", ["t04", "t13", "t23"])
def test_the_tokens_learnt_from_answers_are_those_that_status_go_learnt(name: str) -> None:
    replay = Replay(name)
    pending: dict[MessageId, PublicKey] = {}
    known: dict[PublicKey, tuple[query.Info, ...]] = {}
    for outcome in replay.told["outcomes"]:
        first, last = outcome["steps"]
        for step in replay.between(first, last, "PUSH_NOTIFICATION_QUERY"):
            asked = replay.opened(step)
            [owner] = wire.decode(wire.Query, asked.payload).public_keys
            pending[asked.message_id] = replay.owners[hash_public_key(replay.keys["bob"].public)]
            assert owner == hash_public_key(replay.keys["bob"].public)
        if "token_learnt" not in outcome:
            continue
        asker = replay.keys["alice"]
        for step in replay.between(first, last, "PUSH_NOTIFICATION_QUERY_RESPONSE"):
            asker = replay.identity(step)
            try:
                infos = query.read_response(replay.opened(step), pending, asker.private)
            except WireError:
                continue
            known[asker.public] = query.newest((*known.get(asker.public, ()), *infos))
        learnt = {(i.access_token, i.installation_id, i.server.hex()) for i in known.get(asker.public, ())}
        expected = {
            (info["access_token"], info["installation_id"], info["server_public_key"])
            for info in outcome["token_learnt"] or []
        }
        assert learnt == expected, outcome["action"]


def test_a_contact_code_is_believed_entry_by_entry() -> None:
    replay = Replay("t20")
    bob, alice = replay.keys["bob"], replay.keys["alice"]
    adverts = replay.between(0, 1000, "CONTACT_CODE_ADVERTISEMENT")

    infos = [query.read_contact_code(replay.opened(step), bob.public, alice.private) for step in adverts]

    assert infos
    assert any(infos)
    assert {info.server for known in infos for info in known} == {replay.keys["server"].public}


# Where status-go's client and ours part, or where both are laxer than the letter of the specification, and why.
JUDGED = {
    "success=false but good info": "both believe it: the grant proves that the target lets this server in, the flag "
    "proves nothing",
    "success with an error code": "both believe it: the server says that it has the registration",
    "VERSION_MISMATCH": "status-go ignores the code and repeats the version until it gives up; ours says a higher one",
}


def taken(facts: ClientFacts, identity: KeyPair, opened: OpenedEnvelope, to: PublicKey) -> ClientDecision:
    """Let the machine judge one message."""
    return decide(facts, [EnvelopeReceived(opened, to)], identity=identity, now=NOW, random=drawn, advertises=False)


def test_the_machine_learns_from_each_answer_what_status_go_learnt() -> None:
    replay = Replay("t23")
    alice, bob = replay.keys["alice"], replay.keys["bob"].public
    facts = ClientFacts()
    wrong = {}
    for outcome in replay.told["outcomes"][1:]:
        asked, answered = (replay.opened(replay.steps[number]) for number in outcome["steps"])
        key = next(key for key in replay.keys.values() if key.public == asked.sender)
        sent = EphemeralKey(
            key=key, purpose=Purpose.QUERY, until=Millis(NOW + 1), target=bob, message_id=asked.message_id
        )
        facts.apply(Save(sent))

        taken(facts, alice, answered, replay.keys[replay.steps[outcome["steps"][1]]["to"]].public)

        known = facts.contacts[bob].infos if bob in facts.contacts else ()
        learnt = {(info.access_token, info.installation_id, info.server.hex()) for info in known}
        theirs = {
            (info["access_token"], info["installation_id"], info["server_public_key"])
            for info in outcome["token_learnt"]
        }
        if learnt != theirs:
            wrong[outcome["action"]] = learnt

    assert wrong == {}
    stored = replay.told["databases_after"]["alice"]["push_notification_client_info"]
    assert {(info.installation_id, info.version) for info in facts.contacts[bob].infos} == {
        (row["installation_id"], row["version"]) for row in stored
    }


def test_the_machine_believes_each_answer_to_a_registration_that_status_go_believed() -> None:
    replay = Replay("t24")
    bob, server = replay.keys["bob"], replay.keys["server"].public
    opened = replay.opened(replay.steps[1])
    plaintext = ciphers.open_gcm(envelope.registration_key(bob.private, server), opened.payload)
    told = wire.decode(wire.Registration, plaintext)
    judged = {}
    for outcome in replay.told["outcomes"][1:]:
        facts = ClientFacts()
        facts.apply(Save(Profile(last=LastRegistration(told))))
        sent = (request_id(opened.payload),)
        facts.apply(
            Save(ServerRegistration(server=server, state=RegistrationState.WAITING, trials=1, last=NOW, requests=sent))
        )

        decision = taken(facts, bob, replay.opened(replay.steps[outcome["steps"][0]]), bob.public)

        theirs = bool(outcome["servers"][0].get("registered"))
        judged[outcome["action"]] = (
            facts.registrations[server].state is RegistrationState.REGISTERED,
            theirs,
            decision.effects,
        )

    assert [action for action, (ours, theirs, _) in judged.items() if ours is not theirs] == []
    acted = {action: len(effects) for action, (_, _, effects) in judged.items() if effects}
    assert acted == {"VERSION_MISMATCH": 1}


def test_what_is_judged_in_words_is_in_the_transcripts() -> None:
    actions = {outcome["action"] for name in ("t23", "t24") for outcome in Replay(name).told["outcomes"]}

    assert set(JUDGED) <= actions
