"""
Delivers what is in the outbox: attempts, backoff, time to live, one final state each.

The store is the truth. What was just committed is attempted at once from memory; whatever memory has no room for, or
what waits for a later attempt, stays on disk until its time comes. A restart reads the disk.
"""

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Sequence

from hushbell.core.delivery.backoff import Backoff
from hushbell.core.delivery.breaker import Breaker
from hushbell.core.delivery.outcome import Outcome, Verdict
from hushbell.core.outbox import conclude, expire
from hushbell.core.push import Pending, Push
from hushbell.core.server.facts import Defer, Settle, Write
from hushbell.errors import StoreError
from hushbell.ports.clock import Clock
from hushbell.ports.gateway import EagerGateway, Gateway
from hushbell.ports.server_store import ServerStore
from hushbell.runtime.server.decider import Count
from hushbell.types import MessageId, Millis, NotificationId, Random

HELD = 8192  # pushes in memory, waiting or under way
UNDER_WAY = 512  # pushes being attempted at once; a request that has begun is not cut
IDLE = 60.0  # seconds between looks at the disk when nothing is known to become due
STORE_PAUSE = 0.5  # seconds before outcomes are written again after the store failed

GATEWAY_RAISED = Outcome(Verdict.UNKNOWN, "GatewayRaised")

log = logging.getLogger(__name__)


class Outbox:
    """Everything is handed in; ``run`` returns after ``stop``, when nothing is under way any more."""

    def __init__(
        self,
        *,
        store: ServerStore,
        gateway: Gateway,
        clock: Clock,
        random: Random,
        count: Count,
        backoff: Backoff | None = None,
    ) -> None:
        self._store = store
        self._gateway = gateway
        self._clock = clock
        self._random = random
        self._count = count
        self._backoff = backoff or Backoff()
        self._breakers: dict[int, Breaker] = {}
        self._accepted: Counter[int] = Counter()  # by token type, not known to the breakers yet
        self._paused: dict[int, tuple[Millis, int]] = {}  # token type → until, strikes
        self._held: set[NotificationId] = set()
        self._ready: deque[Sequence[Pending]] = deque()
        self._eager = gateway if isinstance(gateway, EagerGateway) else None
        self._under_way = 0  # pushes
        self._tasks: set[asyncio.Task[None]] = set()
        self._tally: Counter[str] = Counter()  # what happened, until the next commit
        self._results: list[Write] = []
        self._flushing: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._behind = True  # the disk holds something due that memory does not
        self._look_at = Millis(0)  # when the disk will hold something due
        self._stopping = False

    def take(self, pushes: Sequence[Push]) -> None:
        """Attempt pushes that were just committed; what there is no room for is read from the disk later."""
        if not pushes or self._stopping:
            return
        if self._behind or len(self._held) + len(pushes) > HELD:
            # Order within a token is kept: what is on disk goes first.
            self._behind = True
        else:
            # A look at the disk may have found them between their commit and this call.
            new = [push for push in pushes if push.notification_id not in self._held]
            self._hold([Pending(push, 0, push.created_at) for push in new])
        self._wake.set()

    @property
    def in_hand(self) -> int:
        """How many pushes are in memory, waiting or under way."""
        return len(self._held)

    async def run(self) -> None:
        """Attempt what is due until stopped."""
        while not self._stopping:
            self._wake.clear()
            try:
                await self._refill()
            except StoreError as error:
                self._count("store_failures", 1)
                log.error("the outbox cannot be read: %s", error)  # noqa: TRY400  the text names the cause
                self._look_at = Millis(self._clock.now() + int(STORE_PAUSE * 1000))
            self._dispatch()
            await self._rest()
        while self._under_way or self._flushing is not None:
            self._wake.clear()
            await self._wake.wait()

    def stop(self) -> None:
        """Begin no attempt any more. What is under way gets its outcome written."""
        self._stopping = True
        self._wake.set()

    async def _rest(self) -> None:
        """Sleep until there is something to do."""
        wait = IDLE
        if self._look_at and len(self._held) < HELD:
            wait = min(IDLE, max(0.0, (self._look_at - self._clock.now()) / 1000))
        if self._wake.is_set() or wait == 0.0:
            await asyncio.sleep(0)
            return
        waking = asyncio.ensure_future(self._wake.wait())
        sleeping = asyncio.ensure_future(self._clock.sleep(wait))
        await asyncio.wait([waking, sleeping], return_when=asyncio.FIRST_COMPLETED)
        waking.cancel()
        sleeping.cancel()

    async def _refill(self) -> None:
        """Read from the disk what is due and not in memory."""
        now = self._clock.now()
        if self._look_at and now >= self._look_at:
            self._behind = True
        room = HELD - len(self._held)
        if not self._behind or room <= 0:
            return
        self._behind = False
        wanted = len(self._held) + room // 2
        due = await self._store.due(now, wanted)
        self._behind = self._behind or len(due) >= wanted
        self._hold([pending for pending in due if pending.push.notification_id not in self._held])
        self._look_at = await self._store.next_due(now) or Millis(0)

    def _hold(self, pending: Sequence[Pending]) -> None:
        requests: dict[MessageId, list[Pending]] = {}
        for one in pending:
            self._held.add(one.push.notification_id)
            requests.setdefault(one.push.request, []).append(one)
        self._ready.extend(requests.values())

    def _dispatch(self) -> None:
        """Begin what is ready, all together where the gateway can."""
        now = self._clock.now()
        live: list[Pending | None] = []
        while self._ready and self._under_way < UNDER_WAY and not self._stopping:
            request = [pending for pending in self._ready.popleft() if self._may_begin(pending, now)]
            self._under_way += len(request)
            if self._eager is not None:
                live += request
            elif request:
                task = asyncio.get_running_loop().create_task(self._attempt(request))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
        if live and self._eager is not None:
            self._begin(self._eager, live)

    def _may_begin(self, pending: Pending, now: Millis) -> bool:
        """Say whether a push is to be attempted now; if not, write what becomes of it."""
        if now >= pending.push.expires_at:
            self._write([expire(pending, now)])
        elif (until := self._paused_until(pending.push.token_type, now)) is not None:
            due = Millis(min(until, pending.push.expires_at))
            self._write([Defer(pending.push.notification_id, pending.attempts, due)])
        else:
            self._tally["push_attempts"] += 1
            return True
        return False

    def _begin(self, gateway: EagerGateway, live: list[Pending | None]) -> None:
        """Attempt pushes of many requests together; each is taken out of ``live`` with its outcome."""

        def done(place: int, outcome: Outcome) -> None:
            pending, live[place] = live[place], None
            if pending is not None:  # told once
                self._concluded(pending, outcome)

        try:
            gateway.attempt([pending.push for pending in live if pending is not None], done)
        except Exception:
            log.exception("the gateway raised")
            self._count("gateway_failures", 1)
            for place in range(len(live)):
                done(place, GATEWAY_RAISED)

    async def _attempt(self, request: Sequence[Pending]) -> None:
        """Attempt the pushes of one request and write what came of each."""
        outcomes = await self._deliver([pending.push for pending in request])
        for pending, outcome in zip(request, outcomes, strict=True):
            self._concluded(pending, outcome)

    def _concluded(self, pending: Pending, outcome: Outcome) -> None:
        self._under_way -= 1
        self._write(self._conclude(pending, outcome, self._clock.now()))
        if self._ready or self._behind:
            self._wake.set()

    async def _deliver(self, pushes: Sequence[Push]) -> Sequence[Outcome]:
        try:
            return await self._gateway.deliver(pushes)
        except Exception:
            # A gateway of somebody else's may have a bug; the push must not be lost by it.
            log.exception("the gateway raised")
            self._count("gateway_failures", 1)
            return [GATEWAY_RAISED] * len(pushes)

    def _conclude(self, pending: Pending, outcome: Outcome, now: Millis) -> Sequence[Write]:
        kind = pending.push.token_type
        if outcome.verdict is Verdict.ACCEPTED:
            self._accepted[kind] += 1
            judged = outcome
        else:
            self._count_accepted(now)
            self._breakers[kind], judged = self._breakers.get(kind, Breaker()).judge(outcome, now)
        self._tally["push_" + judged.verdict.value] += 1
        if judged.verdict is Verdict.MISCONFIGURED:
            log.error("pushes are held: the provider refuses our configuration (%s)", judged.reason)
        if judged.concerns_others:
            self._pause(kind, judged, now)
        elif judged.verdict is Verdict.ACCEPTED:
            self._paused.pop(kind, None)
        jitter = 0.0 if judged.verdict is Verdict.ACCEPTED else self._jitter()
        return conclude(pending, judged, now, backoff=self._backoff, jitter=jitter)

    def _count_accepted(self, now: Millis) -> None:
        """Let the breakers know of what was accepted since the last time, all at once."""
        for kind, accepted in self._accepted.items():
            self._breakers[kind] = self._breakers.get(kind, Breaker()).having_accepted(accepted, now)
        self._accepted.clear()

    def _paused_until(self, kind: int, now: Millis) -> Millis | None:
        until, _ = self._paused.get(kind, (Millis(0), 0))
        return until if until > now else None

    def _pause(self, kind: int, outcome: Outcome, now: Millis) -> None:
        """Hold up everything for the same provider, once for all the pushes that met the same answer together."""
        until, strikes = self._paused.get(kind, (Millis(0), 0))
        if until > now:
            return
        strikes += 1
        wait = max(self._backoff.delay(strikes, 0.0), outcome.after or 0.0)
        self._paused[kind] = (Millis(now + int(wait * 1000)), strikes)

    def _jitter(self) -> float:
        return self._random(1)[0] / 256

    def _write(self, writes: Sequence[Write]) -> None:
        """Commit outcomes in batches: whatever comes while one commit is under way rides with the next."""
        self._results.extend(writes)
        if self._flushing is None:
            self._flushing = asyncio.get_running_loop().create_task(self._flush())

    async def _flush(self) -> None:
        while self._results:
            results, self._results = self._results, []
            try:
                await self._store.commit(results)
            except StoreError as error:
                # Not forgotten: written again until it succeeds. A crash meanwhile sends again under the same id.
                self._count("store_failures", 1)
                log.error("outcomes cannot be written: %s", error)  # noqa: TRY400  the text names the cause
                self._results = results + self._results
                await self._clock.sleep(STORE_PAUSE)
                continue
            self._release(results)
        self._flushing = None
        self._tell()
        if self._stopping:
            self._wake.set()

    def _tell(self) -> None:
        """Count what happened since the last commit."""
        self._count_accepted(self._clock.now())
        tally, self._tally = self._tally, Counter()
        for name, number in tally.items():
            self._count(name, number)

    def _release(self, results: Sequence[Write]) -> None:
        for result in results:
            if isinstance(result, Defer):
                self._held.discard(result.notification_id)
                if not self._look_at or result.due_at < self._look_at:
                    self._look_at = result.due_at
                    self._wake.set()
            elif isinstance(result, Settle):
                self._held.discard(result.notification_id)
                self._tally["pushes_" + result.state] += 1
        if self._behind:
            self._wake.set()
