"""Ringing devices (reference/status-go.md 6.4, 8.1 N and B)."""

import hashlib
from collections.abc import Callable
from typing import Any

import pytest

from hushbell.config.limits import Limits
from hushbell.core.delivery.notification import Draft, Message
from hushbell.core.server.decide import apply, decide, facts_needed
from hushbell.core.server.events import RequestReceived
from hushbell.core.server.facts import (
    Decision,
    Enqueue,
    Facts,
    FactsNeeded,
    MarkNotified,
    SaveResponse,
    StoredRegistration,
)
from hushbell.core.server.push_body import PushBody, decode_push_body, encode_push_body
from hushbell.core.server.request import notification_key
from hushbell.types import DeviceKey, InstallationId, KeyHash, Millis, NotificationType
from hushbell.wire.codec import decode
from hushbell.wire.messages import ApplicationType, NotificationResponse, PushNotification, Report, ReportError

Sends = Callable[..., RequestReceived]
Item = Callable[..., PushNotification]
Knows = Callable[..., Facts]
Registered = Callable[..., Facts]

CHAT_A, CHAT_B, CHAT_C, CHAT_M = (letter * 64 for letter in (b"a", b"b", b"c", b"m"))
AUTHOR_X, AUTHOR_Y = b"x" * 64, b"y" * 64
MESSAGE, MENTION, JOIN = 1, 2, 3
OK, WRONG, INTERNAL, UNREGISTERED = ReportError


def answer(decision: Decision) -> NotificationResponse:
    (reply,) = decision.replies
    assert reply.type == ApplicationType.PUSH_NOTIFICATION_RESPONSE
    return decode(NotificationResponse, reply.payload)


def drafts(decision: Decision) -> list[Draft]:
    return [write.draft for write in decision.writes if isinstance(write, Enqueue)]


def pushes(decision: Decision) -> list[PushBody]:
    return [decode_push_body(draft.message.body) for draft in drafts(decision)]


# Registration, item, error and whether it rings; names are those of reference/status-go.md 8.1.
TABLE: list[Any] = [
    pytest.param({}, {"type": MESSAGE, "chat_id": CHAT_C}, OK, True, id="b1_message"),
    pytest.param({}, {"type": MENTION, "chat_id": CHAT_C}, OK, True, id="b2_mention"),
    pytest.param(None, {"type": MESSAGE}, UNREGISTERED, False, id="b4_message_without_registration"),
    pytest.param({}, {"type": MESSAGE, "access_token": "w"}, WRONG, False, id="b5_message_with_wrong_token"),
    pytest.param({}, {"type": MENTION, "access_token": "w"}, WRONG, False, id="b6_mention_with_wrong_token"),
    pytest.param({}, {"type": MESSAGE, "chat_id": CHAT_B}, OK, False, id="b7_message_in_blocked_chat"),
    pytest.param({}, {"type": MESSAGE, "chat_id": CHAT_M}, OK, False, id="b8_message_in_muted_chat"),
    pytest.param({}, {"type": MESSAGE, "author": AUTHOR_Y}, OK, True, id="b9_message_by_author_in_the_muted_list"),
    pytest.param({}, {"type": MENTION, "chat_id": CHAT_M}, OK, False, id="b10_mention_in_muted_chat"),
    pytest.param({}, {"type": MESSAGE, "author": AUTHOR_X}, OK, False, id="b11_message_by_blocked_author"),
    pytest.param({}, {"type": MENTION, "author": AUTHOR_X}, OK, False, id="b12_mention_by_blocked_author"),
    pytest.param({"block_mentions": True}, {"type": MENTION}, OK, False, id="b13_mention_when_all_are_blocked"),
    pytest.param({}, {"type": MENTION, "chat_id": CHAT_A}, OK, False, id="b14_mention_in_a_chat_not_joined"),
    pytest.param({}, {"type": JOIN, "chat_id": CHAT_B}, OK, True, id="join_request"),
    pytest.param({}, {"type": JOIN, "author": AUTHOR_X}, OK, False, id="join_request_by_blocked_author"),
    pytest.param({}, {"type": MESSAGE, "access_token": ""}, WRONG, False, id="no_token"),
    pytest.param({}, {"type": MESSAGE, "access_token": "\u00e9"}, WRONG, False, id="token_outside_of_ascii"),
    pytest.param({}, {"access_token": "B6AE4FDE-BB65-11EA-B3DE-0242AC130004"}, WRONG, False, id="token_in_capitals"),
    pytest.param({"enabled": False}, {"type": MESSAGE}, OK, False, id="disabled"),
    pytest.param({"token_dead_since": 1}, {"type": MESSAGE}, UNREGISTERED, False, id="dead_device"),
    pytest.param(
        {"allowed_mentions_chat_list": (CHAT_M,)}, {"type": MENTION, "chat_id": CHAT_M}, OK, True, id="muted_mention"
    ),
    pytest.param({"allow_from_contacts_only": True}, {"type": MESSAGE}, OK, True, id="contacts_only_with_token"),
]

LISTS: dict[str, Any] = {
    "blocked_chat_list": (CHAT_B, AUTHOR_X),
    "allowed_mentions_chat_list": (CHAT_C,),
    "muted_chat_list": (CHAT_M, AUTHOR_Y),
}


@pytest.mark.parametrize("changes, fields, error, notified", TABLE)
def test_an_item_is_reported_and_rings_by_the_recipients_rules(  # noqa: PLR0917
    sends: Sends,
    item: Item,
    phone: DeviceKey,
    now: Millis,
    registered: Registered,
    changes: dict[str, Any] | None,
    fields: dict[str, Any],
    error: ReportError,
    notified: bool,
) -> None:
    facts = Facts() if changes is None else registered(**(LISTS | changes))

    decision = decide(sends(item(**fields)), facts, now)

    expected = Report(success=not error, error=error, public_key=phone.key_hash, installation_id=phone.installation_id)
    assert answer(decision) == NotificationResponse(message_id=b"m" * 32, reports=(expected,))
    assert len(pushes(decision)) == notified


@pytest.mark.parametrize("kind", [0, 4, 99, -1])
def test_b3_an_item_of_an_unknown_type_has_no_report_and_no_push(
    sends: Sends, item: Item, now: Millis, kind: int, registered: Registered
) -> None:
    decision = decide(sends(item(type=kind)), registered(), now)

    assert answer(decision) == NotificationResponse(message_id=b"m" * 32)
    assert not pushes(decision)


def test_n1_only_mentions_in_allowed_chats_ring(sends: Sends, item: Item, now: Millis, registered: Registered) -> None:
    facts = registered(allowed_mentions_chat_list=(CHAT_A,))

    decision = decide(sends(item(type=MENTION, chat_id=CHAT_A), item(type=MENTION, chat_id=CHAT_B)), facts, now)

    assert [report.success for report in answer(decision).reports] == [True, True]
    assert [push.chat_id for push in pushes(decision)] == [CHAT_A]


def test_n2_no_mention_rings_when_mentions_are_blocked(
    sends: Sends, item: Item, now: Millis, registered: Registered
) -> None:
    facts = registered(block_mentions=True, allowed_mentions_chat_list=(CHAT_A,))

    decision = decide(sends(item(type=MENTION, chat_id=CHAT_A), item(type=MENTION, chat_id=CHAT_B)), facts, now)

    assert [report.success for report in answer(decision).reports] == [True, True]
    assert not pushes(decision)


def test_a_push_carries_what_its_delivery_needs(
    sends: Sends, item: Item, phone: DeviceKey, now: Millis, registered: Registered
) -> None:
    facts = registered(apn_topic="im.status")
    event = sends(item(type=0), item(type=MESSAGE, chat_id=CHAT_C, message=b"sealed"))

    (draft,) = drafts(decide(event, facts, now))

    push = PushBody(phone, 1, "im.status", NotificationType.MESSAGE, CHAT_C, b"sealed", now)
    assert draft == Draft(
        "token",
        ("device-token",),
        Message("apns", encode_push_body(push), form="spec16"),
        collapse_id=hashlib.sha256(b"device-token" + b"m" * 32).hexdigest(),
    )


def test_reports_echo_their_items_in_order_whatever_they_name(
    sends: Sends, item: Item, phone: DeviceKey, now: Millis, registered: Registered
) -> None:
    strange = item(public_key=b"short", installation_id="no\0uuid")

    decision = decide(sends(strange, item()), registered(), now)

    first, second = answer(decision).reports
    assert first == Report(error=UNREGISTERED, public_key=b"short", installation_id="no\0uuid")
    assert second == Report(success=True, public_key=phone.key_hash, installation_id=phone.installation_id)


def test_a_tombstone_is_not_registered(sends: Sends, item: Item, knows: Knows, phone: DeviceKey, now: Millis) -> None:
    facts = knows({phone: StoredRegistration(3, Millis(1), None, None)})

    assert answer(decide(sends(item()), facts, now)).reports[0].error == UNREGISTERED


def test_a_device_that_could_not_be_loaded_is_our_failure(
    sends: Sends, item: Item, knows: Knows, phone: DeviceKey, now: Millis
) -> None:
    decision = decide(sends(item(), item(type=0)), knows(omitted=[phone]), now)

    assert [report.error for report in answer(decision).reports] == [INTERNAL]
    assert decision.refused == ("facts",)


def test_a_damaged_registration_costs_its_own_items_alone(
    sends: Sends, item: Item, registered: Registered, phone: DeviceKey, now: Millis
) -> None:
    facts = registered()
    tablet = DeviceKey(phone.key_hash, InstallationId("00000000-0000-4000-8000-00000000dead"))
    facts.damaged.add(tablet)

    decision = decide(sends(item(installation_id=tablet.installation_id), item()), facts, now)

    assert [report.error for report in answer(decision).reports] == [INTERNAL, ReportError.NONE]
    assert decision.refused == ("damaged",)


def test_the_answer_is_remembered_and_goes_to_the_sender(
    sends: Sends, item: Item, phone: DeviceKey, now: Millis, registered: Registered
) -> None:
    event = sends(item())

    decision = decide(event, registered(), now)

    (reply,) = decision.replies
    assert reply.recipient == event.sender
    assert SaveResponse(event.request_message_id, reply.payload, now) in decision.writes
    assert MarkNotified(notification_key(phone, b"m" * 32), now) in decision.writes


def test_a_repeated_request_gets_its_answer_again_and_rings_nobody(
    sends: Sends, item: Item, now: Millis, registered: Registered
) -> None:
    facts = registered()
    first = decide(sends(item()), facts, now)
    apply(facts, first)
    facts.devices.clear()

    again = decide(sends(item()), facts, now)

    assert again == Decision(replies=first.replies)


def test_one_message_rings_one_device_once_whichever_key_the_sender_used(
    sends: Sends, item: Item, now: Millis, registered: Registered
) -> None:
    facts = registered()
    first = decide(sends(item()), facts, now)
    apply(facts, first)

    second = decide(sends(item(), request_message_id=b"v" * 32), facts, now)

    assert second.replies[0].payload == first.replies[0].payload
    assert not pushes(second)
    assert not second.buckets


def test_a_device_named_twice_in_a_request_rings_once(
    sends: Sends, item: Item, now: Millis, registered: Registered
) -> None:
    decision = decide(sends(item(), item()), registered(), now)

    assert [report.success for report in answer(decision).reports] == [True, True]
    assert len(pushes(decision)) == 1


def test_a_device_over_its_budget_is_reported_as_rung(
    sends: Sends, item: Item, now: Millis, registered: Registered
) -> None:
    limits = Limits(ring_burst=1, rings_per_minute=60)
    facts = registered()
    first = decide(sends(item()), facts, now, limits)
    apply(facts, first)

    coalesced = decide(sends(item(), message_id=b"n" * 32, request_message_id=b"v" * 32), facts, now, limits)
    apply(facts, coalesced)
    later = Millis(now + 1000)
    notified = decide(sends(item(), message_id=b"o" * 32, request_message_id=b"u" * 32), facts, later, limits)

    assert answer(coalesced).reports == answer(first).reports
    assert not pushes(coalesced)
    assert coalesced.refused == ("rings_coalesced",)
    assert len(pushes(notified)) == 1


def test_a_request_without_message_id_is_met_with_silence(
    sends: Sends, item: Item, now: Millis, registered: Registered
) -> None:
    event = sends(item(), message_id=b"")

    assert decide(event, registered(), now) == Decision()
    assert facts_needed(event) == FactsNeeded()


def test_a_request_with_too_many_items_is_dropped_before_it_costs_anything(
    sends: Sends, item: Item, now: Millis
) -> None:
    limits = Limits(request_items=2)

    assert answer(decide(sends(item(), item()), Facts(), now, limits)).reports
    assert decide(sends(item(), item(), item()), Facts(), now, limits) == Decision(refused=("request_items",))
    assert facts_needed(sends(item(), item(), item()), limits) == FactsNeeded()


def test_an_empty_request_has_an_answer(sends: Sends, now: Millis) -> None:
    assert answer(decide(sends(), Facts(), now)) == NotificationResponse(message_id=b"m" * 32)


def test_a_request_needs_only_devices_that_can_be_registered(sends: Sends, item: Item, phone: DeviceKey) -> None:
    event = sends(item(), item(installation_id="no\0uuid"), item(public_key=b"short"), item(type=0))

    assert facts_needed(event) == FactsNeeded(
        devices=frozenset({phone}),
        requests=frozenset({event.request_message_id}),
        notification_keys=frozenset({notification_key(phone, b"m" * 32)}),
    )


def test_a_notification_key_tells_apart_what_reads_alike() -> None:
    one = notification_key(DeviceKey(KeyHash(b"k"), InstallationId("ab")), b"c")
    other = notification_key(DeviceKey(KeyHash(b"k"), InstallationId("a")), b"bc")

    assert one != other
    assert len(one) == 32
