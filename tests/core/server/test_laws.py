"""What holds over any history of events, also when they come in one batch."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from hushbell.config.limits import Limits
from hushbell.core.server.decide import apply, decide, facts_needed, merge_facts_needed
from hushbell.core.server.events import Event, QueryReceived, RegistrationReceived, RequestReceived
from hushbell.core.server.facts import Decision, Enqueue, Facts, MarkNotified, SaveRegistration, StoredRegistration
from hushbell.core.server.filters import notification_filter, passes
from hushbell.core.server.push_body import decode_push_body
from hushbell.core.server.request import notification_key
from hushbell.crypto.hashes import hash_public_key
from hushbell.types import DeviceKey, InstallationId, KeyHash, MessageId, Millis, PublicKey, RequestId
from hushbell.wire.codec import decode, encode
from hushbell.wire.messages import NotificationRequest, NotificationResponse, PushNotification, Query, Registration

G = "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
ALICE = PublicKey(bytes.fromhex(f"04{G}483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8"))
MALLORY = PublicKey(bytes.fromhex(f"04{G}b7c52588d95c3b9aa25b0403f1eef75702e84bb7597aabe663b82f6f04ef2777"))  # -G
SENDERS = st.sampled_from([ALICE, ALICE, ALICE, MALLORY])
OWNERS = [hash_public_key(key) for key in (ALICE, MALLORY)]
INSTALLATIONS = [InstallationId(f"00000000-0000-0000-0000-{number:012}") for number in range(3)]
TOKENS = ["b6ae4fde-bb65-11ea-b3de-0242ac130004"] * 5 + ["a6ae4fde-bb65-11ea-b3de-0242ac130004"]
HASHES = st.sampled_from([b"c" * 64, b"d" * 64, b"x" * 64])
LISTS = st.lists(HASHES, max_size=1).map(tuple)
SMALL = Limits(ring_burst=2, rings_per_minute=1, installations=3, tombstones=3, request_items=4, query_keys=3)
TIGHT = Limits(installations=1, tombstones=1)
START = Millis(1_600_000_000_000)


def arrived(sender: PublicKey, registration: Registration, *, grant_is_valid: bool) -> RegistrationReceived:
    plaintext = encode(registration)
    return RegistrationReceived(sender, RequestId(b"r" * 64), plaintext, registration, grant_is_valid)


likely_registrations = st.builds(
    Registration,
    token_type=st.sampled_from([1] * 9 + [2, 0, 7]),
    device_token=st.sampled_from(["device"] * 12 + [""]),
    installation_id=st.sampled_from(INSTALLATIONS),
    access_token=st.sampled_from(TOKENS),
    enabled=st.sampled_from([True] * 5 + [False]),
    version=st.integers(0, 5),
    unregister=st.sampled_from([False] * 4 + [True]),
    grant=st.just(b"g" * 65),
    blocked_chat_list=LISTS,
    muted_chat_list=LISTS,
    allowed_mentions_chat_list=LISTS,
    block_mentions=st.booleans(),
    allow_from_contacts_only=st.booleans(),
)
registrations = st.builds(arrived, SENDERS, likely_registrations, grant_is_valid=st.sampled_from([True] * 9 + [False]))
items = st.builds(
    PushNotification,
    access_token=st.sampled_from(TOKENS),
    public_key=st.sampled_from([OWNERS[0]] * 4 + OWNERS),
    installation_id=st.sampled_from(INSTALLATIONS),
    type=st.sampled_from([1, 1, 1, 1, 2, 3, 0, 4]),
    chat_id=HASHES,
    author=HASHES,
)
requests = st.builds(
    RequestReceived,
    SENDERS,
    st.binary(min_size=1, max_size=1).map(lambda letter: MessageId(letter * 32)),
    st.builds(
        NotificationRequest,
        requests=st.lists(items, max_size=5).map(tuple),
        message_id=st.sampled_from([bytes([n]) * 32 for n in range(6)] + [b""]),
    ),
)
queries = st.builds(
    QueryReceived,
    SENDERS,
    st.just(MessageId(b"q" * 32)),
    st.builds(Query, public_keys=st.lists(st.sampled_from([*OWNERS, b"", b"?" * 64]), max_size=4).map(tuple)),
)
histories = st.lists(registrations | registrations | requests | requests | queries, min_size=4, max_size=20)


def version_of(facts: Facts, device: DeviceKey) -> int:
    known = facts.devices.get(device)
    return known.version if known else 0


@given(histories)
def test_whatever_arrives_a_stored_version_never_falls_and_changes_grow_it(history: list[Event]) -> None:
    facts = Facts()

    for event in history:
        before = Facts(devices=dict(facts.devices))
        decision = decide(event, facts, START, SMALL)
        apply(facts, decision)

        for write in decision.writes:
            if isinstance(write, SaveRegistration):
                assert write.replaces == version_of(before, write.device)
                assert write.stored.version >= write.replaces
                if write.stored.version == write.replaces:
                    assert write.stored.plaintext == before.devices[write.device].plaintext


@given(histories)
def test_every_registration_is_answered_and_writes_only_with_success(history: list[Event]) -> None:
    facts = Facts()

    for event in history:
        decision = decide(event, facts, START, SMALL)
        apply(facts, decision)

        if isinstance(event, RegistrationReceived):
            (reply,) = decision.replies
            assert reply.recipient == event.sender
            assert len(decision.writes) <= 1


@given(histories)
def test_what_is_reported_as_success_is_in_the_outbox_unless_a_rule_of_the_recipient_explains_it(
    history: list[Event],
) -> None:
    facts, now = Facts(), START

    for event in history:
        decision = decide(event, facts, now, SMALL)
        if isinstance(event, RequestReceived) and decision.writes:
            check_reports(event, facts, decision)
        apply(facts, decision)


def check_reports(event: RequestReceived, facts: Facts, decision: Decision) -> None:
    """No item with success, not filtered, not rung before and within its budget, is without a push."""
    response = decode(NotificationResponse, decision.replies[0].payload)
    reported = [item for item in event.request.requests if 0 < item.type < 4]
    drafts = [write.draft for write in decision.writes if isinstance(write, Enqueue)]
    pushed = {decode_push_body(draft.message.body).device for draft in drafts}
    notified = {write.notification_key for write in decision.writes if isinstance(write, MarkNotified)}
    left = {device: bucket.tokens for device, bucket in decision.buckets}
    assert len(response.reports) == len(reported)
    assert len(pushed) == len(notified) == sum(isinstance(write, Enqueue) for write in decision.writes)
    for item, report in zip(reported, response.reports, strict=True):
        device = DeviceKey(KeyHash(item.public_key), InstallationId(item.installation_id))
        assert report.success == (not report.error)
        if not report.success:
            continue
        registration = facts.devices[device].registration
        assert registration is not None
        ring = notification_key(device, event.request.message_id)
        filtered = not passes(notification_filter(registration), item)
        over_budget = left.get(device, 9.0) < 1.0 and device not in pushed
        assert filtered or ring in facts.notified or over_budget or (device in pushed and ring in notified)


@given(likely_registrations, st.lists(items, min_size=1, max_size=4), st.data())
def test_filtered_rung_coalesced_and_delivered_have_the_same_answer(
    registration: Registration, asked: list[PushNotification], data: Any
) -> None:
    permissive = replace(
        registration,
        enabled=True,
        block_mentions=False,
        blocked_chat_list=(),
        muted_chat_list=(),
        allowed_mentions_chat_list=(b"c" * 64, b"d" * 64, b"x" * 64),
    )
    device = DeviceKey(OWNERS[0], InstallationId(registration.installation_id))
    request = NotificationRequest(requests=tuple(asked), message_id=b"m" * 32)
    event = RequestReceived(MALLORY, MessageId(b"w" * 32), request)

    def answer(new: Registration, *, notified: bool = False, limits: Limits = SMALL) -> bytes:
        facts = Facts(devices={device: StoredRegistration(1, START, b"p", new)})
        if notified:
            facts.notified.add(notification_key(device, b"m" * 32))
        (reply,) = decide(event, facts, START, limits).replies
        return reply.payload

    delivered = answer(permissive)

    assert answer(registration) == delivered
    assert answer(permissive, notified=True) == delivered
    assert answer(permissive, limits=Limits(ring_burst=0, rings_per_minute=0)) == delivered


@given(histories)
def test_a_batch_is_decided_as_its_events_would_be_one_by_one(
    model_store: Callable[[], Any], history: list[Event]
) -> None:
    singly, together = model_store(), model_store()
    one_by_one = []
    for event in history:
        decision = decide(event, singly.load(facts_needed(event, SMALL)), START, SMALL)
        singly.commit(decision)
        one_by_one.append(decision)

    facts = together.load(merge_facts_needed(facts_needed(event, SMALL) for event in history))
    batch = []
    for event in history:
        decision = decide(event, facts, START, SMALL)
        apply(facts, decision)
        batch.append(decision)

    assert batch == one_by_one


@given(histories)
def test_the_installations_and_tombstones_of_an_owner_stay_within_their_bounds(history: list[Event]) -> None:
    facts = Facts()

    for event in history:
        apply(facts, decide(event, facts, START, TIGHT))

    for installations in facts.installations.values():
        live = sum(installations.values())
        assert live <= TIGHT.installations
        assert len(installations) <= TIGHT.installations + TIGHT.tombstones


hostile_registrations = st.builds(
    Registration,
    token_type=st.integers(-(2**31), 2**31 - 1),
    device_token=st.text(max_size=5),
    installation_id=st.text(max_size=40),
    access_token=st.text(max_size=40),
    version=st.integers(0, 2**64 - 1),
    grant=st.binary(max_size=66),
    unregister=st.booleans(),
)
hostile = st.one_of(
    st.builds(
        RegistrationReceived,
        SENDERS,
        st.binary(max_size=64).map(RequestId),
        st.binary(max_size=20),
        st.none() | hostile_registrations,
        st.booleans(),
    ),
    st.builds(
        QueryReceived,
        SENDERS,
        st.binary(max_size=32).map(MessageId),
        st.builds(Query, public_keys=st.lists(st.binary(max_size=65), max_size=5).map(tuple)),
    ),
    st.builds(
        RequestReceived,
        SENDERS,
        st.binary(max_size=32).map(MessageId),
        st.builds(
            NotificationRequest,
            requests=st.lists(
                st.builds(
                    PushNotification,
                    access_token=st.text(max_size=5),
                    public_key=st.binary(max_size=65),
                    installation_id=st.text(max_size=40),
                    type=st.integers(-(2**31), 2**31 - 1),
                    chat_id=st.binary(max_size=5),
                    author=st.binary(max_size=5),
                ),
                max_size=5,
            ).map(tuple),
            message_id=st.binary(max_size=5),
        ),
    ),
)


@settings(max_examples=200)
@given(hostile)
def test_any_event_gives_a_decision(event: Event) -> None:
    for limits in (SMALL, Limits()):
        names = facts_needed(event, limits)
        assert all(len(device.key_hash) == 64 and "\0" not in device.installation_id for device in names.devices)

        assert isinstance(decide(event, Facts(), START, limits), Decision)
