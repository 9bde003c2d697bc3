"""Jobs in memory: what is left to attempt, what the disk learns of them, how they end."""

from hypothesis import given
from hypothesis import strategies as st

from hushbell.core.delivery.job import Job, JobProgress
from hushbell.core.delivery.notification import Message, Notification
from hushbell.core.delivery.state import State
from hushbell.runtime.delivery.active_job import ActiveJob
from hushbell.types import Millis

NOW = Millis(1_700_000_000_000)


def job(*counts: int, form: str = "") -> Job:
    notes = [
        Notification(
            bytes([n]) * 16, "chat", "token", tuple(map(str, range(count))), Message("apns", b"{}", form=form), NOW
        )
        for n, count in enumerate(counts)
    ]
    return Job(7, "chat", NOW, tuple(notes))


def end(active: ActiveJob, position: int, state: State) -> None:
    active.states[position] = state
    active.left -= 1


def test_a_new_job_attempts_every_push_of_every_notification() -> None:
    active = ActiveJob(job(2, 1))

    assert active.left == active.pushes == 3
    assert [(item.offset, list(item.indexes)) for item in active.items()] == [(0, [0, 1]), (2, [0])]


def test_a_job_from_the_disk_attempts_only_pushes_without_a_final_state() -> None:
    states = bytes([State.ACCEPTED, State.RETRYING, State.FAILED, State.STORED])

    active = ActiveJob(job(2, 1, 1), JobProgress(7, states, b"\1\2\1\0"))

    assert active.left == 2
    assert [(item.offset, list(item.indexes)) for item in active.items()] == [(0, [1]), (3, [0])]


def test_progress_of_another_size_is_ignored() -> None:
    active = ActiveJob(job(2), JobProgress(7, bytes([State.ACCEPTED]), b"\1"))

    assert active.left == 2
    assert active.states == bytes(2)


def test_an_attempt_under_way_is_written_as_one_to_repeat() -> None:
    active = ActiveJob(job(3))
    active.items()[0].begin_attempts([0, 2])
    end(active, 2, State.ACCEPTED)

    assert active.progress() == JobProgress(7, bytes([State.RETRYING, State.STORED, State.ACCEPTED]), b"\1\0\1")


def test_attempts_are_counted_up_to_255() -> None:
    active = ActiveJob(job(1))
    for _ in range(300):
        active.items()[0].begin_attempts([0])

    assert active.attempts == b"\xff"


def test_the_result_holds_states_attempts_and_reasons_by_position() -> None:
    active = ActiveJob(job(2, 1))
    for item in active.items():
        item.begin_attempts(item.indexes)
    for position, state in enumerate((State.ACCEPTED, State.FAILED, State.DEAD_TOKEN)):
        end(active, position, state)
    active.reasons = {2: "Unregistered", 1: "BadTopic"}

    result = active.result(Millis(NOW + 5))

    assert (result.number, result.app, result.accepted_at, result.ended_at) == (7, "chat", NOW, NOW + 5)
    assert result.pushes == (2, 1)
    assert result.states == bytes([State.ACCEPTED, State.FAILED, State.DEAD_TOKEN])
    assert result.attempts == b"\1\1\1"
    assert result.reasons == ((1, "BadTopic"), (2, "Unregistered"))


@given(st.sampled_from([State.ACCEPTED, State.FAILED, State.EXPIRED]), st.integers(1, 255))
def test_a_single_push_has_the_same_kind_of_result(state: State, attempts: int) -> None:
    active = ActiveJob(job(1))
    active.attempts[0] = attempts
    end(active, 0, state)

    result = active.result(NOW)

    assert (result.pushes, result.states, result.attempts) == ((1,), bytes([state]), bytes([attempts]))


def test_only_messages_with_a_form_are_rendered() -> None:
    plain, formed = ActiveJob(job(1)), ActiveJob(job(1, form="spec16"))

    def render(notification: Notification) -> Notification:
        return notification._replace(message=Message("apns", b"rendered"))

    plain.render(render)
    formed.render(render)

    assert plain.job.notifications[0].message.body == b"{}"
    assert formed.job.notifications[0].message.body == b"rendered"
