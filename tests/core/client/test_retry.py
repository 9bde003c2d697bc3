"""When a client sends a registration again (reference/status-go.md 7.2)."""

from hushbell.core.client import retry

SCHEDULE = [30, 120, 360, 960, 2400, 5760, 13_440, 30_720, 69_120, 153_600, 337_920]  # seconds; status-go's


def test_silence_is_waited_out_ever_longer_as_status_go_does() -> None:
    assert [retry.delay_millis(trials) // 1000 for trials in range(1, retry.MAX_TRIALS)] == SCHEDULE


def test_the_first_trial_is_at_once() -> None:
    assert retry.delay_millis(0) == 0
