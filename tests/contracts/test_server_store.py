"""What every store of the server promises. P1 to P4 are status-go's tests (reference/status-go.md 8.2)."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from hushbell.core.delivery.changes import Changes
from hushbell.core.delivery.job import Job, JobResult
from hushbell.core.delivery.notification import Message, Notification
from hushbell.core.delivery.state import State
from hushbell.core.server.facts import (
    FactsNeeded,
    MarkDeadToken,
    MarkNotified,
    SaveRegistration,
    SaveResponse,
)
from hushbell.errors import StoreMismatch, StoreUnavailable, VersionConflict
from hushbell.ports.outbox import committed
from hushbell.ports.server_store import ServerStore
from hushbell.types import Millis, NotificationKey, PrivateKey, SymmetricKey

MUCH = 64 * 1024 * 1024  # bytes
NOW = Millis(1_800_000_000_000)
Made = Any  # of tests/stores/fixtures.py
RING = NotificationKey(b"r" * 32)
OTHER_RING = NotificationKey(b"q" * 32)


async def test_p1_save_then_load_by_owner_and_installation_gives_the_same(store: ServerStore, made: Made) -> None:
    device = made.device()

    await store.commit([made.save(device)])

    facts = await store.load(FactsNeeded(devices=frozenset({device})), byte_limit=MUCH)
    assert facts.devices == {device: made.stored()}


async def test_p2_the_identity_is_none_until_one_is_pinned(store: ServerStore) -> None:
    assert await store.identity() is None

    await store.pin_identity(PrivateKey(b"1" * 32))

    assert await store.identity() == b"1" * 32
    await store.pin_identity(PrivateKey(b"1" * 32))


async def test_p3_second_identity_is_refused(store: ServerStore) -> None:
    await store.pin_identity(PrivateKey(b"1" * 32))

    with pytest.raises(StoreMismatch):
        await store.pin_identity(PrivateKey(b"2" * 32))

    assert await store.identity() == b"1" * 32


async def test_p4_a_request_is_known_from_the_second_time_on(store: ServerStore, made: Made) -> None:
    needed = FactsNeeded(requests=frozenset({made.request(1), made.request(2)}))
    assert (await store.load(needed, byte_limit=MUCH)).responses == {}

    await store.commit([SaveResponse(made.request(1), b"response", made.now)])

    assert (await store.load(needed, byte_limit=MUCH)).responses == {made.request(1): b"response"}


async def test_a_second_answer_to_a_request_is_a_conflict_and_the_first_one_stays(
    store: ServerStore, made: Made
) -> None:
    await store.commit([SaveResponse(made.request(1), b"first", made.now)])

    with pytest.raises(VersionConflict):
        await store.commit([SaveResponse(made.request(1), b"second", made.now), MarkNotified(RING, made.now)])

    facts = await store.load(FactsNeeded(requests=frozenset({made.request(1)})), byte_limit=MUCH)
    assert facts.responses == {made.request(1): b"first"}


async def test_a_ring_that_is_known_is_a_conflict_and_nothing_is_written(store: ServerStore, made: Made) -> None:
    await store.commit([MarkNotified(RING, made.now)])

    with pytest.raises(VersionConflict):
        await store.commit([made.save(made.device()), MarkNotified(RING, made.now)])

    facts = await store.load(FactsNeeded(devices=frozenset({made.device()})), byte_limit=MUCH)
    assert not facts.devices


async def test_what_was_never_seen_is_absent(store: ServerStore, made: Made) -> None:
    needed = FactsNeeded(
        devices=frozenset({made.device()}),
        installations=frozenset({made.key_hash()}),
        queried=frozenset({made.key_hash()}),
        notification_keys=frozenset({RING}),
    )

    facts = await store.load(needed, byte_limit=MUCH)

    assert (facts.devices, facts.installations, facts.notified, facts.omitted) == ({}, {}, set(), set())


async def test_a_lost_race_writes_nothing_at_all(store: ServerStore, made: Made) -> None:
    await store.commit([made.save(made.device(1))])
    writes = [made.save(made.device(2)), MarkNotified(RING, made.now), made.save(made.device(1))]

    with pytest.raises(VersionConflict):
        await store.commit(writes)

    needed = FactsNeeded(devices=frozenset({made.device(1), made.device(2)}), notification_keys=frozenset({RING}))
    facts = await store.load(needed, byte_limit=MUCH)
    assert set(facts.devices) == {made.device(1)}
    assert not facts.notified


@pytest.mark.parametrize("replaces", [1, 3])
async def test_replacing_another_version_than_the_stored_one_is_a_conflict(
    store: ServerStore, made: Made, replaces: int
) -> None:
    device = made.device()
    await store.commit([made.save(device, 2)])

    with pytest.raises(VersionConflict):
        await store.commit([made.save(device, 4, replaces=replaces)])

    await store.commit([made.save(device, 4, replaces=2)])
    facts = await store.load(FactsNeeded(devices=frozenset({device})), byte_limit=MUCH)
    assert facts.devices[device].version == 4


async def test_replacing_what_was_never_stored_is_a_conflict(store: ServerStore, made: Made) -> None:
    with pytest.raises(VersionConflict):
        await store.commit([made.save(made.device(), 2, replaces=1)])


async def test_one_commit_may_replace_a_registration_twice(store: ServerStore, made: Made) -> None:
    device = made.device()

    await store.commit([made.save(device, 1), made.save(device, 2, replaces=1)])

    facts = await store.load(FactsNeeded(devices=frozenset({device})), byte_limit=MUCH)
    assert facts.devices[device] == made.stored(2)


async def test_a_conflict_in_one_call_leaves_calls_beside_it_alone(store: ServerStore, made: Made) -> None:
    await store.commit([made.save(made.device(1))])
    calls = [
        store.commit([MarkNotified(NotificationKey(bytes([n]) * 32), made.now), made.save(made.device(n))])
        for n in range(9)
    ]

    results = await asyncio.gather(*calls, return_exceptions=True)

    assert [type(result) for result in results] == [type(None), VersionConflict, *[type(None)] * 7]
    notification_keys = frozenset(NotificationKey(bytes([n]) * 32) for n in range(9))
    facts = await store.load(FactsNeeded(notification_keys=notification_keys), byte_limit=MUCH)
    assert facts.notified == notification_keys - {NotificationKey(b"\1" * 32)}


async def test_many_commits_at_once_are_each_all_or_nothing(store: ServerStore, made: Made) -> None:
    async def contend(worker: int) -> list[int]:
        won = []
        for version in range(1, 21):
            mark = MarkNotified(NotificationKey(bytes([worker, version]) * 16), made.now)
            try:
                await store.commit([mark, made.save(made.device(), version, replaces=version - 1)])
            except VersionConflict:
                continue
            won.append(version)
        return won

    won = await asyncio.gather(*(contend(worker) for worker in range(8)))

    assert sorted(version for versions in won for version in versions) == list(range(1, 21))
    marks = frozenset(NotificationKey(bytes([worker, version]) * 16) for worker in range(8) for version in range(1, 21))
    facts = await store.load(FactsNeeded(notification_keys=marks), byte_limit=MUCH)
    assert facts.notified == {
        NotificationKey(bytes([worker, version]) * 16) for worker, versions in enumerate(won) for version in versions
    }


async def test_a_call_whose_caller_goes_away_is_still_all_or_nothing(store: ServerStore, made: Made) -> None:
    task = asyncio.ensure_future(store.commit([MarkNotified(RING, made.now), MarkNotified(OTHER_RING, made.now)]))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    await store.commit([made.save(made.device())])

    facts = await store.load(FactsNeeded(notification_keys=frozenset({RING, OTHER_RING})), byte_limit=MUCH)
    assert len(facts.notified) in {0, 2}


async def test_an_owner_has_installations_that_are_live_or_not(store: ServerStore, made: Made) -> None:
    await store.commit([made.save(made.device(1, 1)), made.save(made.device(1, 2)), made.save(made.device(2, 1))])
    await store.commit([SaveRegistration(made.device(1, 2), made.tombstone(2), replaces=1)])

    facts = await store.load(FactsNeeded(installations=frozenset({made.key_hash(1)})), byte_limit=MUCH)

    names = [made.device(1, n).installation_id for n in (1, 2)]
    assert facts.installations == {made.key_hash(1): {names[0]: True, names[1]: False}}
    assert facts.devices == {}


async def test_a_tombstone_keeps_the_version_alone(store: ServerStore, made: Made) -> None:
    device = made.device()
    await store.commit([made.save(device)])

    await store.commit([SaveRegistration(device, made.tombstone(7), replaces=1)])

    facts = await store.load(FactsNeeded(devices=frozenset({device})), byte_limit=MUCH)
    assert facts.devices == {device: made.tombstone(7)}


async def test_a_query_loads_every_live_registration_of_its_owners(store: ServerStore, made: Made) -> None:
    devices = [made.device(key_hash, installation) for key_hash in range(1, 40) for installation in (1, 2)]
    await store.commit([made.save(device) for device in devices])
    await store.commit([SaveRegistration(devices[1], made.tombstone(2), replaces=1)])
    key_hashes = frozenset(made.key_hash(key_hash) for key_hash in range(1, 39))

    facts = await store.load(FactsNeeded(queried=key_hashes), byte_limit=MUCH)

    assert set(facts.devices) == {devices[0], *devices[2:-2]}
    assert set(facts.devices.values()) == {made.stored()}


async def test_more_keys_than_fit_into_one_look_up_are_all_found(store: ServerStore, made: Made) -> None:
    devices = frozenset(made.device(number) for number in range(301))
    notification_keys = frozenset(NotificationKey(number.to_bytes(32, "big")) for number in range(301))
    requests = frozenset(made.request(number) for number in range(301))
    await store.commit([made.save(device) for device in devices])
    await store.commit([MarkNotified(ring, made.now) for ring in notification_keys])
    await store.commit([SaveResponse(request, request, made.now) for request in requests])

    facts = await store.load(
        FactsNeeded(devices=devices, notification_keys=notification_keys, requests=requests), byte_limit=MUCH
    )

    assert set(facts.devices) == devices
    assert facts.notified == notification_keys
    assert facts.responses == {request: request for request in requests}


async def test_registrations_over_the_byte_limit_are_left_out_and_named(store: ServerStore, made: Made) -> None:
    large, small = made.device(1), made.device(2)
    await store.commit([made.save(large, muted=100), made.save(small)])
    limit = len(made.stored().plaintext)

    facts = await store.load(FactsNeeded(devices=frozenset({large, small})), byte_limit=limit)

    assert (set(facts.devices), facts.omitted) == ({small}, {large})
    facts = await store.load(FactsNeeded(queried=frozenset({made.key_hash(1), made.key_hash(2)})), byte_limit=limit - 1)
    assert (set(facts.devices), facts.omitted) == (set(), {large, small})


async def test_a_large_registration_comes_back_whole(store: ServerStore, made: Made) -> None:
    device = made.device()
    await store.commit([made.save(device, muted=200)])

    facts = await store.load(FactsNeeded(queried=frozenset({made.key_hash()})), byte_limit=MUCH)

    assert facts.devices == {device: made.stored(muted=200)}


async def test_the_named_devices_come_before_those_of_a_query(store: ServerStore, made: Made) -> None:
    await store.commit([made.save(made.device(1, n)) for n in range(1, 6)])
    needed = FactsNeeded(devices=frozenset({made.device(1, 5)}), queried=frozenset({made.key_hash()}))

    facts = await store.load(needed, byte_limit=len(made.stored().plaintext))

    assert set(facts.devices) == {made.device(1, 5)}
    assert facts.omitted == {made.device(1, n) for n in range(1, 5)}


async def test_a_token_that_died_marks_the_registration(store: ServerStore, made: Made) -> None:
    await store.commit([made.save(made.device())])

    await store.commit([MarkDeadToken(made.device(), Millis(made.now + 5))])

    facts = await store.load(FactsNeeded(queried=frozenset({made.key_hash()})), byte_limit=MUCH)
    assert facts.devices[made.device()] == replace(made.stored(), token_dead_since=made.now + 5)


async def test_a_token_that_died_before_the_registration_says_nothing(store: ServerStore, made: Made) -> None:
    await store.commit([made.save(made.device())])

    await store.commit([MarkDeadToken(made.device(), Millis(made.now - 1)), MarkDeadToken(made.device(9), made.now)])

    facts = await store.load(FactsNeeded(devices=frozenset({made.device(), made.device(9)})), byte_limit=MUCH)
    assert facts.devices == {made.device(): made.stored()}


async def test_a_tombstone_cannot_die(store: ServerStore, made: Made) -> None:
    await store.commit([SaveRegistration(made.device(), made.tombstone(1), replaces=0)])

    await store.commit([MarkDeadToken(made.device(), made.now)])

    facts = await store.load(FactsNeeded(devices=frozenset({made.device()})), byte_limit=MUCH)
    assert facts.devices == {made.device(): made.tombstone(1)}


async def test_an_identical_registration_revives_a_dead_one(store: ServerStore, made: Made) -> None:
    await store.commit([made.save(made.device()), MarkDeadToken(made.device(), made.now)])

    await store.commit([SaveRegistration(made.device(), made.stored(at=made.now + 9), replaces=1)])

    facts = await store.load(FactsNeeded(devices=frozenset({made.device()})), byte_limit=MUCH)
    assert facts.devices == {made.device(): made.stored(at=made.now + 9)}


async def test_owners_are_those_of_live_registrations_each_once(store: ServerStore, made: Made) -> None:
    await store.commit([made.save(made.device(1, 1)), made.save(made.device(1, 2)), made.save(made.device(2, 1))])
    await store.commit([SaveRegistration(made.device(2, 1), made.tombstone(2), replaces=1)])

    assert list(await store.key_hashes()) == [made.key_hash(1)]


async def test_a_ring_is_remembered(store: ServerStore, made: Made) -> None:
    await store.commit([MarkNotified(RING, made.now), MarkNotified(RING, made.now)])

    facts = await store.load(FactsNeeded(notification_keys=frozenset({RING, OTHER_RING})), byte_limit=MUCH)

    assert facts.notified == {RING}


async def test_days_that_ended_are_forgotten_and_nothing_else(store: ServerStore, made: Made) -> None:
    later = Millis(made.now + made.day)
    await store.commit([MarkNotified(RING, made.now), SaveResponse(made.request(1), b"1", made.now)])
    await store.commit([MarkNotified(OTHER_RING, later), SaveResponse(made.request(2), b"2", later)])
    await store.commit([made.save(made.device())])

    assert await store.forget(made.now) == 0
    assert await store.forget(later) == 2

    needed = FactsNeeded(
        notification_keys=frozenset({RING, OTHER_RING}),
        requests=frozenset({made.request(1), made.request(2)}),
        devices=frozenset({made.device()}),
    )
    facts = await store.load(needed, byte_limit=MUCH)
    assert facts.notified == {OTHER_RING}
    assert facts.responses == {made.request(2): b"2"}
    assert facts.devices == {made.device(): made.stored()}


async def test_a_query_key_is_kept(store: ServerStore, made: Made) -> None:
    assert await store.query_key(made.key_hash()) is None

    await store.keep_query_key(made.key_hash(), SymmetricKey(b"k" * 32))

    assert await store.query_key(made.key_hash()) == b"k" * 32
    assert await store.query_key(made.key_hash(2)) is None


async def test_writing_nothing_is_allowed(store: ServerStore) -> None:
    await store.commit([])


async def test_closing_finishes_what_was_accepted_and_refuses_the_rest(store: ServerStore, made: Made) -> None:
    accepted = [asyncio.ensure_future(store.commit([made.save(made.device(number))])) for number in range(5)]
    await asyncio.sleep(0)

    await store.close()

    assert await asyncio.gather(*accepted) == [None] * 5
    with pytest.raises(StoreUnavailable):
        await store.commit([made.save(made.device(9))])
    with pytest.raises(StoreUnavailable):
        await store.load(FactsNeeded(), byte_limit=MUCH)
    await store.close()


def job_of(store: ServerStore) -> Job:
    first, (ident,) = store.outbox.reserve(1)
    message = Message("apns", b"body", form="spec16")
    return Job(first, "server", NOW, (Notification(ident, "server", "token", ("token",), message, NOW),))


async def test_facts_and_jobs_of_one_commit_are_both_there(store: ServerStore, made: Made) -> None:
    job = job_of(store)

    await committed(store.outbox, Changes(server=[made.save(made.device()), MarkNotified(RING, NOW)], jobs=[job]))

    facts = await store.load(
        FactsNeeded(devices=frozenset({made.device()}), notification_keys=frozenset({RING})), byte_limit=MUCH
    )
    assert list(facts.devices) == [made.device()]
    assert facts.notified == {RING}
    assert list(await store.outbox.read([job.number])) == [(job, None)]


@pytest.mark.parametrize("lost", ["registration", "answer", "ring"])
async def test_a_lost_race_leaves_neither_facts_nor_jobs(store: ServerStore, made: Made, lost: str) -> None:
    await store.commit(
        [made.save(made.device()), SaveResponse(made.request(1), b"first", NOW), MarkNotified(RING, NOW)]
    )
    write = {
        "registration": made.save(made.device()),
        "answer": SaveResponse(made.request(1), b"second", NOW),
        "ring": MarkNotified(RING, NOW),
    }[lost]
    job, other = job_of(store), job_of(store)

    results = await asyncio.gather(
        committed(store.outbox, Changes(server=[made.save(made.device(2)), write], jobs=[job])),
        committed(store.outbox, Changes(server=[made.save(made.device(3))], jobs=[other])),
        return_exceptions=True,
    )

    assert [type(result) for result in results] == [VersionConflict, type(None)]
    assert [waiting.number for waiting in await store.outbox.open_jobs()] == [other.number]
    devices = frozenset({made.device(2), made.device(3)})
    facts = await store.load(FactsNeeded(devices=devices), byte_limit=MUCH)
    assert list(facts.devices) == [made.device(3)]


async def test_facts_may_change_with_how_a_job_ended(store: ServerStore, made: Made) -> None:
    job = job_of(store)
    await committed(store.outbox, Changes(server=[made.save(made.device())], jobs=[job]))
    result = JobResult(job.number, "server", NOW, NOW, (1,), bytes([State.DEAD_TOKEN]), b"\1")

    await committed(store.outbox, Changes(server=[MarkDeadToken(made.device(), NOW)], results=[result]))

    facts = await store.load(FactsNeeded(devices=frozenset({made.device()})), byte_limit=MUCH)
    assert facts.devices[made.device()].token_dead_since == NOW
    assert await store.outbox.find(job.number) == result
