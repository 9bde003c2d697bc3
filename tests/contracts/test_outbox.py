"""What every outbox promises (ports/outbox.py)."""

import os
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hushbell.core.delivery.changes import Changes, DeadToken, IdempotentResponse
from hushbell.core.delivery.job import DamagedJob, Job, JobOnDisk, JobProgress, JobResult
from hushbell.core.delivery.notification import Message, Notification
from hushbell.core.delivery.state import State
from hushbell.core.delivery.webhook import Webhook, WebhookEvent
from hushbell.core.server.facts import MarkNotified
from hushbell.errors import StoreUnavailable
from hushbell.ports.outbox import Outbox, committed
from hushbell.stores.memory.outbox import MemoryOutbox
from hushbell.stores.sqlite.outbox import SqliteOutbox
from hushbell.types import Millis, NotificationKey

DAY = 86_400_000
NOW = Millis(20_000 * DAY + 1_000)
ACCEPTED = bytes([State.ACCEPTED])


@pytest.fixture
def open_queue(tmp_path: Path) -> Callable[[], SqliteOutbox]:
    """Opens the same database each time it is called."""
    return lambda: SqliteOutbox.open(tmp_path / "data" / "gateway.db", tmp_path / "at-rest", random=os.urandom)


@pytest.fixture(params=["memory", "sqlite"])
async def queue(request: pytest.FixtureRequest, open_queue: Callable[[], SqliteOutbox]) -> AsyncIterator[Outbox]:
    opened: Outbox = MemoryOutbox(random=os.urandom) if request.param == "memory" else open_queue()
    yield opened
    await opened.close()


def job(queue: Outbox, *tokens: int, app: str = "chat") -> Job:
    """A job of one notification for each number of tokens."""
    first, idents = queue.reserve(len(tokens))
    message = Message(provider="apns", headers=(("apns-topic", "im.example"),), body=b'{"aps":{}}')
    notes = [
        Notification(
            ident=ident,
            app=app,
            target_kind="token",
            targets=tuple(f"hidden-{place}" for place in range(count)),
            message=message,
            reference="mine",
            expires_at=Millis(NOW + DAY),
            retries=3,
        )
        for ident, count in zip(idents, tokens, strict=True)
    ]
    return Job(first, app, NOW, tuple(notes))


def end(job: Job, *, at: int = NOW, reasons: tuple[tuple[int, str], ...] = ()) -> JobResult:
    pushes = tuple(len(note.targets) for note in job.notifications)
    return JobResult(job.number, job.app, job.accepted_at, Millis(at), pushes, ACCEPTED * sum(pushes), b"\1", reasons)


async def commit(queue: Outbox, **parts: Any) -> None:
    await committed(queue, Changes(**parts))


async def open_jobs(queue: Outbox) -> Sequence[JobOnDisk | DamagedJob]:
    return await queue.read([waiting.number for waiting in await queue.open_jobs()])


async def test_a_job_that_was_committed_is_open(queue: Outbox) -> None:
    first, second = job(queue, 1, 3), job(queue, 2)

    await commit(queue, jobs=[first, second])

    assert list(await open_jobs(queue)) == [(first, None), (second, None)]
    assert [(one.number, one.app, one.provider, one.pushes) for one in await queue.open_jobs()] == [
        (first.number, "chat", "apns", 4),
        (second.number, "chat", "apns", 2),
    ]
    assert all(one.size > 0 for one in await queue.open_jobs())


async def test_jobs_are_read_by_number_in_the_order_asked_for(queue: Outbox) -> None:
    jobs = [job(queue, 1) for _ in range(5)]
    await commit(queue, jobs=jobs)

    found = await queue.read([jobs[3].number, 17, jobs[1].number])

    assert list(found) == [(jobs[3], None), (jobs[1], None)]


async def test_progress_stays_with_its_job(queue: Outbox) -> None:
    made = job(queue, 2)
    await commit(queue, jobs=[made])

    await commit(queue, progress=[JobProgress(made.number, b"\0\3", b"\1\1")])
    await commit(queue, progress=[JobProgress(made.number, b"\2\3", b"\2\1")])

    assert list(await open_jobs(queue)) == [(made, JobProgress(made.number, b"\2\3", b"\2\1"))]


async def test_an_ended_job_is_open_no_more_and_says_how_it_ended(queue: Outbox) -> None:
    jobs = [job(queue, 1, 2), job(queue, 1), job(queue, 1)]
    await commit(queue, jobs=jobs)
    ends = [end(jobs[0], reasons=((2, "Unregistered"),)), end(jobs[2])]

    await commit(queue, results=ends)

    assert await queue.find(jobs[0].number) == ends[0]
    assert await queue.find(jobs[0].number + 1) == ends[0]
    assert await queue.find(jobs[1].number) == (jobs[1], None)
    assert await queue.find(jobs[2].number) == ends[1]
    assert await queue.find(jobs[2].number + 1) is None
    assert await queue.find(5) is None


async def test_ended_jobs_are_erased_with_their_tokens(queue: Outbox) -> None:
    jobs = [job(queue, 1) for _ in range(300)]
    await commit(queue, jobs=jobs, progress=[JobProgress(jobs[0].number, b"\2", b"\1")])

    await commit(queue, results=[end(one) for one in jobs])

    assert not await open_jobs(queue)
    assert await queue.find(jobs[299].number) == end(jobs[299])


async def test_identifiers_are_distinct_and_lead_back_to_their_numbers(queue: Outbox) -> None:
    first, idents = queue.reserve(1000)

    assert len(set(idents)) == 1000
    assert [queue.number_of(ident) for ident in idents] == list(range(first, first + 1000))
    assert queue.reserve(1)[0] == first + 1000


async def test_a_foreign_identifier_leads_nowhere(queue: Outbox) -> None:
    assert queue.number_of(bytes(16)) is None
    assert queue.number_of(b"") is None
    assert queue.number_of(os.urandom(16)) is None


async def test_dead_tokens_are_listed_for_their_app_from_a_cursor(queue: Outbox) -> None:
    dead = [DeadToken("chat", "apns", f"token-{n}", "Unregistered", Millis(NOW - n), NOW) for n in range(3)]
    other = DeadToken("other", "fcm", "token", "UNREGISTERED", None, NOW)
    await commit(queue, dead_tokens=[dead[0], other, dead[1], dead[2]])

    page = await queue.dead_tokens("chat", 0, 2)
    rest = await queue.dead_tokens("chat", page[-1].cursor, 9)

    assert [replace(one, cursor=0) for one in (*page, *rest)] == dead
    assert [one.token for one in await queue.dead_tokens("other", 0, 9)] == ["token"]


async def test_an_event_is_due_until_its_hook_was_told(queue: Outbox) -> None:
    await commit(
        queue, events=[WebhookEvent("hook", b"one", NOW), WebhookEvent("hook", b"two", NOW, due_at=Millis(NOW + 5))]
    )
    (one,) = await queue.due_events(NOW, 0, 9)
    assert (one.webhook, one.body, one.attempts) == ("hook", b"one", 0)

    await commit(queue, deferred_events=[replace(one, attempts=1, due_at=Millis(NOW + 9))])
    assert not await queue.due_events(NOW, 0, 9)
    later = await queue.due_events(Millis(NOW + 9), 0, 9)
    assert [(event.body, event.attempts) for event in later] == [(b"one", 1), (b"two", 0)]
    assert len(await queue.due_events(Millis(NOW + 9), one.number, 9)) == 1

    await commit(queue, done_events=[event.number for event in later])
    assert not await queue.due_events(Millis(NOW + DAY), 0, 9)


async def test_a_hook_is_saved_replaced_and_dropped_with_its_events(queue: Outbox) -> None:
    hook = Webhook("h1", "chat", "https://secret.example/", b"secret", ("not_delivered",), "event", (("a", "b"),))
    await queue.save_webhook(hook)
    await queue.save_webhook(replace(hook, url="https://other.example/"))
    await commit(queue, events=[WebhookEvent("h1", b"one", NOW)])

    assert list(await queue.webhooks()) == [replace(hook, url="https://other.example/")]
    assert await queue.drop_webhook("h1")
    assert not await queue.drop_webhook("h1")
    assert not await queue.webhooks()
    assert not await queue.due_events(NOW, 0, 9)


async def test_the_first_answer_under_a_key_stays(queue: Outbox) -> None:
    first = IdempotentResponse(b"d" * 32, b"r" * 32, b"answer", NOW)
    await commit(queue, responses=[first])

    await commit(queue, responses=[replace(first, body=b"another")])

    assert await queue.idempotent_response(b"d" * 32) == first
    assert await queue.idempotent_response(b"e" * 32) is None


async def test_what_is_old_is_forgotten_and_open_jobs_are_not(queue: Outbox) -> None:
    old, waiting = job(queue, 1), job(queue, 1)
    await commit(queue, jobs=[old, waiting])
    await commit(
        queue,
        results=[end(old)],
        dead_tokens=[DeadToken("chat", "apns", "token", "Unregistered", None, NOW)],
        responses=[IdempotentResponse(b"d" * 32, b"r" * 32, b"answer", NOW)],
        events=[WebhookEvent("hook", b"", NOW)],
    )

    assert await queue.forget(Millis(NOW), 100) == 0
    assert await queue.forget(Millis(NOW + DAY), 100) == 4

    assert await queue.find(old.number) is None
    assert not await queue.dead_tokens("chat", 0, 9)
    assert await queue.idempotent_response(b"d" * 32) is None
    assert list(await open_jobs(queue)) == [(waiting, None)]


async def test_a_closed_queue_says_so(queue: Outbox) -> None:
    await queue.close()

    with pytest.raises(StoreUnavailable):
        await commit(queue, jobs=[])
    with pytest.raises(StoreUnavailable):
        await queue.find(1)


async def test_everything_is_there_after_a_stop(open_queue: Callable[[], SqliteOutbox]) -> None:
    queue = open_queue()
    gone, kept = job(queue, 1), job(queue, 2, 1)
    await commit(queue, jobs=[gone, kept], progress=[JobProgress(kept.number, b"\2\3\0", b"\1\1\0")])
    await commit(
        queue, results=[end(gone)], dead_tokens=[DeadToken("chat", "apns", "token", "Unregistered", None, NOW)]
    )
    await queue.close()

    again = open_queue()

    assert list(await open_jobs(again)) == [(kept, JobProgress(kept.number, b"\2\3\0", b"\1\1\0"))]
    assert await again.find(gone.number) == end(gone)
    assert again.number_of(kept.notifications[1].ident) == kept.number + 1
    assert again.reserve(1)[0] > kept.number + 1
    assert len(await again.dead_tokens("chat", 0, 9)) == 1
    await again.close()


async def test_a_job_that_ended_just_before_a_crash_does_not_begin_again(
    open_queue: Callable[[], SqliteOutbox],
) -> None:
    queue = open_queue()
    ended, waiting = job(queue, 1, 1), job(queue, 1)
    await commit(queue, jobs=[ended, waiting])
    await commit(queue, results=[end(ended)])

    after_crash = open_queue()

    assert list(await open_jobs(after_crash)) == [(waiting, None)]
    await after_crash.close()
    await queue.close()


async def test_nothing_secret_is_in_the_file(open_queue: Callable[[], SqliteOutbox], tmp_path: Path) -> None:
    queue = open_queue()
    made = job(queue, 3)
    await commit(
        queue,
        jobs=[made],
        dead_tokens=[DeadToken("chat", "apns", "hidden-token", "Unregistered", None, NOW)],
        events=[WebhookEvent("hook", b"hidden-body", NOW)],
    )
    await queue.save_webhook(Webhook("h1", "chat", "https://hidden.example/", b"hidden", ()))
    await queue.close()

    for file in (tmp_path / "data").iterdir():
        assert b"hidden" not in file.read_bytes()
        assert b"im.example" not in file.read_bytes()


async def test_a_batch_that_cannot_be_written_changes_nothing(open_queue: Callable[[], SqliteOutbox]) -> None:
    queue = open_queue()
    made = job(queue, 1)

    with pytest.raises(StoreUnavailable):
        await commit(queue, jobs=[made], responses=[IdempotentResponse(b"", b"", b"", Millis(1 << 70))])

    assert not await open_jobs(queue)
    await commit(queue, jobs=[made])
    assert list(await open_jobs(queue)) == [(made, None)]
    await queue.close()


async def test_a_job_that_was_put_aside_is_open_no_more(queue: Outbox) -> None:
    damaged, other = job(queue, 1), job(queue, 1)
    await commit(queue, jobs=[damaged, other])

    await commit(queue, quarantined=[DamagedJob(damaged.number, "chat", "apns", 1, "made up")])

    assert list(await open_jobs(queue)) == [(other, None)]


async def test_facts_of_a_server_are_refused_where_there_are_none(queue: Outbox) -> None:
    with pytest.raises(TypeError):
        await commit(queue, server=[MarkNotified(NotificationKey(b"r" * 32), NOW)])
