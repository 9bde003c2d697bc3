"""Every push that is sent is reported, even if the provider raises."""

from collections.abc import Sequence

import pytest

from hushbell.core.delivery.notification import Message, Notification
from hushbell.core.delivery.outcome import ACCEPTED, Outcome, Verdict
from hushbell.ports.provider import Attempt
from hushbell.runtime.delivery.send_guard import RAISED, UNCONFIGURED, guard_send
from hushbell.testing.scripted_provider import ScriptedProvider
from hushbell.types import Millis

Reports = list[tuple[str, int, Outcome]]


def attempts(reports: Reports, *names: str) -> list[Attempt]:
    def made(name: str) -> Attempt:
        message = Message("apns", b"{}")
        note = Notification(bytes(16), name, "token", ("one", "two"), message, Millis(1))
        return Attempt(note, (0, 1), lambda index, outcome: reports.append((name, index, outcome)))

    return [made(name) for name in names]


class Raising(ScriptedProvider):
    """Raises after it reported one push."""

    def send(self, attempts: Sequence[Attempt]) -> None:
        attempts[0].done(0, ACCEPTED)
        raise RuntimeError("secret")


class Keeping(ScriptedProvider):
    def send(self, attempts: Sequence[Attempt]) -> None:
        self.sent = attempts


def test_a_provider_gets_all_attempts_in_one_call() -> None:
    provider = Keeping()
    given = attempts([], "a", "b")

    guard_send(provider)(given)

    assert provider.sent is given


def test_after_a_provider_raised_every_push_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    reports: Reports = []

    guard_send(Raising())(attempts(reports, "first", "last"))

    # What it reported before stays: a queue heeds the first report of each attempt.
    assert reports[0] == ("first", 0, ACCEPTED)
    assert reports[1:] == [(name, index, RAISED) for name in ("first", "last") for index in (0, 1)]
    assert RAISED.verdict is Verdict.UNKNOWN
    assert "RuntimeError" in caplog.text
    assert "secret" not in caplog.text


def test_without_a_provider_its_configuration_is_to_blame() -> None:
    reports: Reports = []

    guard_send(None)(attempts(reports, "a"))

    assert reports == [("a", 0, UNCONFIGURED), ("a", 1, UNCONFIGURED)]
