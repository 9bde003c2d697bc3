"""The gateway's queue in memory: for tests, and for operators who want nothing on a disk."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace

from hushbell.core.delivery.changes import Changes, DeadToken, IdempotentResponse
from hushbell.core.delivery.job import Job, JobProgress, JobResult, OpenJob
from hushbell.core.delivery.webhook import Webhook, WebhookEvent
from hushbell.errors import StoreError, StoreUnavailable
from hushbell.ports.outbox import Committed
from hushbell.stores.at_rest import KEY_SIZE
from hushbell.stores.sqlite.idents import EPOCH_SHIFT, Idents
from hushbell.types import MILLIS_PER_DAY, Millis, Random, SymmetricKey


class MemoryOutbox:
    """A Queue that a stop empties."""

    def __init__(self, *, random: Random) -> None:
        self._idents = Idents(SymmetricKey(random(KEY_SIZE)))
        self._next = 1 << EPOCH_SHIFT
        self._jobs: dict[int, Job] = {}
        self._progress: dict[int, JobProgress] = {}
        self._ended: dict[int, JobResult] = {}  # by the number of each notification
        self._dead: list[DeadToken] = []
        self._hooks: dict[str, Webhook] = {}
        self._events: dict[int, WebhookEvent] = {}
        self._answers: dict[bytes, IdempotentResponse] = {}
        self._cursors = 0
        self._event_numbers = 0
        self._closed = False

    def numbers(self, count: int) -> int:
        """See :meth:`hushbell.ports.outbox.Queue.numbers`."""
        first = self._next
        self._next += count
        return first

    def idents(self, first: int, count: int) -> Sequence[bytes]:
        """See :meth:`hushbell.ports.outbox.Queue.idents`."""
        return self._idents.of(first, count)

    def number_of(self, ident: bytes) -> int | None:
        """See :meth:`hushbell.ports.outbox.Queue.number_of`."""
        return self._idents.number(ident)

    def commit(self, batch: Changes, done: Committed) -> None:
        """See :meth:`hushbell.ports.outbox.Queue.commit`."""
        loop = asyncio.get_running_loop()
        if self._closed:
            closed: StoreError = StoreUnavailable("the queue is closed")
            loop.call_soon(done, closed)
            return
        self._jobs.update((job.number, job) for job in batch.jobs)
        self._progress.update((one.number, one) for one in batch.progress)
        for ended in batch.ended:
            self._jobs.pop(ended.number, None)
            self._progress.pop(ended.number, None)
            self._ended.update((ended.number + place, ended) for place in range(len(ended.pushes)))
        for dead in batch.dead:
            self._cursors += 1
            self._dead.append(replace(dead, cursor=self._cursors))
        for event in batch.events:
            self._event_numbers += 1
            self._events[self._event_numbers] = replace(event, number=self._event_numbers)
        for number in batch.told:
            self._events.pop(number, None)
        for event in batch.deferred:
            known = self._events.get(event.number)
            if known is not None:
                self._events[event.number] = replace(known, attempts=event.attempts, due_at=event.due_at)
        for answer in batch.answers:
            self._answers.setdefault(answer.digest, answer)
        loop.call_soon(done, None)

    def open_jobs(self) -> Iterator[OpenJob]:
        """See :meth:`hushbell.ports.outbox.Queue.open_jobs`."""
        self._check_open()
        for number, job in sorted(self._jobs.items()):
            size = sum(len(note.message.body) for note in job.notifications)
            yield OpenJob(number, job.app, job.provider, job.pushes, size)

    def jobs(self, numbers: Sequence[int]) -> Sequence[tuple[Job, JobProgress | None]]:
        """See :meth:`hushbell.ports.outbox.Queue.jobs`."""
        self._check_open()
        return [(self._jobs[number], self._progress.get(number)) for number in numbers if number in self._jobs]

    def find(self, number: int) -> JobResult | tuple[Job, JobProgress | None] | None:
        """See :meth:`hushbell.ports.outbox.Queue.find`."""
        self._check_open()
        if number in self._ended:
            return self._ended[number]
        for first, job in self._jobs.items():
            if first <= number < first + len(job.notifications):
                return job, self._progress.get(first)
        return None

    def dead(self, app: str, after: int, limit: int) -> Sequence[DeadToken]:
        """See :meth:`hushbell.ports.outbox.Queue.dead`."""
        self._check_open()
        return [dead for dead in self._dead if dead.app == app and dead.cursor > after][:limit]

    def due_events(self, now: Millis, after: int, limit: int) -> Sequence[WebhookEvent]:
        """See :meth:`hushbell.ports.outbox.Queue.due_events`."""
        self._check_open()
        return [event for event in self._due(now) if event.number > after][:limit]

    def hooks(self) -> Sequence[Webhook]:
        """See :meth:`hushbell.ports.outbox.Queue.hooks`."""
        self._check_open()
        return [hook for _, hook in sorted(self._hooks.items())]

    def save_hook(self, hook: Webhook) -> None:
        """See :meth:`hushbell.ports.outbox.Queue.save_hook`."""
        self._check_open()
        self._hooks[hook.name] = hook

    def drop_hook(self, name: str) -> bool:
        """See :meth:`hushbell.ports.outbox.Queue.drop_hook`."""
        self._check_open()
        self._events = {number: event for number, event in self._events.items() if event.hook != name}
        return self._hooks.pop(name, None) is not None

    def repeatable(self, digest: bytes) -> IdempotentResponse | None:
        """See :meth:`hushbell.ports.outbox.Queue.repeatable`."""
        self._check_open()
        return self._answers.get(digest)

    def forget(self, before: Millis, limit: int) -> int:
        """See :meth:`hushbell.ports.outbox.Queue.forget`."""
        self._check_open()
        first = before // MILLIS_PER_DAY * MILLIS_PER_DAY
        ended = [number for number, one in self._ended.items() if one.ended_at < first][:limit]
        answers = [digest for digest, one in self._answers.items() if one.at < first][:limit]
        events = [number for number, one in self._events.items() if one.at < first][:limit]
        dead = [one for one in self._dead if one.at < first][:limit]
        for number in ended:
            del self._ended[number]
        for digest in answers:
            del self._answers[digest]
        for number in events:
            del self._events[number]
        self._dead = [one for one in self._dead if one not in dead]
        return len(ended) + len(answers) + len(events) + len(dead)

    def close(self) -> None:
        """See :meth:`hushbell.ports.outbox.Queue.close`."""
        self._closed = True

    def _due(self, now: Millis) -> Iterator[WebhookEvent]:
        return (event for _, event in sorted(self._events.items()) if event.due_at <= now)

    def _check_open(self) -> None:
        if self._closed:
            raise StoreUnavailable("the queue is closed")
