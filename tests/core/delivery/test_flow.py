"""What a failed attempt leads to: final states, retries, pauses; and how much may be under way."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hushbell.core.delivery.backoff import Backoff
from hushbell.core.delivery.flow import REFUSALS_BEFORE_PAUSE, FailedAttempt, Pause, ProviderFlow
from hushbell.core.delivery.outcome import Outcome, Scope, Verdict
from hushbell.core.delivery.state import State
from hushbell.core.delivery.window import FIRST_WINDOW, MAX_WINDOW, MIN_WINDOW
from hushbell.types import Millis

NOW = Millis(1_000_000)
LATE = Millis(NOW + 86_400_000)
DEAD = Outcome(Verdict.DEAD_TOKEN, "Unregistered")
BUSY = Outcome(Verdict.RETRY, "TooManyRequests")
LATER = Outcome(Verdict.RETRY, "TooManyRequests", after=120.0)
DOWN = Outcome(Verdict.RETRY, "ServiceUnavailable", scope=Scope.PROVIDER)
DOWN_UNTIL = Outcome(Verdict.RETRY, "ServiceUnavailable", scope=Scope.PROVIDER, after=30.0)
APP_BUSY = Outcome(Verdict.RETRY, "TooManyProviderTokenUpdates", scope=Scope.APP)
WRONG = Outcome(Verdict.MISCONFIGURED, "InvalidProviderToken", scope=Scope.APP)
BAD = Outcome(Verdict.INVALID, "BadTopic")
LOST = Outcome(Verdict.UNKNOWN, "closed")


def flow() -> ProviderFlow:
    return ProviderFlow(Backoff(first=1.0, factor=2.0, max_delay=600.0))


def fail(
    made: ProviderFlow,
    outcome: Outcome,
    *,
    attempts: int = 1,
    retries: int | None = None,
    expires_at: Millis = LATE,
    now: Millis = NOW,
) -> FailedAttempt:
    return made.failed(outcome, attempts=attempts, retries=retries, expires_at=expires_at, now=now, jitter=0.0)


@pytest.mark.parametrize(
    "outcome, attempts, retries, life, state",
    [
        (DEAD, 1, None, 1, State.DEAD_TOKEN),
        (BAD, 1, None, 1, State.FAILED),
        (BUSY, 1, None, 1, None),
        (BUSY, 1, None, 0, State.EXPIRED),
        (BUSY, 9, None, 1, None),
        (BUSY, 1, 1, 1, None),
        (BUSY, 2, 1, 1, State.FAILED),
        (BUSY, 1, 0, 1, State.FAILED),
        (BUSY, 2, 1, 0, State.EXPIRED),
        (LOST, 1, 0, 1, State.FAILED),
        (LOST, 1, None, 1, None),
        (WRONG, 9, 1, 1, None),  # the operator's mistake is not the push's
        (WRONG, 1, 0, 1, State.FAILED),  # but one attempt is all that was asked for
        (WRONG, 9, None, 0, State.EXPIRED),
        (DEAD, 1, None, 0, State.DEAD_TOKEN),
    ],
)
def test_a_failed_attempt_ends_a_push_or_does_not(
    outcome: Outcome, attempts: int, retries: int | None, life: int, state: State | None
) -> None:
    failed = fail(flow(), outcome, attempts=attempts, retries=retries, expires_at=Millis(NOW + life))

    assert failed.state is state
    if state is not None:
        assert failed.retry_at is None


@pytest.mark.parametrize(
    "outcome, attempts, wait",
    [(BUSY, 1, 1_000), (BUSY, 2, 2_000), (BUSY, 5, 16_000), (BUSY, 99, 600_000), (LATER, 1, 120_000), (LOST, 1, 1_000)],
)
def test_a_retry_waits_for_the_backoff_and_for_what_the_provider_asks(
    outcome: Outcome, attempts: int, wait: int
) -> None:
    assert fail(flow(), outcome, attempts=attempts) == FailedAttempt(outcome, retry_at=Millis(NOW + wait))


def test_a_retry_is_never_planned_after_the_time_to_live() -> None:
    assert fail(flow(), LATER, expires_at=Millis(NOW + 5)).retry_at == NOW + 5


@pytest.mark.parametrize("outcome, wait", [(WRONG, 1_000), (APP_BUSY, 1_000), (DOWN_UNTIL, 30_000)])
def test_an_outcome_that_concerns_the_whole_queue_pauses_it_at_once(outcome: Outcome, wait: int) -> None:
    made = flow()

    failed = fail(made, outcome)

    assert failed == FailedAttempt(outcome, pause=Pause(Millis(NOW + wait), outcome))
    assert made.pause == failed.pause
    assert made.room(0) == 0


def test_a_503_pauses_the_queue_only_if_nothing_is_accepted_between() -> None:
    made = flow()
    for _ in range(10):
        for _ in range(REFUSALS_BEFORE_PAUSE - 1):
            assert fail(made, DOWN).pause is None
        made.accepted += 1

    pauses = [fail(made, DOWN).pause for _ in range(REFUSALS_BEFORE_PAUSE)]

    assert pauses[:-1] == [None] * (REFUSALS_BEFORE_PAUSE - 1)
    assert pauses[-1] is not None


def test_pushes_that_fail_together_begin_one_pause_and_wait_for_its_end() -> None:
    made = flow()
    first = fail(made, WRONG)

    second = fail(made, WRONG, now=Millis(NOW + 500))
    busy = fail(made, BUSY)

    assert made.pause == first.pause
    assert second == FailedAttempt(WRONG)
    assert busy == FailedAttempt(BUSY), "neither a final state nor a time of its own: after the pause"


def test_a_pause_ends_at_its_time_and_one_attempt_finds_out() -> None:
    made = flow()
    fail(made, DOWN_UNTIL)

    assert not made.resumed(Millis(NOW + 29_999))
    assert made.resumed(Millis(NOW + 30_000))
    assert made.room(0) == 1
    assert made.room(1) == 0


def test_pauses_grow_until_a_push_is_accepted() -> None:
    made, now, waits = flow(), NOW, []
    for attempt in range(5):
        if attempt == 4:
            made.accepted += 1
        pause = fail(made, WRONG, now=now).pause
        assert pause is not None
        waits.append(pause.until - now)
        now = pause.until
        assert made.resumed(now)

    assert waits == [1_000, 2_000, 4_000, 8_000, 1_000]


def test_many_dead_tokens_at_once_are_a_wrong_configuration() -> None:
    made = flow()

    failed = [fail(made, DEAD) for _ in range(30)]

    states = [one.state for one in failed]
    assert states.count(State.DEAD_TOKEN) < 10
    assert states[-1] is None
    assert failed[-1].outcome == Outcome(Verdict.MISCONFIGURED, "MassDrop", scope=Scope.APP)
    assert made.pause is not None


def test_dead_tokens_among_many_accepted_ones_are_dead() -> None:
    made = flow()
    made.accepted = 1000

    assert [fail(made, DEAD).state for _ in range(30)] == [State.DEAD_TOKEN] * 30


def test_an_accepted_push_alone_leaves_the_window_and_overload_halves_it_once_a_second() -> None:
    made = flow()
    made.accepted += 1
    assert made.room(0) == FIRST_WINDOW
    made.window.grow()
    assert made.room(0) == FIRST_WINDOW + 1

    for _ in range(50):
        fail(made, LOST)
    assert made.room(0) == -(-(FIRST_WINDOW + 1) // 2)


outcomes = st.sampled_from([DEAD, BUSY, LATER, DOWN, DOWN_UNTIL, APP_BUSY, WRONG, BAD, LOST, None])


@given(
    st.lists(
        st.tuples(outcomes, st.integers(0, 100_000), st.integers(1, 255), st.none() | st.integers(0, 5)), max_size=60
    ),
    st.floats(0, 0.999),
)
def test_whatever_happens_every_failure_has_one_consequence_and_every_pause_an_end(
    events: list[tuple[Outcome | None, int, int, int | None]], jitter: float
) -> None:
    made, now = flow(), NOW
    for outcome, passed, attempts, retries in events:
        now = Millis(now + passed)
        resumed = made.resumed(now)
        assert resumed is (made.pause is None)
        assert MAX_WINDOW >= made.window.size >= min(MIN_WINDOW, 1)
        if outcome is None:
            made.accepted += 1
            made.window.grow()
            continue
        before = made.pause
        expires_at = Millis(now + 50_000)
        failed = made.failed(outcome, attempts=attempts, retries=retries, expires_at=expires_at, now=now, jitter=jitter)

        if failed.state is not None:
            assert failed.state.is_final
            assert failed.retry_at is None
        elif failed.retry_at is None:
            assert made.pause is not None, "only a pause is waited for without a time"
        else:
            assert now <= failed.retry_at <= expires_at
        assert failed.pause is (None if before is not None else made.pause)
        if made.pause is not None:
            assert made.room(0) == 0
            assert made.pause.until >= now
