"""Registering, re-registering and unregistering (reference/status-go.md 6.1, 6.2, 8.1 V and R)."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from hushbell.config.limits import Limits
from hushbell.core.server.decide import decide, facts_needed
from hushbell.core.server.events import RegistrationReceived
from hushbell.core.server.facts import Decision, Facts, FactsNeeded, SaveRegistration, StoredRegistration
from hushbell.core.server.registration import is_uuid
from hushbell.types import DeviceKey, InstallationId, Millis, PublicKey, RequestId
from hushbell.wire.codec import decode
from hushbell.wire.messages import ApplicationType, RegistrationError, RegistrationResponse

Registers = Callable[..., RegistrationReceived]
Keeps = Callable[..., StoredRegistration]
Knows = Callable[..., Facts]

MALFORMED = RegistrationError.MALFORMED_MESSAGE
MISMATCH = RegistrationError.VERSION_MISMATCH
UNSUPPORTED = RegistrationError.UNSUPPORTED_TOKEN_TYPE
INTERNAL = RegistrationError.INTERNAL_ERROR


def answer(decision: Decision) -> RegistrationResponse:
    (reply,) = decision.replies
    assert reply.type == ApplicationType.PUSH_NOTIFICATION_REGISTRATION_RESPONSE
    return decode(RegistrationResponse, reply.payload)


def tombstone(version: int) -> StoredRegistration:
    return StoredRegistration(version, Millis(1), None, None)


# Each row: the change to a complete registration, and the error; names are those of reference/status-go.md 8.1.
REFUSED: list[Any] = [
    pytest.param({"installation_id": ""}, MALFORMED, id="v7_r7_no_installation_id"),
    pytest.param({"installation_id": "abc"}, MALFORMED, id="v8_r8_installation_id_is_no_uuid"),
    pytest.param({"version": 0}, MISMATCH, id="v9_r9_no_version"),
    pytest.param({"access_token": ""}, MALFORMED, id="v12_r11_no_access_token"),
    pytest.param({"access_token": "bc"}, MALFORMED, id="v13_r12_access_token_is_no_uuid"),
    pytest.param({"device_token": ""}, MALFORMED, id="v14_r13_no_device_token"),
    pytest.param({"grant": b""}, MALFORMED, id="v15_no_grant"),
    pytest.param({"grant": b"g" * 32, "grant_is_valid": False}, MALFORMED, id="v16_grant_is_no_signature"),
    pytest.param({"token_type": 0}, MALFORMED, id="v17_no_token_type"),
    pytest.param({"token_type": 3}, UNSUPPORTED, id="unknown_token_type"),
    pytest.param({"token_type": -1}, UNSUPPORTED, id="negative_token_type"),
    pytest.param({"version": 2**63}, INTERNAL, id="version_beyond_a_signed_integer"),
    pytest.param({"version": 2**64 - 1, "unregister": True}, INTERNAL, id="unregister_beyond_a_signed_integer"),
]


@pytest.mark.parametrize("changes, error", REFUSED)
def test_a_registration_that_breaks_a_rule_is_answered_with_its_error(
    registers: Registers, now: Millis, changes: dict[str, Any], error: RegistrationError
) -> None:
    event = registers(**changes)

    decision = decide(event, Facts(), now)

    assert answer(decision) == RegistrationResponse(success=False, error=error, request_id=event.request_id)
    assert not decision.writes


def test_v6_r6_a_plaintext_that_is_no_registration_is_malformed(alice: PublicKey, now: Millis) -> None:
    event = RegistrationReceived(alice, RequestId(b"r" * 64), b"plaintext", None, grant_is_valid=False)

    decision = decide(event, Facts(), now)

    assert answer(decision) == RegistrationResponse(error=MALFORMED, request_id=b"r" * 64)
    assert facts_needed(event) == FactsNeeded()


def test_v10_r10_a_version_below_the_stored_one_is_a_mismatch(
    registers: Registers, phone: DeviceKey, keeps: Keeps, knows: Knows, now: Millis
) -> None:
    facts = knows({phone: keeps(version=2)})

    decision = decide(registers(version=1), facts, now)

    assert answer(decision).error == MISMATCH
    assert not decision.writes


def test_v11_to_unregister_takes_no_tokens_and_no_grant(
    alice: PublicKey, registration: Callable[..., Any], phone: DeviceKey, now: Millis
) -> None:
    bare = registration(token_type=0, device_token="", access_token="", grant=b"", enabled=False, unregister=True)
    event = RegistrationReceived(alice, RequestId(b"r" * 64), b"p", bare, grant_is_valid=False)

    decision = decide(event, Facts(), now)

    assert answer(decision).success
    assert decision.writes == (SaveRegistration(phone, StoredRegistration(1, now, None, None), 0),)


def test_v18_r14_a_complete_registration_is_stored_as_it_came(
    registers: Registers, phone: DeviceKey, now: Millis
) -> None:
    event = registers()

    decision = decide(event, Facts(), now)

    assert answer(decision) == RegistrationResponse(success=True, request_id=event.request_id)
    stored = StoredRegistration(1, now, event.plaintext, event.registration)
    assert decision.writes == (SaveRegistration(phone, stored, 0),)
    assert decision.replies[0].recipient == event.sender


def test_r15_unregistering_keeps_the_version_alone(
    registers: Registers, phone: DeviceKey, keeps: Keeps, knows: Knows, now: Millis
) -> None:
    event = registers(version=2, unregister=True, device_token="stray")

    decision = decide(event, knows({phone: keeps()}), now)

    assert answer(decision) == RegistrationResponse(success=True, request_id=event.request_id)
    assert decision.writes == (SaveRegistration(phone, StoredRegistration(2, now, None, None), 1),)


def test_an_apn_registration_without_apn_topic_is_accepted(registers: Registers, now: Millis) -> None:
    assert answer(decide(registers(apn_topic=""), Facts(), now)).success


def test_a_token_type_that_the_operator_disabled_is_unsupported(registers: Registers, now: Millis) -> None:
    decision = decide(registers(token_type=2), Facts(), now, token_types={1})

    assert answer(decision).error == UNSUPPORTED


def test_the_first_broken_rule_names_the_error(registers: Registers, now: Millis) -> None:
    version_before_installation = registers(version=0, installation_id="abc")
    token_type_last = registers(token_type=9, device_token="")

    assert answer(decide(version_before_installation, Facts(), now)).error == MISMATCH
    assert answer(decide(token_type_last, Facts(), now)).error == MALFORMED


def test_the_same_bytes_again_succeed_and_count_as_registered_now(
    registers: Registers, phone: DeviceKey, keeps: Keeps, knows: Knows, now: Millis
) -> None:
    before = keeps()

    decision = decide(registers(), knows({phone: before}), now)

    assert answer(decision).success
    assert decision.writes == (SaveRegistration(phone, replace(before, registered_at=now), 1),)


def test_the_same_bytes_again_revive_a_dead_device(
    registers: Registers, phone: DeviceKey, keeps: Keeps, knows: Knows, now: Millis
) -> None:
    dead = keeps(token_dead_since=now - 10)

    decision = decide(registers(), knows({phone: dead}), now)

    revived = replace(dead, registered_at=now, token_dead_since=None)
    assert decision.writes == (SaveRegistration(phone, revived, 1),)


def test_other_bytes_of_the_stored_version_are_a_mismatch(
    registers: Registers, phone: DeviceKey, keeps: Keeps, knows: Knows, now: Millis
) -> None:
    decision = decide(registers(device_token="other"), knows({phone: keeps()}), now)

    assert answer(decision).error == MISMATCH


def test_unregistering_again_with_the_tombstones_version_succeeds(
    registers: Registers, phone: DeviceKey, knows: Knows, now: Millis
) -> None:
    decision = decide(registers(version=2, unregister=True), knows({phone: tombstone(2)}), now)

    assert answer(decision).success
    assert not decision.writes


@pytest.mark.parametrize("version", [1, 2])
def test_an_old_registration_does_not_rise_from_its_tombstone(
    registers: Registers, phone: DeviceKey, knows: Knows, now: Millis, version: int
) -> None:
    decision = decide(registers(version=version), knows({phone: tombstone(2)}), now)

    assert answer(decision).error == MISMATCH


def test_unregistering_with_the_version_of_a_live_registration_is_a_mismatch(
    registers: Registers, phone: DeviceKey, keeps: Keeps, knows: Knows, now: Millis
) -> None:
    decision = decide(registers(unregister=True), knows({phone: keeps()}), now)

    assert answer(decision).error == MISMATCH


def test_a_registration_over_the_size_is_malformed_and_needs_no_facts(registers: Registers, now: Millis) -> None:
    limits = Limits(registration=100)
    event = registers(device_token="t" * 100)

    decision = decide(event, Facts(), now, limits)

    assert answer(decision).error == MALFORMED
    assert decision.refused == ("registration",)
    assert facts_needed(event, limits) == FactsNeeded()


@pytest.mark.parametrize(
    "name", ["allowed_key_list", "blocked_chat_list", "allowed_mentions_chat_list", "muted_chat_list"]
)
def test_a_list_over_its_bound_is_malformed(registers: Registers, now: Millis, name: str) -> None:
    limits = Limits(list_entries=2)

    fits = decide(registers(**{name: (b"a", b"b")}), Facts(), now, limits)
    over = decide(registers(**{name: (b"a", b"b", b"c")}), Facts(), now, limits)

    assert answer(fits).success
    assert answer(over).error == MALFORMED
    assert over.refused == ("list_entries",)


def installation(number: int) -> InstallationId:
    return InstallationId(f"00000000-0000-0000-0000-{number:012}")


def test_a_key_has_a_bounded_number_of_live_installations(
    registers: Registers, phone: DeviceKey, keeps: Keeps, knows: Knows, now: Millis
) -> None:
    limits = Limits(installations=2)
    first, second = (DeviceKey(phone.key_hash, installation(n)) for n in range(2))
    facts = knows({first: keeps(), second: keeps(), phone: tombstone(1)})

    third = decide(registers(version=2), facts, now, limits)
    renewed = decide(registers(version=2, installation_id=first.installation_id), facts, now, limits)
    unregistered = decide(registers(version=2, unregister=True), facts, now, limits)

    assert answer(third).error == MALFORMED
    assert third.refused == ("installations",)
    assert answer(renewed).success
    assert answer(unregistered).success


@pytest.mark.parametrize("unregister", [True, False])
def test_a_key_has_a_bounded_number_of_tombstones(
    registers: Registers, phone: DeviceKey, knows: Knows, now: Millis, unregister: bool
) -> None:
    limits = Limits(tombstones=2)
    first, second = (DeviceKey(phone.key_hash, installation(n)) for n in range(2))
    facts = knows({first: tombstone(1), second: tombstone(1)})

    third = decide(registers(unregister=unregister), facts, now, limits)
    again = decide(registers(version=2, installation_id=first.installation_id), facts, now, limits)

    assert answer(third).error == MALFORMED
    assert third.refused == ("tombstones",)
    assert answer(again).success


def test_what_could_not_be_loaded_cannot_be_replaced(
    registers: Registers, phone: DeviceKey, knows: Knows, now: Millis
) -> None:
    decision = decide(registers(version=9), knows(omitted=[phone]), now)

    assert answer(decision).error == INTERNAL
    assert not decision.writes
    assert decision.refused == ("facts",)


def test_a_damaged_registration_is_replaced_by_one_that_is_not_older(
    registers: Registers, phone: DeviceKey, knows: Knows, now: Millis
) -> None:
    facts = knows({phone: tombstone(3)})
    facts.damaged.add(phone)

    decisions = [decide(registers(version=version), facts, now) for version in (2, 3, 4)]

    assert [answer(decision).error for decision in decisions] == [
        MISMATCH,
        RegistrationError.NONE,
        RegistrationError.NONE,
    ]
    writes = [write for decision in decisions for write in decision.writes]
    assert [write.replaces for write in writes if isinstance(write, SaveRegistration)] == [3, 3]


def test_a_registration_needs_its_device_and_the_owners_installations(registers: Registers, phone: DeviceKey) -> None:
    assert facts_needed(registers()) == FactsNeeded(
        devices=frozenset({phone}), installations=frozenset({phone.key_hash})
    )


@pytest.mark.parametrize(
    "text",
    [
        "c6ae4fde-bb65-11ea-b3de-0242ac130004",
        "C6AE4FDE-BB65-11EA-B3DE-0242AC130004",
        "urn:uuid:c6ae4fde-bb65-11ea-b3de-0242ac130004",
        "URN:UUID:c6ae4fde-bb65-11ea-b3de-0242ac130004",
        "{c6ae4fde-bb65-11ea-b3de-0242ac130004}",
        "c6ae4fdebb6511eab3de0242ac130004",
        "ffffffff-ffff-ffff-ffff-ffffffffffff",
    ],
)
def test_every_form_of_a_uuid_that_deployed_servers_take_is_one(text: str) -> None:
    assert is_uuid(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "abc",
        "c6ae4fde-bb65-11ea-b3de-0242ac130004\n",
        "c6ae4fde-bb65-11ea-b3de-0242ac13000g",
        "c6ae4fde-bb65-11ea-b3de0-242ac130004",
        "c6ae4fdebb6511eab3de0242ac13000",
        "{c6ae4fde-bb65-11ea-b3de-0242ac130004",
        "\0c6ae4fde-bb65-11ea-b3de-0242ac130004\0",
        "urn:uuid:c6ae4fdebb6511eab3de0242ac130004",
        "c6ae4fde-bb65-11ea-b3de-0242ac13000\u0664",
    ],
)
def test_anything_else_is_no_uuid(text: str) -> None:
    assert not is_uuid(text)
