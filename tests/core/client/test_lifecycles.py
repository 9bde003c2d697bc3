"""The tables of the two life cycles are whole, and what ended stays ended."""

import pytest

from hushbell.core.client.lifecycles import (
    DEVICE_TRANSITIONS,
    FINAL_DEVICE_STATES,
    REGISTRATION_TRANSITIONS,
    DeviceSignal,
    DeviceState,
    RegistrationSignal,
    RegistrationState,
)


def test_every_stage_of_a_registration_has_an_answer_to_every_signal() -> None:
    assert REGISTRATION_TRANSITIONS.keys() == set(RegistrationState)
    for stage, row in REGISTRATION_TRANSITIONS.items():
        assert row.keys() == set(RegistrationSignal), stage
        assert all(isinstance(after, RegistrationState) for after in row.values())


def test_every_stage_of_a_ring_has_an_answer_to_every_signal() -> None:
    assert DEVICE_TRANSITIONS.keys() == set(DeviceState)
    for stage, row in DEVICE_TRANSITIONS.items():
        assert row.keys() == set(DeviceSignal), stage
        assert all(isinstance(after, DeviceState) for after in row.values())


@pytest.mark.parametrize("stage", list(RegistrationState))
def test_something_new_is_told_whatever_came_before(stage: RegistrationState) -> None:
    assert REGISTRATION_TRANSITIONS[stage][RegistrationSignal.CHANGED] is RegistrationState.DUE


@pytest.mark.parametrize("stage", [stage for stage in RegistrationState if stage is not RegistrationState.UNREGISTERED])
def test_a_confirmation_counts_however_late(stage: RegistrationState) -> None:
    assert REGISTRATION_TRANSITIONS[stage][RegistrationSignal.CONFIRMED] is RegistrationState.REGISTERED


@pytest.mark.parametrize(
    "signal", [signal for signal in RegistrationSignal if signal is not RegistrationSignal.CHANGED]
)
def test_what_a_server_confirmed_is_not_undone_by_answers_to_repetitions(signal: RegistrationSignal) -> None:
    assert REGISTRATION_TRANSITIONS[RegistrationState.REGISTERED][signal] is RegistrationState.REGISTERED


@pytest.mark.parametrize("stage", list(DeviceState))
def test_a_success_counts_however_late(stage: DeviceState) -> None:
    assert DEVICE_TRANSITIONS[stage][DeviceSignal.SUCCESS] is DeviceState.ACCEPTED


@pytest.mark.parametrize("stage", sorted(FINAL_DEVICE_STATES, key=str))
@pytest.mark.parametrize("signal", [signal for signal in DeviceSignal if signal is not DeviceSignal.SUCCESS])
def test_a_ring_that_ended_never_rings_again(stage: DeviceState, signal: DeviceSignal) -> None:
    assert DEVICE_TRANSITIONS[stage][signal] is stage


def test_every_stage_of_a_registration_can_be_reached_and_left() -> None:
    reached = {after for stage, row in REGISTRATION_TRANSITIONS.items() for after in row.values() if after is not stage}

    assert reached == set(RegistrationState)


def test_every_stage_of_a_ring_can_be_reached_from_the_first() -> None:
    reached, new = {DeviceState.UNKNOWN}, {DeviceState.UNKNOWN}
    while new:
        new = {after for stage in new for after in DEVICE_TRANSITIONS[stage].values()} - reached
        reached |= new

    assert reached == set(DeviceState)
