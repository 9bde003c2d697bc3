"""What every store promises about its outbox (ports/store.py)."""

from typing import Any

from hushbell.core.push import Pending
from hushbell.core.server.facts import Defer, Enqueue, Settle
from hushbell.ports.server_store import ServerStore
from hushbell.types import Millis

Made = Any  # of conftest.py


async def test_a_push_is_due_from_its_creation_on(store: ServerStore, made: Made) -> None:
    push = made.push()

    await store.commit([Enqueue(push)])

    assert list(await store.due(made.now, 10)) == [Pending(push, 0, made.now)]
    assert list(await store.due(Millis(made.now - 1), 10)) == []
    assert await store.push_state(push.notification_id) == "pending"


async def test_requests_leave_in_order_of_arrival_and_whole(store: ServerStore, made: Made) -> None:
    await store.commit([Enqueue(made.push(7, 1)), Enqueue(made.push(3, 0)), Enqueue(made.push(7, 0))])
    await store.commit([Enqueue(made.push(1, position)) for position in range(3)])

    everything = [pending.push.notification_id for pending in await store.due(made.now, 100)]
    first = [pending.push.notification_id for pending in await store.due(made.now, 1)]
    third = [pending.push.notification_id for pending in await store.due(made.now, 4)]

    assert everything == [made.name(*pair) for pair in ((7, 0), (7, 1), (3, 0), (1, 0), (1, 1), (1, 2))]
    assert first == everything[:2]
    assert third == everything


async def test_a_commit_of_requests_of_all_sizes_keeps_them_whole_and_in_order(store: ServerStore, made: Made) -> None:
    sizes = (3, 150, 1, 70, 64, 8, 200, 1, 1)
    pushes = [made.push(len(sizes) - number, position) for number, size in enumerate(sizes) for position in range(size)]
    await store.commit([Enqueue(made.push(200)), Enqueue(pushes[5])])  # one of them is known already

    await store.commit([Enqueue(push) for push in pushes])
    await store.commit([Enqueue(push) for push in pushes])
    await store.commit([Enqueue(made.push(100, position)) for position in range(2)])

    wanted = [made.push(200), pushes[5], *pushes[:5], *pushes[6:], made.push(100, 0), made.push(100, 1)]
    assert [pending.push for pending in await store.due(made.now, 10_000)] == wanted
    read: list[int] = []
    after = None
    while due := await store.due(made.now, 1, after=after):
        after = due[-1].push.notification_id
        read.append(len(due))
    assert read == [1, 1, 3, 149, 1, 70, 64, 8, 200, 1, 1, 2]


async def test_what_comes_and_what_goes_in_one_commit_keep_their_order(store: ServerStore, made: Made) -> None:
    await store.commit([Enqueue(made.push(1)), Enqueue(made.push(2))])

    await store.commit(
        [
            Enqueue(made.push(3)),
            Settle(made.name(3), "delivered", 1, made.now),
            Settle(made.name(4), "failed", 1, made.now),
            Enqueue(made.push(4)),
            Defer(made.name(1), 1, Millis(made.now + 5)),
            Settle(made.name(1), "dropped", 2, made.now),
            Settle(made.name(2), "delivered", 1, made.now),
            Defer(made.name(2), 7, made.now),
            Enqueue(made.push(5)),
            Defer(made.name(5), 1, Millis(made.now + 9)),
        ]
    )

    states = [await store.push_state(made.name(number)) for number in range(1, 6)]
    assert states == ["dropped", "delivered", "delivered", "pending", "pending"]
    assert [pending.push for pending in await store.due(made.now, 9)] == [made.push(4)]
    assert await store.next_due(made.now) == made.now + 9


async def test_a_reader_can_page_while_pushes_are_settled(store: ServerStore, made: Made) -> None:
    for request in (5, 4, 3):
        await store.commit([Enqueue(made.push(request, position)) for position in range(2)])
    first = [pending.push.notification_id for pending in await store.due(made.now, 1)]
    await store.commit([Settle(first[-1], "delivered", 1, made.now)])

    second = [pending.push.notification_id for pending in await store.due(made.now, 1, after=first[-1])]
    third = [pending.push.notification_id for pending in await store.due(made.now, 9, after=second[0])]

    assert second == [made.name(4, 0), made.name(4, 1)]
    assert third == [made.name(3, 0), made.name(3, 1)]
    assert list(await store.due(made.now, 1, after=third[-1])) == []


async def test_a_request_that_arrives_after_everything_left_is_behind_what_was_read(
    store: ServerStore, made: Made
) -> None:
    await store.commit([Enqueue(made.push(1))])
    await store.commit([Settle(made.name(1), "delivered", 1, made.now)])

    await store.commit([Enqueue(made.push(2))])

    behind = await store.due(made.now, 9, after=made.name(1))
    assert [pending.push for pending in behind] == [made.push(2)]


async def test_a_deferred_push_waits_for_its_time(store: ServerStore, made: Made) -> None:
    await store.commit([Enqueue(made.push(1)), Enqueue(made.push(2))])
    assert await store.next_due(made.now) is None

    await store.commit([Defer(made.name(1), 3, Millis(made.now + 50))])

    assert [pending.push for pending in await store.due(made.now, 9)] == [made.push(2)]
    assert await store.next_due(made.now) == made.now + 50
    assert (await store.due(Millis(made.now + 50), 9))[0] == Pending(made.push(1), 3, Millis(made.now + 50))


async def test_a_push_has_one_final_state(store: ServerStore, made: Made) -> None:
    await store.commit([Enqueue(made.push(1))])

    await store.commit([Settle(made.name(1), "delivered", 1, made.now)])
    await store.commit([Settle(made.name(1), "failed", 2, made.now), Defer(made.name(1), 3, made.now)])
    await store.commit([Enqueue(made.push(1)), Settle(made.name(9), "failed", 1, made.now)])

    assert await store.push_state(made.name(1)) == "delivered"
    assert await store.push_state(made.name(9)) is None
    assert list(await store.due(made.now, 9)) == []


async def test_the_same_push_is_queued_once(store: ServerStore, made: Made) -> None:
    await store.commit([Enqueue(made.push(1))])

    await store.commit([Enqueue(made.push(1)), Enqueue(made.push(2))])

    assert [pending.push for pending in await store.due(made.now, 9)] == [made.push(1), made.push(2)]
