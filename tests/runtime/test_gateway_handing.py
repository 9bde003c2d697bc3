"""Attempts reach a provider together or one by one, and every place is told of, even if the provider raises."""

from collections.abc import Sequence

import pytest

from hushbell.core.delivery.notification import Message, Notification
from hushbell.core.delivery.outcome import ACCEPTED, Outcome, Verdict
from hushbell.ports.provider import Attempt, Done
from hushbell.runtime.delivery.handing import RAISED, UNCONFIGURED, handing
from hushbell.testing.scripted_provider import ScriptedProvider
from hushbell.types import Millis

Told = list[tuple[str, int, Outcome]]


def attempts(told: Told, *names: str) -> list[Attempt]:
    def made(name: str) -> Attempt:
        message = Message("apns", b"{}")
        note = Notification(bytes(16), name, "token", ("one", "two"), message, Millis(1))
        return note, (0, 1), lambda place, outcome: told.append((name, place, outcome))

    return [made(name) for name in names]


class Raising(ScriptedProvider):
    """Raises for one app, after it told of one place."""

    def attempt(self, notification: Notification, places: Sequence[int], done: Done) -> None:
        done(places[0], ACCEPTED)
        if notification.app == "bad":
            raise RuntimeError("secret")
        done(places[1], ACCEPTED)


class Together(ScriptedProvider):
    """Takes everything at once."""

    def attempt_all(self, attempts: Sequence[Attempt]) -> None:
        self.taken = list(attempts)


def test_one_that_takes_many_gets_them_in_one_call() -> None:
    provider = Together()
    given = attempts([], "a", "b")

    handing(provider)(given)

    assert provider.taken == given


def test_one_that_raises_harms_no_other_notification(caplog: pytest.LogCaptureFixture) -> None:
    told: Told = []

    handing(Raising())(attempts(told, "first", "bad", "last"))

    good = [(name, place, ACCEPTED) for name in ("first", "last") for place in (0, 1)]
    assert [one for one in told if one[0] != "bad"] == good
    # What it told before stays told: a lane takes the first word on each attempt.
    assert [one for one in told if one[0] == "bad"] == [("bad", 0, ACCEPTED), ("bad", 0, RAISED), ("bad", 1, RAISED)]
    assert RAISED.verdict is Verdict.UNKNOWN
    assert "RuntimeError" in caplog.text
    assert "secret" not in caplog.text


def test_without_a_provider_its_configuration_is_to_blame() -> None:
    told: Told = []

    handing(None)(attempts(told, "a"))

    assert told == [("a", 0, UNCONFIGURED), ("a", 1, UNCONFIGURED)]
