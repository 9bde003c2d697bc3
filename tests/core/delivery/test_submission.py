"""A submission is done once: when all is stored and, if it waits, attempted."""

from hypothesis import given
from hypothesis import strategies as st

from hushbell.core.delivery.job import Job
from hushbell.core.delivery.notification import Message, Notification
from hushbell.core.delivery.outcome import Outcome, Verdict
from hushbell.core.delivery.submission import FailedPush, Submission
from hushbell.errors import StoreError, StoreUnavailable
from hushbell.types import Millis

NOTE = Notification(bytes(16), "chat", "token", ("one", "two"), Message("apns", b"{}"), Millis(1))
FAILED = FailedPush(NOTE, 1, Outcome(Verdict.RETRY, "TooManyRequests"), is_final=False)
ERROR = StoreUnavailable("the disk is full")


def submission(jobs: int, *, wait: bool) -> tuple[Submission, list[StoreError | None]]:
    done: list[StoreError | None] = []
    made = Submission([Job(n, "chat", Millis(0), (NOTE,)) for n in range(jobs)], lambda _, e: done.append(e), wait=wait)
    return made, done


def test_without_waiting_it_is_done_when_the_last_job_is_stored() -> None:
    made, done = submission(2, wait=False)
    made.count_stored(None)
    made.count_attempted(FAILED)
    assert done == []

    made.count_stored(None)

    assert done == [None]
    assert made.failures == [], "nobody waits for attempts"


def test_with_waiting_it_is_done_when_the_last_push_is_attempted() -> None:
    made, done = submission(1, wait=True)
    made.count_stored(None)
    made.count_attempted()
    assert done == []

    made.count_attempted(FAILED)

    assert done == [None]
    assert made.failures == [FAILED]


def test_an_error_ends_the_waiting_for_attempts() -> None:
    made, done = submission(2, wait=True)
    made.count_stored(ERROR)
    made.count_stored(None)

    assert done == [ERROR]


def test_finishing_early_still_waits_for_the_disk() -> None:
    made, done = submission(1, wait=True)
    made.finish()
    assert done == []

    made.count_stored(None)

    assert done == [None]


@given(st.integers(1, 3), st.booleans(), st.lists(st.sampled_from(["stored", "error", "attempted", "finish"])))
def test_whatever_the_order_it_is_done_at_most_once_and_never_before_the_disk(
    jobs: int, wait: bool, steps: list[str]
) -> None:
    made, done = submission(jobs, wait=wait)
    stored = 0
    for step in steps:
        if step in ("stored", "error") and stored < jobs:
            stored += 1
            made.count_stored(ERROR if step == "error" else None)
        elif step == "attempted":
            made.count_attempted()
        elif step == "finish":
            made.finish()
        assert len(done) <= (stored == jobs)
