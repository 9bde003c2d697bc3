"""The outbox in memory: for tests, and for operators who want nothing on a disk."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from hushbell.core.delivery.changes import Changes, DeadToken, IdempotentResponse, QuarantinedRow
from hushbell.core.delivery.job import Job, JobOnDisk, JobProgress, JobResult, OpenJob
from hushbell.core.delivery.webhook import Webhook, WebhookEvent
from hushbell.errors import StoreError, StoreUnavailable
from hushbell.ports.outbox import Committed
from hushbell.stores.at_rest import KEY_SIZE
from hushbell.stores.notification_ids import EPOCH_SHIFT, NotificationIds
from hushbell.types import MILLIS_PER_DAY, Millis, Random, SymmetricKey

WriteServer = Callable[[Sequence[object]], None]
"""Applies writes of core.server.facts, or raises StoreError and changes nothing."""


class MemoryOutbox:
    """An Outbox that a stop empties. Nothing in it can be damaged."""

    rows_quarantined = 0

    def __init__(self, *, random: Random, write_server: WriteServer | None = None) -> None:
        self._ids = NotificationIds(SymmetricKey(random(KEY_SIZE)))
        self._write_server = write_server
        self._next = 1 << EPOCH_SHIFT
        self._jobs: dict[int, Job] = {}
        self._progress: dict[int, JobProgress] = {}
        self._ended: dict[int, JobResult] = {}  # by the number of each notification
        self._dead: list[DeadToken] = []
        self._webhooks: dict[str, Webhook] = {}
        self._events: dict[int, WebhookEvent] = {}
        self._answers: dict[bytes, IdempotentResponse] = {}
        self._cursors = 0
        self._event_numbers = 0
        self._is_closed = False

    def reserve(self, count: int) -> tuple[int, Sequence[bytes]]:
        """See :meth:`hushbell.ports.outbox.Outbox.reserve`."""
        first = self._next
        self._next += count
        return first, self._ids.of(first, count)

    def number_of(self, ident: bytes) -> int | None:
        """See :meth:`hushbell.ports.outbox.Outbox.number_of`."""
        return self._ids.number(ident)

    def commit(self, changes: Changes, done: Committed) -> None:
        """See :meth:`hushbell.ports.outbox.Outbox.commit`."""
        loop = asyncio.get_running_loop()
        try:
            self.check_open()
            if changes.server:
                if self._write_server is None:
                    raise TypeError("there are no facts of a server beside this outbox")
                self._write_server(changes.server)
        except StoreError as error:
            loop.call_soon(done, error)
            return
        self._apply(changes)
        loop.call_soon(done, None)

    def _apply(self, changes: Changes) -> None:
        self._jobs.update((job.number, job) for job in changes.jobs)
        self._progress.update((one.number, one) for one in changes.progress)
        for ended in changes.results:
            self._forget_job(ended.number)
            self._ended.update((ended.number + index, ended) for index in range(len(ended.pushes)))
        for damaged in changes.quarantined:
            self._forget_job(damaged.number)
        for dead in changes.dead_tokens:
            self._cursors += 1
            self._dead.append(replace(dead, cursor=self._cursors))
        for event in changes.events:
            self._event_numbers += 1
            self._events[self._event_numbers] = replace(event, number=self._event_numbers)
        for number in changes.done_events:
            self._events.pop(number, None)
        for event in changes.deferred_events:
            known = self._events.get(event.number)
            if known is not None:
                self._events[event.number] = replace(known, attempts=event.attempts, due_at=event.due_at)
        for response in changes.responses:
            self._answers.setdefault(response.key_digest, response)

    def _forget_job(self, number: int) -> None:
        self._jobs.pop(number, None)
        self._progress.pop(number, None)

    async def open_jobs(self) -> Iterator[OpenJob]:
        """See :meth:`hushbell.ports.outbox.Outbox.open_jobs`."""
        self.check_open()
        return (
            OpenJob(
                number, job.app, job.provider, job.pushes, sum(len(note.message.body) for note in job.notifications)
            )
            for number, job in sorted(self._jobs.items())
        )

    async def read(self, numbers: Sequence[int]) -> Sequence[JobOnDisk]:
        """See :meth:`hushbell.ports.outbox.Outbox.read`."""
        self.check_open()
        return [JobOnDisk(self._jobs[number], self._progress.get(number)) for number in numbers if number in self._jobs]

    async def find(self, number: int) -> JobResult | JobOnDisk | None:
        """See :meth:`hushbell.ports.outbox.Outbox.find`."""
        self.check_open()
        if number in self._ended:
            return self._ended[number]
        for first, job in self._jobs.items():
            if first <= number < first + len(job.notifications):
                return JobOnDisk(job, self._progress.get(first))
        return None

    async def dead_tokens(self, app: str, after: int, limit: int) -> Sequence[DeadToken]:
        """See :meth:`hushbell.ports.outbox.Outbox.dead_tokens`."""
        self.check_open()
        return [dead for dead in self._dead if dead.app == app and dead.cursor > after][:limit]

    async def due_events(self, now: Millis, after: int, limit: int) -> Sequence[WebhookEvent]:
        """See :meth:`hushbell.ports.outbox.Outbox.due_events`."""
        self.check_open()
        return [event for number, event in sorted(self._events.items()) if event.due_at <= now and number > after][
            :limit
        ]

    async def webhooks(self) -> Sequence[Webhook]:
        """See :meth:`hushbell.ports.outbox.Outbox.webhooks`."""
        self.check_open()
        return [webhook for _, webhook in sorted(self._webhooks.items())]

    async def save_webhook(self, webhook: Webhook) -> None:
        """See :meth:`hushbell.ports.outbox.Outbox.save_webhook`."""
        self.check_open()
        self._webhooks[webhook.name] = webhook

    async def drop_webhook(self, name: str) -> bool:
        """See :meth:`hushbell.ports.outbox.Outbox.drop_webhook`."""
        self.check_open()
        self._events = {number: event for number, event in self._events.items() if event.webhook != name}
        return self._webhooks.pop(name, None) is not None

    async def idempotent_response(self, digest: bytes) -> IdempotentResponse | None:
        """See :meth:`hushbell.ports.outbox.Outbox.idempotent_response`."""
        self.check_open()
        return self._answers.get(digest)

    async def quarantined(self) -> Sequence[QuarantinedRow]:
        """See :meth:`hushbell.ports.outbox.Outbox.quarantined`."""
        self.check_open()
        return ()

    async def release(self, row: int) -> bool:  # noqa: ARG002  nothing is ever put aside
        """See :meth:`hushbell.ports.outbox.Outbox.release`."""
        return False

    async def discard(self, row: int) -> bool:  # noqa: ARG002  nothing is ever put aside
        """See :meth:`hushbell.ports.outbox.Outbox.discard`."""
        return False

    async def forget(self, before: Millis, limit: int) -> int:
        """See :meth:`hushbell.ports.outbox.Outbox.forget`."""
        self.check_open()
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

    async def close(self) -> None:
        """See :meth:`hushbell.ports.outbox.Outbox.close`."""
        self._is_closed = True

    def check_open(self) -> None:
        """Raise StoreUnavailable after ``close``."""
        if self._is_closed:
            raise StoreUnavailable("the store is closed")
