"""Attempts in the portions that a provider sends: those it supports, so many targets together, or one task for each."""

import asyncio
import logging
from collections.abc import Callable, Collection, Coroutine, Iterator, Sequence
from typing import Any

from hushbell.core.delivery.notification import Notification
from hushbell.core.delivery.outcome import Outcome, Verdict
from hushbell.ports.provider import Attempt

MAX_TARGETS = 1000  # of one request

CLOSED = Outcome(Verdict.UNKNOWN, "closed")
RAISED = Outcome(Verdict.UNKNOWN, "ProviderRaised")

log = logging.getLogger(__name__)


def supported(attempts: Sequence[Attempt], kinds: Collection[str]) -> Sequence[Attempt]:
    """Return the attempts at one of these kinds of targets; the others are reported as INVALID."""
    refused = [attempt for attempt in attempts if attempt.notification.target_kind not in kinds]
    for attempt in refused:
        attempt.report(Outcome(Verdict.INVALID, f"only {', '.join(f'{kind}s' for kind in kinds)}"))
    return [attempt for attempt in attempts if attempt not in refused] if refused else attempts


def batches(attempt: Attempt, size: int = MAX_TARGETS) -> Iterator[Attempt]:
    """Yield the pushes of an attempt in requests: at most ``size`` tokens together, topics and conditions alone."""
    notification, indexes, done = attempt
    size = size if notification.target_kind == "token" else 1
    for start in range(0, len(indexes), size):
        yield Attempt(notification, indexes[start : start + size], done)


class PushTasks:
    """One task for each push, for a provider that awaits what it needs."""

    def __init__(self, deliver: Callable[[Notification, int], Coroutine[Any, Any, Outcome]]) -> None:
        """Take what delivers to the target at one index and returns the outcome."""
        self._deliver = deliver
        self._tasks: set[asyncio.Task[None]] = set()

    def send(self, attempts: Sequence[Attempt]) -> None:
        """Start a task for each push."""
        loop = asyncio.get_running_loop()
        for attempt in attempts:
            for index in attempt.indexes:
                task = loop.create_task(self._send(attempt, index))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Cancel the tasks. Their pushes end with UNKNOWN."""
        await asyncio.sleep(0)  # a task that has not begun would report nothing
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _send(self, attempt: Attempt, index: int) -> None:
        outcome = CLOSED
        try:
            outcome = await self._deliver(attempt.notification, index)
        except Exception as error:  # noqa: BLE001  the push must be reported after any failure
            log.error("a provider raised %s; the push is attempted again", type(error).__name__)  # noqa: TRY400
            outcome = RAISED
        finally:
            attempt.done(index, outcome)
