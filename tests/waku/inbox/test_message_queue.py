"""The place where messages for the server arrive: each once, bounded, and true after a restart."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from hushbell import wire
from hushbell.errors import StoreUnavailable
from hushbell.testing.clock import FakeClock
from hushbell.types import DEFAULT_PUBSUB_TOPIC, Envelope, PubsubTopic
from hushbell.waku.inbox.message_queue import SAVE_INTERVAL, MessageQueue
from hushbell.waku.inbox.seen_window import SETTLE_MILLIS, SeenFile
from hushbell.waku.message import RawMessage
from hushbell.wire.messages import WakuMessage

Open = Callable[..., Awaitable[MessageQueue]]
Build = Callable[..., bytes]
SHARD = DEFAULT_PUBSUB_TOPIC


def envelope(data: bytes) -> Envelope:
    return Envelope(SHARD, data)


async def received(queue: MessageQueue, limit: int) -> list[Envelope]:
    return [Envelope(one.raw.pubsub_topic, one.raw.data) for one in await queue.receive(limit)]


async def nothing(place: MessageQueue) -> bool:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(received(place, 1), 0.01)
    return True


async def let_pass(clock: FakeClock, seconds: float) -> None:
    """Let the flushing task look once after so many seconds."""
    clock.advance(seconds)
    for _ in range(50):
        await asyncio.sleep(0.001)


async def test_a_message_comes_once_whichever_way_it_arrives(
    place: Open, message: Build, counted: Counter[str]
) -> None:
    receiving = await place()

    receiving.add(RawMessage(SHARD, message(1)))
    await receiving.add_when_room(RawMessage(SHARD, message(1)))
    decoded = wire.decode(WakuMessage, message(1))
    receiving.add(
        RawMessage(SHARD, b"\x18\x01\x12" + bytes([len(decoded.content_topic)]) + decoded.content_topic.encode())
    )

    assert (await received(receiving, 10))[0] == envelope(message(1))
    assert counted["waku_repeated"] == 1


async def test_the_same_message_on_another_shard_is_another(place: Open, message: Build) -> None:
    receiving = await place()

    receiving.add(RawMessage(SHARD, message(1)))
    receiving.add(RawMessage(PubsubTopic("/waku/2/rs/16/64"), message(1)))

    assert len(await received(receiving, 10)) == 2


async def test_what_is_not_wanted_is_gone_before_anything_is_done_with_it(
    place: Open, message: Build, counted: Counter[str]
) -> None:
    receiving = await place()
    receiving.route = {"/mine"}.__contains__

    receiving.add(RawMessage(SHARD, message(1, topic="/other")))
    receiving.add(RawMessage(SHARD, b"\xff\xff garbage"))
    receiving.add(RawMessage(SHARD, message(2, topic="/mine")))

    assert await received(receiving, 10) == [envelope(message(2, topic="/mine"))]
    assert not counted


async def test_a_message_over_the_limit_is_dropped_before_it_is_decoded(
    place: Open, message: Build, counted: Counter[str]
) -> None:
    receiving = await place(message_limit=100)

    receiving.add(RawMessage(SHARD, message(1, size=104)))
    receiving.add(RawMessage(SHARD, message(2)))

    assert await received(receiving, 10) == [envelope(message(2))]
    assert not counted


async def test_each_message_has_the_route_of_the_topic_that_it_was_decoded_with(place: Open, message: Build) -> None:
    receiving = await place()
    receiving.route = {"/mine": "mine", "/ours": "ours"}.get
    crafted = message(1, topic="/mine") + b"\x12\x05/ours"
    foreign = message(2, topic="/mine") + b"\x12\x06/other"

    for data in (message(3, topic="/mine"), crafted, foreign):
        receiving.add(RawMessage(SHARD, data))

    assert [(one.route, one.raw.data) for one in await receiving.receive(10)] == [
        ("mine", message(3, topic="/mine")),
        ("ours", crafted),
    ]


async def test_our_own_messages_do_not_come_back(place: Open, message: Build) -> None:
    receiving = await place()

    receiving.mark_published([envelope(message(1))])
    receiving.add(RawMessage(SHARD, message(1)))

    assert await nothing(receiving)


async def test_a_full_place_drops_counts_and_asks_for_the_message_once_there_is_room(
    place: Open, message: Build, counted: Counter[str]
) -> None:
    gaps: list[str] = []
    receiving = await place(max_messages=4)
    receiving.on_room = lambda: gaps.append("gap")

    for number in range(6):
        receiving.add(RawMessage(SHARD, message(number)))

    assert counted["waku_inbox_dropped"] == 2
    assert not gaps
    assert len(await received(receiving, 10)) == 4
    assert gaps == ["gap"]
    await receiving.add_when_room(RawMessage(SHARD, message(5)))
    assert await received(receiving, 1) == [envelope(message(5))]


async def test_bytes_are_bounded_too(
    place: Open, message: Build, counted: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hushbell.waku.inbox.message_queue.MAX_BYTES", 4096)
    receiving = await place()

    for number in range(6):
        receiving.add(RawMessage(SHARD, message(number, size=1024)))

    assert counted["waku_inbox_dropped"] == 2


async def test_whoever_fetches_waits_for_room(place: Open, message: Build) -> None:
    receiving = await place(max_messages=2)
    receiving.add(RawMessage(SHARD, message(1)))
    receiving.add(RawMessage(SHARD, message(2)))
    fetching = asyncio.create_task(receiving.add_when_room(RawMessage(SHARD, message(3))))
    await asyncio.sleep(0)

    assert not fetching.done()
    await received(receiving, 2)

    await fetching
    assert await received(receiving, 1) == [envelope(message(3))]


async def test_after_a_stop_nothing_that_was_handed_on_comes_again(place: Open, message: Build, tmp_path: Path) -> None:
    receiving = await place(tmp_path / "seen.db")
    receiving.add(RawMessage(SHARD, message(1)))
    receiving.add(RawMessage(SHARD, message(2)))
    await received(receiving, 1)

    await receiving.close()
    again = await place(tmp_path / "seen.db")
    again.add(RawMessage(SHARD, message(1)))
    again.add(RawMessage(SHARD, message(2)))

    assert await received(again, 10) == [envelope(message(2))], "what nobody took is owed"


async def test_after_a_kill_only_what_was_finished_long_ago_stays_away(
    place: Open, message: Build, tmp_path: Path, clock: FakeClock
) -> None:
    receiving = await place(tmp_path / "seen.db")
    flushing = asyncio.create_task(receiving.save_regularly())
    old, new = message(1), message(2)
    receiving.add(RawMessage(SHARD, old))
    await received(receiving, 1)
    await let_pass(clock, SETTLE_MILLIS / 1000)
    receiving.add(RawMessage(SHARD, new))
    await received(receiving, 1)
    await let_pass(clock, SAVE_INTERVAL)
    flushing.cancel()

    again = await place(tmp_path / "seen.db")
    again.add(RawMessage(SHARD, old))
    again.add(RawMessage(SHARD, new))

    assert await received(again, 10) == [envelope(new)]


async def test_a_first_start_owes_nothing_older_and_everything_from_then_on(
    place: Open, tmp_path: Path, clock: FakeClock
) -> None:
    first = clock.now()
    await place(tmp_path / "seen.db")

    clock.advance(1000)

    assert (await place(tmp_path / "seen.db")).complete_until == first


async def test_the_mark_is_kept_only_when_what_came_before_it_was_finished(
    place: Open, message: Build, tmp_path: Path, clock: FakeClock
) -> None:
    first = clock.now()
    receiving = await place(tmp_path / "seen.db")
    flushing = asyncio.create_task(receiving.save_regularly())
    clock.advance(1000)
    receiving.add(RawMessage(SHARD, message(1)))
    receiving.mark_complete(clock.now())
    await let_pass(clock, SETTLE_MILLIS / 1000 + SAVE_INTERVAL)

    assert (await place(tmp_path / "seen.db")).complete_until == first

    await received(receiving, 1)
    reading = asyncio.create_task(received(receiving, 1))
    await asyncio.sleep(0)
    await let_pass(clock, SETTLE_MILLIS / 1000 + SAVE_INTERVAL)
    await let_pass(clock, SAVE_INTERVAL)
    flushing.cancel()
    reading.cancel()
    assert (await place(tmp_path / "seen.db")).complete_until == first + 1_000_000


async def test_a_disk_that_fails_costs_repetitions_and_nothing_else(
    place: Open, message: Build, tmp_path: Path, counted: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise StoreUnavailable("full")

    receiving = await place(tmp_path / "seen.db")
    receiving.add(RawMessage(SHARD, message(1)))
    await received(receiving, 1)
    monkeypatch.setattr(SeenFile, "save", fail)

    await receiving.close()

    assert counted["waku_window_not_saved"] == 1
