"""One caller's flood leaves the others their turns."""

import asyncio

from hushbell.api.http.fair_queue import TURN_SECONDS, FairQueue


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_callers_take_turns_once_a_turn_of_the_loop_is_used_up() -> None:
    clock, done = Clock(), list[str]()
    turns = FairQueue(clock)

    def work(name: str) -> None:
        done.append(name)
        clock.now += TURN_SECONDS

    for number in range(3):
        turns.run(b"flood", lambda number=number: work(f"flood {number}"))  # type: ignore[misc]
    turns.run(b"quiet", lambda: work("quiet"))
    assert done == ["flood 0"]
    for _ in range(5):
        await asyncio.sleep(0)

    assert done == ["flood 0", "flood 1", "quiet", "flood 2"]


async def test_quick_requests_are_handled_at_once() -> None:
    done = list[int]()
    turns = FairQueue(Clock())

    for number in range(100):
        turns.run(b"caller", lambda number=number: done.append(number))  # type: ignore[misc]

    assert done == list(range(100))


async def test_a_turn_ends_with_the_event_loops_and_not_by_any_clock() -> None:
    """Some event loops' time goes on within a turn."""
    clock, done = Clock(), list[int]()
    turns = FairQueue(clock)

    def work(number: int) -> None:
        done.append(number)
        clock.now += TURN_SECONDS / 2

    for number in range(4):
        turns.run(b"caller", lambda number=number: work(number))  # type: ignore[misc]
    assert done == [0, 1]
    await asyncio.sleep(0)
    assert done == [0, 1, 2, 3]
    await asyncio.sleep(0)
    turns.run(b"caller", lambda: work(4))

    assert done[-1] == 4


async def test_a_request_that_fails_does_not_stop_those_that_wait() -> None:
    clock, done = Clock(), list[str]()
    turns = FairQueue(clock)

    def work(name: str) -> None:
        done.append(name)
        clock.now += TURN_SECONDS
        if name == "bad":
            raise ValueError(name)

    failed = list[object]()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failed.append(context["exception"]))
    for name in ("first", "bad", "last"):
        turns.run(b"caller", lambda name=name: work(name))  # type: ignore[misc]
    for _ in range(5):
        await asyncio.sleep(0)

    assert done == ["first", "bad", "last"]
    assert len(failed) == 1
