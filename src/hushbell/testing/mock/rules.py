"""Which requests are answered otherwise than well: the rules of the control language (reference/gateway.md 7.6)."""

import random
from dataclasses import dataclass
from typing import Any, NamedTuple

from hushbell.testing.mock.http import Fault

_MATCH = {"provider", "token_prefix", "app", "nth", "host"}
_REPLY = {"status", "reason", "retry_after", "timestamp", "delay_ms", "dist", "act", "body"} | {
    act.value for act in Fault if act is not Fault.ANSWER
}


class RecordedPush(NamedTuple):
    """What a check found out about a request. Empty where the provider has no such thing."""

    provider: str
    token: str = ""
    app: str = ""  # project, app id or topic
    ident: str = ""  # apns-id
    collapse: str = ""
    topic: str = ""
    push_type: str = ""
    priority: str = ""
    jwt_iat: int = 0
    bytes: int = 0
    tokens: tuple[str, ...] = ()  # where one request carries many

    def __repr__(self) -> str:
        """Show no token."""
        return f"Seen({self.provider}, bytes={self.bytes})"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptedReply:
    """What a provider is made to say."""

    status: int = 200
    reason: str = ""
    retry_after: int | None = None  # seconds
    timestamp: int | None = None  # ms, of a 410 of Apple's
    delay: float = 0.0  # seconds
    act: Fault = Fault.ANSWER
    body: str | None = None  # in place of the provider's own form
    prefix: str = ""  # of the tokens that are meant, where one request carries many


FINE = ScriptedReply()


def meant(seen: "RecordedPush", said: ScriptedReply) -> tuple[list[str], list[str]]:
    """Return the tokens of a request that an answer is about, and the others."""
    about = [token for token in seen.tokens if token.startswith(said.prefix)]
    return about, [token for token in seen.tokens if not token.startswith(said.prefix)]


@dataclass(slots=True)
class Rule:
    """One rule: the first that matches a request decides."""

    match: dict[str, Any]
    said: ScriptedReply
    dist: dict[str, Any]
    times: int  # how often it still applies; -1 always
    seen: int = 0  # requests that matched all but ``nth``

    def applies(self, seen: RecordedPush, host: str) -> bool:
        """Say whether the rule is for this request, and count it."""
        match = self.match
        if self.times == 0 or match.get("provider", seen.provider) != seen.provider:
            return False
        if "token_prefix" in match and not any(
            token.startswith(match["token_prefix"]) for token in (seen.tokens or (seen.token,))
        ):
            return False
        if match.get("app", seen.app) != seen.app or match.get("host", host) != host:
            return False
        self.seen += 1
        if self.seen % match.get("nth", 1):
            return False
        if self.times > 0:
            self.times -= 1
        return True

    def delay(self, chance: random.Random) -> float:
        """Return the seconds to wait before the answer."""
        match self.dist:
            case {"uniform": [low, high]}:
                return chance.uniform(low, high) / 1000
            case {"exponential": mean}:
                return chance.expovariate(1 / mean) / 1000
            case _:
                return self.said.delay


def parse(given: Any) -> list[Rule]:
    """
    Return the rules that a JSON list describes.

    ``{"match": {"provider", "token_prefix", "app", "host", "nth"}, "reply": {"status", "reason", "retry_after",
    "timestamp", "delay_ms", "dist": {"uniform": [LOW, HIGH]} or {"exponential": MEAN}, "body", "act", or the name of
    an act as true}, "times": N}``. Everything may be missing.

    Raises:
        ValueError: it is something else, or a word is unknown.
    """
    rules = given.get("rules") if isinstance(given, dict) else given
    if not isinstance(rules, list):
        raise ValueError("rules must be a list")  # noqa: TRY004 - of the caller's JSON
    return [_rule(rule) for rule in rules]


def _rule(given: Any) -> Rule:
    if not isinstance(given, dict) or given.keys() - {"match", "reply", "times"}:
        raise ValueError("a rule has match, reply and times")
    match, reply, times = given.get("match", {}), given.get("reply", {}), given.get("times", -1)
    if not isinstance(match, dict) or match.keys() - _MATCH or not isinstance(match.get("nth", 1), int):
        raise ValueError(f"match has {', '.join(sorted(_MATCH))}")
    if not isinstance(reply, dict) or reply.keys() - _REPLY:
        raise ValueError(f"reply has {', '.join(sorted(_REPLY))}")
    if type(times) is not int or match.get("nth", 1) < 1:
        raise ValueError("times and nth are whole numbers")
    named = [act for act in Fault if reply.get(act.value) is True]
    act = Fault(reply.get("act", named[0] if named else Fault.ANSWER))
    said = ScriptedReply(
        status=int(reply.get("status", 200)),
        reason=str(reply.get("reason", "")),
        retry_after=reply.get("retry_after"),
        timestamp=reply.get("timestamp"),
        delay=float(reply.get("delay_ms", 0)) / 1000,
        act=act,
        body=reply.get("body"),
        prefix=str(match.get("token_prefix", "")),
    )
    return Rule(dict(match), said, dict(reply.get("dist") or {}), times)
