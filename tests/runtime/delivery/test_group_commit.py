"""Changes that wait together are committed together; a failed commit loses only what its callers repeat."""

import asyncio
from collections.abc import Sequence

import pytest

from hushbell.core.delivery.changes import Changes, DeadToken, IdempotentResponse
from hushbell.core.delivery.job import Job, JobProgress, JobResult
from hushbell.core.delivery.notification import Message, Notification
from hushbell.core.delivery.state import State
from hushbell.errors import StoreError, StoreUnavailable
from hushbell.ports.outbox import Committed
from hushbell.runtime.delivery.active_job import ActiveJob
from hushbell.runtime.delivery.group_commit import GroupCommit
from hushbell.stores.memory.outbox import MemoryOutbox
from hushbell.types import Millis

NOW = Millis(1_700_000_000_000)
NOTE = Notification(bytes(16), "chat", "token", ("one", "two"), Message("apns", b"{}"), NOW)
DEAD = DeadToken("chat", "apns", "one", "Unregistered", None, NOW)
RESPONSE = IdempotentResponse(b"k" * 32, b"r" * 32, b"body", NOW)


def job(number: int) -> Job:
    return Job(number, "chat", NOW, (NOTE,))


def result(number: int) -> JobResult:
    return JobResult(number, "chat", NOW, NOW, (2,), bytes([State.ACCEPTED] * 2), b"\1\1")


class HeldOutbox(MemoryOutbox):
    """Keeps commits until the test ends them."""

    def __init__(self) -> None:
        super().__init__(random=lambda size: b"\1" * size)
        self.commits: list[Changes] = []
        self.error: Exception | None = None
        self._done: Committed | None = None

    def commit(self, changes: Changes, done: Committed) -> None:
        if self.error is not None:
            raise self.error
        assert self._done is None, "one commit at a time"
        self.commits.append(changes)
        self._done = done

    def end(self, error: StoreError | None = None) -> None:
        done, self._done = self._done, None
        assert done is not None
        done(error)


@pytest.fixture
async def outbox() -> HeldOutbox:
    return HeldOutbox()


@pytest.fixture
async def reported() -> list[tuple[list[int], StoreError | None]]:
    return []


@pytest.fixture
async def commits(outbox: HeldOutbox, reported: list[tuple[list[int], StoreError | None]]) -> GroupCommit:
    def on_jobs(jobs: Sequence[Job], error: StoreError | None) -> None:
        reported.append(([job.number for job in jobs], error))

    return GroupCommit(outbox, on_jobs)


async def test_what_comes_during_a_commit_is_the_next_one(
    commits: GroupCommit, outbox: HeldOutbox, reported: list[tuple[list[int], StoreError | None]]
) -> None:
    commits.add_job(job(1))
    commits.flush()
    for number in (2, 3):
        commits.add_job(job(number))
    commits.add_result(result(1))
    commits.flush()
    assert len(outbox.commits) == 1

    outbox.end()
    commits.flush()
    outbox.end()

    assert [[job.number for job in changes.jobs] for changes in outbox.commits] == [[1], [2, 3]]
    assert outbox.commits[1].results == [result(1)]
    assert reported == [([1], None), ([2, 3], None)]
    assert commits.is_idle
    assert commits.commits == 2


async def test_a_lonely_job_is_committed_without_waiting_for_others(commits: GroupCommit, outbox: HeldOutbox) -> None:
    commits.add_job(job(1))

    await asyncio.sleep(0)
    await asyncio.sleep(0)

    assert len(outbox.commits) == 1


async def test_a_failed_commit_keeps_results_and_reports_jobs(
    commits: GroupCommit, outbox: HeldOutbox, reported: list[tuple[list[int], StoreError | None]]
) -> None:
    error = StoreUnavailable("full")
    commits.add_response(RESPONSE)
    commits.add_job(job(1))
    commits.add_result(result(9))
    commits.add(Changes(dead_tokens=[DEAD]))
    commits.flush()
    commits.add_result(result(10))

    outbox.end(error)
    commits.flush()

    assert reported == [([1], error)]
    assert commits.failures == 1
    kept = outbox.commits[1]
    assert (kept.jobs, kept.responses) == ([], []), "their callers repeat them"
    assert kept.results == [result(9), result(10)], "in their order"
    assert kept.dead_tokens == [DEAD]


async def test_a_value_that_cannot_be_written_is_reported_without_its_text(
    commits: GroupCommit, outbox: HeldOutbox, reported: list[tuple[list[int], StoreError | None]]
) -> None:
    outbox.error = ValueError("secret-token")

    commits.add_job(job(1))
    commits.flush()

    [(numbers, error)] = reported
    assert numbers == [1]
    assert isinstance(error, StoreUnavailable)
    assert "secret-token" not in str(error)


async def test_a_callback_runs_when_what_was_added_before_it_is_on_the_disk(
    commits: GroupCommit, outbox: HeldOutbox
) -> None:
    stored: list[str] = []
    commits.add(Changes(dead_tokens=[DEAD]))
    commits.call_when_stored(lambda: stored.append("first"))
    commits.flush()
    commits.add(Changes(done_events=[1]))
    commits.call_when_stored(lambda: stored.append("second"))

    outbox.end(StoreUnavailable("full"))
    assert stored == [], "nothing was written"
    commits.flush()
    outbox.end()

    assert stored == ["first", "second"]


async def test_progress_is_written_once_a_commit_and_not_of_a_job_that_ended(
    commits: GroupCommit, outbox: HeldOutbox
) -> None:
    open_job, ended = ActiveJob(job(1)), ActiveJob(job(2))
    open_job.states[0] = State.ACCEPTED
    open_job.left = 1
    for active in (open_job, open_job, ended):
        commits.add_progress(active)
    ended.left = 0

    commits.flush()

    assert outbox.commits[0].progress == [JobProgress(1, bytes([State.ACCEPTED, State.STORED]), b"\0\0")]
    assert not open_job.is_dirty


async def test_idle_returns_when_everything_is_on_the_disk(commits: GroupCommit, outbox: HeldOutbox) -> None:
    commits.add_result(result(1))
    waiting = asyncio.create_task(commits.idle())
    await asyncio.sleep(0)
    assert not waiting.done()

    outbox.end()
    await waiting

    assert commits.is_idle
