"""The tables of the two life cycles are whole, and what ended stays ended."""

import pytest

from hushbell.core.client.lifecycles import ENDED, ENROLLING, RINGING, Enrolled, Heard, Rung, Told


def test_every_stage_of_a_registration_has_an_answer_to_every_signal() -> None:
    assert ENROLLING.keys() == set(Enrolled)
    for stage, row in ENROLLING.items():
        assert row.keys() == set(Told), stage
        assert all(isinstance(after, Enrolled) for after in row.values())


def test_every_stage_of_a_ring_has_an_answer_to_every_signal() -> None:
    assert RINGING.keys() == set(Rung)
    for stage, row in RINGING.items():
        assert row.keys() == set(Heard), stage
        assert all(isinstance(after, Rung) for after in row.values())


@pytest.mark.parametrize("stage", list(Enrolled))
def test_something_new_is_told_whatever_came_before(stage: Enrolled) -> None:
    assert ENROLLING[stage][Told.CHANGED] is Enrolled.DUE


@pytest.mark.parametrize("stage", [stage for stage in Enrolled if stage is not Enrolled.GONE])
def test_a_confirmation_counts_however_late(stage: Enrolled) -> None:
    assert ENROLLING[stage][Told.CONFIRMED] is Enrolled.REGISTERED


@pytest.mark.parametrize("signal", [signal for signal in Told if signal is not Told.CHANGED])
def test_what_a_server_confirmed_is_not_undone_by_answers_to_repetitions(signal: Told) -> None:
    assert ENROLLING[Enrolled.REGISTERED][signal] is Enrolled.REGISTERED


@pytest.mark.parametrize("stage", list(Rung))
def test_a_success_counts_however_late(stage: Rung) -> None:
    assert RINGING[stage][Heard.SUCCESS] is Rung.ACCEPTED


@pytest.mark.parametrize("stage", sorted(ENDED, key=str))
@pytest.mark.parametrize("signal", [signal for signal in Heard if signal is not Heard.SUCCESS])
def test_a_ring_that_ended_never_rings_again(stage: Rung, signal: Heard) -> None:
    assert RINGING[stage][signal] is stage


def test_every_stage_of_a_registration_can_be_reached_and_left() -> None:
    reached = {after for stage, row in ENROLLING.items() for after in row.values() if after is not stage}

    assert reached == set(Enrolled)


def test_every_stage_of_a_ring_can_be_reached_from_the_first() -> None:
    reached, new = {Rung.UNKNOWN}, {Rung.UNKNOWN}
    while new:
        new = {after for stage in new for after in RINGING[stage].values()} - reached
        reached |= new

    assert reached == set(Rung)
