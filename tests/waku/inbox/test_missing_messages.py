"""What was published while nobody listened is asked for, handed on once, and nothing more is asked than that."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from hushbell.testing.clock import FakeClock
from hushbell.types import DEFAULT_PUBSUB_TOPIC, Millis, PubsubTopic
from hushbell.waku.inbox.message_queue import MessageQueue
from hushbell.waku.inbox.missing_messages import MARGIN_MILLIS, MAX_PAGES, RECENT_MILLIS, MissingMessages
from hushbell.waku.message import RawMessage

Open = Callable[..., Awaitable[MessageQueue]]
Build = Callable[..., bytes]
Asking = Callable[..., MissingMessages]
OWN = "/waku/1/0x69bc8983/rfc26"
HOUR = 3_600_000
QUERY = "/waku/1/0x00000001/rfc26"


async def test_what_was_missed_is_handed_on_page_by_page_and_once(
    place: Open, message: Build, catching_up: Asking, shelf: Any, clock: FakeClock
) -> None:
    receiving = await place()
    sent = [message(number) for number in range(8)]
    for data in sent:
        shelf.keep(clock.now(), data)
    receiving.add(RawMessage(DEFAULT_PUBSUB_TOPIC, sent[3]))

    assert await catching_up(receiving, shelf).round()

    came = [one.raw.data for one in await receiving.receive(100)]
    assert came == [sent[3], *sent[:3], *sent[4:]]


async def test_after_a_restart_it_asks_from_the_last_time_everything_had_come(  # noqa: PLR0917
    place: Open, message: Build, catching_up: Asking, shelf: Any, clock: FakeClock, tmp_path: Path
) -> None:
    stopped = clock.now()
    await (await place(tmp_path / "seen.db")).close()
    clock.advance(HOUR / 1000)
    missed = message(1, at=Millis(stopped + 5))
    shelf.keep(stopped + 5, missed)
    receiving = await place(tmp_path / "seen.db")

    await catching_up(receiving, shelf).round()

    assert shelf.asked[0] == ([OWN], stopped - MARGIN_MILLIS)
    assert [one.raw.data for one in await receiving.receive(10)] == [missed]


async def test_queries_are_fetched_if_they_are_younger_than_a_minute(
    place: Open, message: Build, catching_up: Asking, shelf: Any, clock: FakeClock
) -> None:
    receiving = await place()
    clock.advance(HOUR / 1000)
    young, old = Millis(clock.now() - RECENT_MILLIS // 2), Millis(clock.now() - RECENT_MILLIS - 1)
    shelf.keep(young, message(1, topic=QUERY, at=young))
    shelf.keep(old, message(2, topic=QUERY, at=old))

    await catching_up(receiving, shelf).round()

    came = await receiving.receive(10)
    assert [one.raw.data for one in came] == [message(1, topic=QUERY, at=young)]


async def test_between_gaps_only_the_own_topics_are_asked_for_and_only_what_is_new(
    place: Open, catching_up: Asking, shelf: Any, clock: FakeClock
) -> None:
    asking = catching_up(await place(), shelf)
    await asking.round()
    before = clock.now()
    clock.advance(300)
    shelf.asked.clear()

    await asking.round()

    assert shelf.asked == [([OWN], before - MARGIN_MILLIS)]


async def test_a_store_that_fails_moves_no_mark_and_another_is_asked(  # noqa: PLR0917
    place: Open, message: Build, catching_up: Asking, shelf: Any, clock: FakeClock, counted: Counter[str]
) -> None:
    receiving = await place()
    start = receiving.complete_until
    clock.advance(100)
    other = type(shelf)(name="other", kept=[(clock.now(), message(1))])
    shelf.failing = 1

    assert not await catching_up(receiving, shelf).round()
    assert receiving.complete_until == start
    shelf.failing = 1
    assert await catching_up(receiving, shelf, other).round()

    assert receiving.complete_until == clock.now()
    assert len(await receiving.receive(10)) == 1
    assert counted["waku_store_failures"] == 2


async def test_a_failure_nobody_thought_of_is_counted_and_the_next_store_is_asked(
    place: Open, catching_up: Asking, shelf: Any, counted: Counter[str]
) -> None:
    other = type(shelf)(name="other")
    shelf.failing, shelf.failure = 1, RuntimeError("a bug")

    assert await catching_up(await place(), shelf, other).round()

    assert counted["waku_store_failures"] == 1


async def test_a_store_that_appears_later_is_asked_from_the_beginning(
    place: Open, catching_up: Asking, shelf: Any, clock: FakeClock
) -> None:
    receiving = await place()
    start = receiving.complete_until
    late = type(shelf)(name="late")
    stores = [shelf]
    asking = catching_up(receiving)
    asking._stores = lambda: stores
    await asking.round()
    clock.advance(60)
    stores.append(late)

    await asking.round()

    assert late.asked[0][1] == start - MARGIN_MILLIS


async def test_a_store_that_never_ends_is_left(  # noqa: PLR0917
    place: Open, catching_up: Asking, shelf: Any, clock: FakeClock, message: Build, counted: Counter[str]
) -> None:
    receiving = await place()
    shelf.keep(clock.now(), message(1))
    shelf.endless = True

    await catching_up(receiving, shelf).round()

    assert counted["waku_store_endless"] >= 1
    assert counted["waku_store_messages"] <= 3 * MAX_PAGES * 2
    assert len(await receiving.receive(10)) == 1


async def test_messages_of_other_shards_than_asked_for_are_refused(
    place: Open, catching_up: Asking, shelf: Any, clock: FakeClock, message: Build
) -> None:
    receiving = await place()
    shelf.shard = PubsubTopic("/waku/2/rs/16/64")
    shelf.keep(clock.now(), message(1))

    await catching_up(receiving, shelf).round()
    receiving.add(RawMessage(DEFAULT_PUBSUB_TOPIC, message(2)))

    assert [one.raw.data for one in await receiving.receive(10)] == [message(2)]


async def test_it_does_not_ask_back_further_than_it_may(
    place: Open, catching_up: Asking, shelf: Any, clock: FakeClock, tmp_path: Path
) -> None:
    await (await place(tmp_path / "seen.db")).close()
    clock.advance(30 * 86_400)

    await catching_up(await place(tmp_path / "seen.db"), shelf).round()

    assert shelf.asked[0][1] == clock.now() - 3 * 86_400_000


async def test_it_asks_again_soon_after_a_failure_and_at_once_when_told(
    place: Open, catching_up: Asking, shelf: Any, clock: FakeClock
) -> None:
    shelf.failing = 1
    asking = catching_up(await place(), shelf)
    running = asyncio.create_task(asking.run())
    await turns()
    assert not shelf.asked

    clock.advance(5)
    await turns()
    assert len(shelf.asked) == 2
    asking.request_round()
    await turns()
    clock.advance(2)
    await turns()

    assert len(shelf.asked) == 4
    running.cancel()


async def turns() -> None:
    for _ in range(20):
        await asyncio.sleep(0)
