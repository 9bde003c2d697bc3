"""When a client sends a registration again (reference/status-go.md 7.2)."""

import pytest

from hushbell.core.client import retry
from hushbell.core.client.retry import Progress
from hushbell.types import Millis
from hushbell.wire import RegistrationError

NOW = Millis(1_600_000_000_000)
SCHEDULE = [30, 120, 360, 960, 2400, 5760, 13_440, 30_720, 69_120, 153_600, 337_920]  # seconds; status-go's


def silence(progress: Progress, now: Millis) -> list[int]:
    """Send whenever it is due and never get an answer; return the seconds between the trials."""
    waits = []
    while (at := retry.due(progress)) is not None:
        now = max(now, at)
        progress = retry.tried(progress, now)
        following = retry.due(progress)
        if following is not None:
            waits.append((following - now) // 1000)
    return waits


def test_the_first_trial_is_at_once() -> None:
    due = retry.due(Progress())

    assert due is not None
    assert due <= NOW


def test_silence_is_a_failure_and_waited_out_ever_longer_as_status_go_does() -> None:
    assert silence(Progress(), NOW) == SCHEDULE


def test_an_internal_error_is_tried_again_ever_longer() -> None:
    progress, waits = Progress(), []

    for _ in range(4):
        progress = retry.tried(progress, NOW)
        progress = retry.answered(progress, success=False, error=RegistrationError.INTERNAL_ERROR)
        due = retry.due(progress)
        assert due is not None
        waits.append((due - NOW) // 1000)

    assert waits == SCHEDULE[:4]


@pytest.mark.parametrize(
    "error",
    [
        RegistrationError.MALFORMED_MESSAGE,
        RegistrationError.UNSUPPORTED_TOKEN_TYPE,
        RegistrationError.VERSION_MISMATCH,
    ],
)
def test_what_a_server_called_wrong_is_not_sent_again(error: RegistrationError) -> None:
    progress = retry.answered(retry.tried(Progress(), NOW), success=False, error=error)

    assert retry.due(progress) is None


def test_an_error_of_a_later_version_is_tried_again() -> None:
    progress = retry.answered(retry.tried(Progress(), NOW), success=False, error=99)

    assert retry.due(progress) == NOW + 30_000


def test_success_ends_the_trials() -> None:
    progress = retry.answered(retry.tried(Progress(), NOW), success=True, error=RegistrationError.NONE)

    assert progress.registered
    assert retry.due(progress) is None
