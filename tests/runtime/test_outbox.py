"""The outbox: whatever the gateway does, nothing is lost, retries back off, one final state comes in time."""

import asyncio
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from hushbell.core.delivery.backoff import Backoff
from hushbell.core.delivery.outcome import ACCEPTED, Outcome, Scope, Verdict
from hushbell.core.push import Push
from hushbell.core.server.facts import Enqueue
from hushbell.errors import StoreUnavailable
from hushbell.ports.gateway import Done
from hushbell.runtime.server.outbox import Outbox
from hushbell.stores.memory.server import MemoryServerStore
from hushbell.testing.clock import FakeClock
from hushbell.types import (
    DeviceKey,
    DeviceToken,
    InstallationId,
    KeyHash,
    MessageId,
    Millis,
    NotificationId,
    NotificationType,
    TokenType,
)

TTL = 600  # seconds
TURNS = 20  # of the event loop before a quarter of a second passes
ALICE = DeviceKey(KeyHash(b"a" * 64), InstallationId("phone"))
RETRY = Outcome(Verdict.RETRY, "ServiceUnavailable")


class Gateway:
    """Answers as scripted, then as it does at last; says at which moment it was asked."""

    def __init__(self, clock: FakeClock) -> None:
        self.script: list[Outcome] = []
        self.at_last = ACCEPTED
        self.asked: list[tuple[Millis, NotificationId]] = []
        self._clock = clock

    async def deliver(self, pushes: Sequence[Push]) -> Sequence[Outcome]:
        self.asked += [(self._clock.now(), push.notification_id) for push in pushes]
        return [self.script.pop(0) if self.script else self.at_last for _ in pushes]

    async def close(self) -> None:
        pass


class Eager(Gateway):
    """The same without waiting; every other time the outcomes are told a turn later."""

    late = False

    def attempt(self, pushes: Sequence[Push], done: Done) -> None:
        loop = asyncio.get_running_loop()
        self.late = not self.late
        for place, push in enumerate(pushes):
            self.asked.append((self._clock.now(), push.notification_id))
            outcome = self.script.pop(0) if self.script else self.at_last
            if self.late:
                loop.call_soon(done, place, outcome)
            else:
                done(place, outcome)


class FlakyStore(MemoryServerStore):
    """A store whose next commits fail."""

    failures = 0

    async def commit(self, writes: Sequence[Any]) -> None:
        if self.failures:
            self.failures -= 1
            raise StoreUnavailable("disk full")
        await super().commit(writes)


class Bench:
    """An outbox under way with everything around it."""

    def __init__(self, gateway: type[Gateway] = Gateway) -> None:
        self.clock = FakeClock(manual=True)
        self.store = FlakyStore(random=os.urandom)
        self.gateway = gateway(self.clock)
        self.counters: Counter[str] = Counter()
        self.outbox = self.new_outbox()
        self.sent = 0

    def new_outbox(self) -> Outbox:
        def count(name: str, number: int) -> None:
            self.counters[name] += number

        return Outbox(
            store=self.store, gateway=self.gateway, clock=self.clock, random=bytes, count=count, backoff=Backoff()
        )

    def push(self, *, token_type: int = TokenType.APN) -> Push:
        self.sent += 1
        now = self.clock.now()
        return Push(
            notification_id=NotificationId(f"push-{self.sent}"),
            request=MessageId(self.sent.to_bytes(32, "big")),
            position=0,
            device=ALICE,
            token_type=token_type,
            device_token=DeviceToken("aa"),
            apn_topic="app",
            type=NotificationType.MESSAGE,
            chat_id=b"",
            message=b"",
            collapse_id="c",
            created_at=now,
            expires_at=Millis(now + TTL * 1000),
        )

    async def commit(self, *pushes: Push) -> None:
        await self.store.commit([Enqueue(push) for push in pushes])
        self.outbox.take(pushes)

    async def until(self, *states: str) -> None:
        """Let time pass until the first pushes have these states."""
        known: list[str | None] = []
        for turn in range(100_000):
            known = [await self.store.push_state(NotificationId(f"push-{n + 1}")) for n in range(len(states))]
            if known == list(states):
                return
            await asyncio.sleep(0)
            if turn % TURNS == 0:
                self.clock.advance(0.25)
        raise AssertionError(f"states are {known}, counters {dict(self.counters)}")

    async def attempts(self, number: int) -> None:
        """Return when the gateway was given that many pushes."""
        for _ in range(1_000_000):
            if len(self.gateway.asked) >= number:
                return
            await asyncio.sleep(0)
        raise AssertionError(f"{len(self.gateway.asked)} attempts, counters {dict(self.counters)}")


@pytest.fixture(params=[Gateway, Eager])
async def bench(request: pytest.FixtureRequest) -> Any:
    bench = Bench(request.param)
    running = asyncio.create_task(bench.outbox.run())
    yield bench
    bench.outbox.stop()
    await running


async def test_a_push_is_attempted_at_once_and_ends_delivered(bench: Bench) -> None:
    await bench.commit(bench.push())
    await bench.until("delivered")

    assert [number for _, number in bench.gateway.asked] == ["push-1"]


async def test_a_refused_attempt_is_repeated_with_doubling_delays_under_the_same_id(bench: Bench) -> None:
    bench.gateway.script = [RETRY] * 4
    start = bench.clock.now()

    await bench.commit(bench.push())
    await bench.until("delivered")

    assert [(at - start) // 1000 for at, _ in bench.gateway.asked] == [0, 1, 3, 7, 15]
    assert {number for _, number in bench.gateway.asked} == {"push-1"}


async def test_a_wait_that_the_provider_asks_for_is_kept(bench: Bench) -> None:
    bench.gateway.script = [replace(RETRY, after=120.0)]
    start = bench.clock.now()

    await bench.commit(bench.push())
    await bench.until("delivered")

    assert bench.gateway.asked[1][0] - start >= 120_000


async def test_a_push_that_is_refused_for_ever_expires_at_its_time_to_live(bench: Bench) -> None:
    bench.gateway.at_last = RETRY
    push = bench.push()

    await bench.commit(push)
    await bench.until("expired")

    assert max(at for at, _ in bench.gateway.asked) <= push.expires_at
    assert bench.clock.now() < push.expires_at + 2000


@pytest.mark.parametrize("outcome", [Outcome(Verdict.UNKNOWN), Outcome(Verdict.MISCONFIGURED, scope=Scope.APP)])
async def test_no_answer_and_a_wrong_setting_lose_nothing(bench: Bench, outcome: Outcome) -> None:
    bench.gateway.script = [outcome] * 3

    await bench.commit(bench.push())
    await bench.until("delivered")

    assert len(bench.gateway.asked) == 4


async def test_a_gateway_that_raises_loses_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    way = "attempt" if isinstance(bench.gateway, Eager) else "deliver"
    works = getattr(bench.gateway, way)

    def broken(pushes: Sequence[Push], *_: Any) -> Any:
        setattr(bench.gateway, way, works)
        raise RuntimeError("a bug of somebody else's")

    setattr(bench.gateway, way, broken)

    await bench.commit(bench.push(), bench.push())
    await bench.until("delivered", "delivered")

    assert bench.counters["gateway_failures"] == 1


async def test_an_outcome_told_twice_counts_once(bench: Bench) -> None:
    if not isinstance(bench.gateway, Eager):
        return
    attempt = bench.gateway.attempt

    def twice(pushes: Sequence[Push], done: Done) -> None:
        def tell_twice(place: int, outcome: Outcome) -> None:
            done(place, outcome)
            done(place, RETRY)

        attempt(pushes, tell_twice)

    bench.gateway.attempt = twice  # type: ignore[method-assign]

    await bench.commit(*[bench.push() for _ in range(5)])
    await bench.until(*["delivered"] * 5)

    assert bench.counters["push_retry"] == 0
    assert bench.counters["push_accepted"] == 5


async def test_a_provider_that_is_down_is_asked_once_for_many_pushes(bench: Bench) -> None:
    bench.gateway.script = [replace(RETRY, scope=Scope.PROVIDER)]
    await bench.commit(bench.push())
    await bench.until("pending")
    await bench.attempts(1)

    await bench.commit(*[bench.push() for _ in range(50)])
    await bench.until(*["delivered"] * 51)

    assert len(bench.gateway.asked) == 52


async def test_a_caller_error_is_final_at_once(bench: Bench) -> None:
    bench.gateway.script = [Outcome(Verdict.INVALID, "PayloadTooLarge")]

    await bench.commit(bench.push())
    await bench.until("failed")

    assert len(bench.gateway.asked) == 1


async def test_many_dead_tokens_at_once_are_a_wrong_setting_and_no_purge(bench: Bench) -> None:
    dead = Outcome(Verdict.DEAD_TOKEN, "BadDeviceToken")
    bench.gateway.script = [dead] * 12

    await bench.commit(*[bench.push() for _ in range(30)])
    await bench.until(*["dropped"] * 9, *["delivered"] * 21)

    assert bench.counters["pushes_dropped"] == 9


async def test_outcomes_are_written_again_until_the_store_takes_them(bench: Bench) -> None:
    push = bench.push()
    await bench.store.commit([Enqueue(push)])
    bench.store.failures = 3

    bench.outbox.take([push])
    await bench.until("delivered")

    assert len(bench.gateway.asked) == 1


async def test_a_restart_attempts_what_is_on_disk() -> None:
    bench = Bench()
    await bench.store.commit([Enqueue(bench.push()) for _ in range(3)])

    running = asyncio.create_task(bench.outbox.run())
    await bench.until("delivered", "delivered", "delivered")
    bench.outbox.stop()
    await running

    assert len(bench.gateway.asked) == 3


async def test_more_than_memory_holds_is_delivered_in_order_of_arrival() -> None:
    bench = Bench()
    await bench.store.commit([Enqueue(bench.push()) for _ in range(20_000)])

    running = asyncio.create_task(bench.outbox.run())
    await bench.attempts(20_000)
    bench.outbox.stop()
    await running

    assert [number for _, number in bench.gateway.asked] == [f"push-{n + 1}" for n in range(20_000)]
