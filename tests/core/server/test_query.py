"""How to ring somebody's devices (reference/status-go.md 6.3, 8.1 Q)."""

from collections.abc import Callable

from hushbell.config.limits import Limits
from hushbell.core.server.decide import decide, facts_needed
from hushbell.core.server.events import QueryReceived
from hushbell.core.server.facts import Decision, Facts, FactsNeeded, StoredRegistration
from hushbell.types import DeviceKey, InstallationId, KeyHash, Millis
from hushbell.wire.codec import decode
from hushbell.wire.messages import ApplicationType, QueryInfo, QueryResponse

Asks = Callable[..., QueryReceived]
Keeps = Callable[..., StoredRegistration]
Knows = Callable[..., Facts]
Registered = Callable[..., Facts]

STRANGER = KeyHash(b"\xff" * 64)


def answer(decision: Decision) -> QueryResponse:
    (reply,) = decision.replies
    assert reply.type == ApplicationType.PUSH_NOTIFICATION_QUERY_RESPONSE
    return decode(QueryResponse, reply.payload)


def installation(number: int) -> InstallationId:
    return InstallationId(f"00000000-0000-0000-0000-{number:012}")


def test_q1_who_is_registered_is_told_with_the_access_token(
    asks: Asks, phone: DeviceKey, token: str, now: Millis, registered: Registered
) -> None:
    facts = registered(version=7, allowed_key_list=(b"a",))
    event = asks(STRANGER, phone.key_hash)

    decision = decide(event, facts, now)

    info = QueryInfo(
        access_token=token,
        installation_id=phone.installation_id,
        public_key=phone.key_hash,
        grant=bytes(64) + b"\1",
        version=7,
    )
    assert answer(decision) == QueryResponse(info=(info,), message_id=event.message_id, success=True)
    assert decision.replies[0].recipient == event.sender
    assert not decision.writes


def test_q2_contacts_only_tells_the_encrypted_tokens_alone(
    asks: Asks, phone: DeviceKey, now: Millis, registered: Registered
) -> None:
    facts = registered(allow_from_contacts_only=True, allowed_key_list=(b"a",))

    (info,) = answer(decide(asks(phone.key_hash), facts, now)).info

    assert info.allowed_key_list == (b"a",)
    assert info.access_token == ""


def test_contacts_only_with_an_empty_list_tells_no_token(
    asks: Asks, phone: DeviceKey, now: Millis, registered: Registered
) -> None:
    facts = registered(allow_from_contacts_only=True)

    (info,) = answer(decide(asks(phone.key_hash), facts, now)).info

    assert (info.allowed_key_list, info.access_token) == ((), "")


def test_a_query_for_unknown_keys_has_no_answer(asks: Asks, now: Millis) -> None:
    assert decide(asks(STRANGER), Facts(), now) == Decision()


def test_an_empty_query_has_no_answer(asks: Asks, now: Millis) -> None:
    assert decide(asks(), Facts(), now) == Decision()


def test_dead_and_unregistered_devices_are_left_out(
    asks: Asks, phone: DeviceKey, keeps: Keeps, knows: Knows, now: Millis
) -> None:
    tablet = DeviceKey(phone.key_hash, installation(1))
    facts = knows({phone: keeps(token_dead_since=1), tablet: StoredRegistration(2, Millis(1), None, None)})

    assert decide(asks(phone.key_hash), facts, now) == Decision()


def test_the_answer_is_ordered_by_owner_then_age_then_installation(
    asks: Asks, keeps: Keeps, knows: Knows, now: Millis
) -> None:
    first, last = KeyHash(b"\0" * 64), KeyHash(b"\xff" * 64)
    order = [
        (DeviceKey(first, installation(9)), 5),
        (DeviceKey(last, installation(3)), 1),
        (DeviceKey(last, installation(1)), 2),
        (DeviceKey(last, installation(2)), 2),
    ]
    facts = knows(
        {device: keeps(registered_at=at, installation_id=device.installation_id) for device, at in order[::-1]}
    )

    told = answer(decide(asks(last, first, last), facts, now)).info

    assert [(info.public_key, info.installation_id) for info in told] == [
        (device.key_hash, device.installation_id) for device, _ in order
    ]


def test_a_query_for_too_many_keys_is_dropped_before_it_costs_anything(
    asks: Asks, phone: DeviceKey, now: Millis, registered: Registered
) -> None:
    limits = Limits(query_keys=1)
    event = asks(phone.key_hash, STRANGER)

    assert decide(event, registered(), now, limits) == Decision(refused=("query_keys",))
    assert facts_needed(event, limits) == FactsNeeded()


def test_hashes_of_another_length_are_ignored(
    asks: Asks, phone: DeviceKey, now: Millis, registered: Registered
) -> None:
    event = asks(b"", phone.key_hash[:63], phone.key_hash, phone.key_hash + b"\0")

    assert len(answer(decide(event, registered(), now)).info) == 1
    assert facts_needed(event) == FactsNeeded(
        installations=frozenset({phone.key_hash}), queried=frozenset({phone.key_hash})
    )


def test_what_does_not_fit_into_the_answer_is_left_out_and_counted(
    asks: Asks, keeps: Keeps, knows: Knows, phone: DeviceKey, now: Millis
) -> None:
    large = keeps(
        registered_at=1,
        installation_id=installation(1),
        allow_from_contacts_only=True,
        allowed_key_list=(bytes(5000),),
    )
    small = keeps(registered_at=2)
    facts = knows({DeviceKey(phone.key_hash, installation(1)): large, phone: small})
    whole = decide(asks(phone.key_hash), facts, now)
    size = len(whole.replies[0].payload)

    exactly = decide(asks(phone.key_hash), facts, now, Limits(answer=size))
    less = decide(asks(phone.key_hash), facts, now, Limits(answer=size - 1))
    nothing = decide(asks(phone.key_hash), facts, now, Limits(answer=10))

    assert exactly == whole
    assert [info.installation_id for info in answer(less).info] == [installation(1)]
    assert less.refused == ("answer",)
    assert nothing == Decision(refused=("answer", "answer"))


def test_a_device_that_could_not_be_loaded_is_left_out_and_counted(
    asks: Asks, keeps: Keeps, knows: Knows, phone: DeviceKey, now: Millis
) -> None:
    tablet = DeviceKey(phone.key_hash, installation(1))

    decision = decide(asks(phone.key_hash), knows({phone: keeps()}, omitted=[tablet]), now)

    assert len(answer(decision).info) == 1
    assert decision.refused == ("facts",)
