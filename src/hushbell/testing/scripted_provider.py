"""A provider that answers as scripted, for tests of the layers in front of providers."""

import asyncio
from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from hushbell.errors import CallerError
from hushbell.ports.provider import ACCEPTED, Attempt, Done, Message, Notification, Outcome, Provider, Verdict
from hushbell.types import Millis


@dataclass(frozen=True, slots=True)
class ScriptedPush:
    """One push that was sent to the provider."""

    notification: Notification
    place: int
    done: Done = field(repr=False)

    @property
    def token(self) -> str:
        """Return whom it was for."""
        return self.notification.targets[self.place]


class ScriptedProvider:
    """
    Answers in the next turn of the event loop, each token's script first.

    With ``holds`` it answers nothing until :meth:`answer`.
    """

    def __init__(self, name: str = "apns", *, outcome: Outcome = ACCEPTED, holds: bool = False) -> None:
        self.name = name
        self.credential_expires_at: Millis | None = None
        self.outcome = outcome
        self.holds = holds
        self.script: defaultdict[str, deque[Outcome]] = defaultdict(deque)  # by token
        self.attempts: list[ScriptedPush] = []
        self.held: list[ScriptedPush] = []
        self.reloads = 0
        self.is_closed = False

    @property
    def tokens(self) -> list[str]:
        """Return whom attempts were for, in order."""
        return [attempt.token for attempt in self.attempts]

    def check(self, message: Message) -> None:
        """Refuse an empty body."""
        if not message.body:
            raise CallerError("message.body", "must not be empty")

    def send(self, attempts: Sequence[Attempt]) -> None:
        """Report the outcome in the next turn of the event loop, or at :meth:`answer`."""
        for notification, indexes, done in attempts:
            for index in indexes:
                push = ScriptedPush(notification, index, done)
                self.attempts.append(push)
                if self.holds:
                    self.held.append(push)
                else:
                    asyncio.get_running_loop().call_soon(self._answer, push)

    def answer(self, token: str, outcome: Outcome | None = None) -> None:
        """Answer the oldest attempt for a token that is held."""
        attempt = next(attempt for attempt in self.held if attempt.token == token)
        self.held.remove(attempt)
        self._answer(attempt, outcome)

    def answer_all(self) -> None:
        """Answer all attempts that are held now."""
        held, self.held = self.held, []
        for attempt in held:
            self._answer(attempt)

    def reload(self) -> None:
        """Count it."""
        self.reloads += 1

    async def close(self) -> None:
        """End what is held with UNKNOWN."""
        self.is_closed = True
        held, self.held = self.held, []
        for attempt in held:
            self._answer(attempt, Outcome(Verdict.UNKNOWN, "closed"))

    def _answer(self, attempt: ScriptedPush, outcome: Outcome | None = None) -> None:
        script = self.script[attempt.token]
        attempt.done(attempt.place, outcome or (script.popleft() if script else self.outcome))


async def attempt(
    provider: Provider, notification: Notification, places: Sequence[int] | None = None, *, patience: float = 60.0
) -> list[Outcome]:
    """
    Have a provider try these places, all if none are given, and return the outcomes in their order.

    Raises:
        AssertionError: an outcome is missing, repeated, or of another place.
        TimeoutError: an outcome is missing after ``patience`` seconds.
    """
    wanted = range(len(notification.targets)) if places is None else places
    outcomes: dict[int, Outcome] = {}
    all_reported = asyncio.get_running_loop().create_future()

    def done(place: int, outcome: Outcome) -> None:
        assert place in wanted
        assert place not in outcomes
        outcomes[place] = outcome
        if len(outcomes) == len(wanted):
            all_reported.set_result(None)

    if wanted:
        provider.send([Attempt(notification, wanted, done)])
        await asyncio.wait_for(all_reported, patience)
    await asyncio.sleep(0)  # time for a second report
    return [outcomes[place] for place in wanted]
