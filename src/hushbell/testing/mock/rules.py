"""Rules of the control API: which requests get another response than the good one (reference/gateway.md 7.6)."""

import random
from dataclasses import dataclass
from typing import Any, NamedTuple

from hushbell.testing.mock.http import Fault

_MATCH = {"provider", "token_prefix", "app", "nth", "host"}
_REPLY = {"status", "reason", "retry_after", "timestamp", "delay_ms", "dist", "act", "body", "headers"} | {
    fault.value for fault in Fault if fault is not Fault.ANSWER
}


class RecordedPush(NamedTuple):
    """What a request asks a provider for. A field is empty where the provider has no such thing."""

    provider: str
    token: str = ""
    app: str = ""  # project, app id or topic
    apns_id: str = ""
    collapse: str = ""
    topic: str = ""
    push_type: str = ""
    priority: str = ""
    jwt_iat: int = 0  # seconds, Unix time
    bytes: int = 0  # of the body
    tokens: tuple[str, ...] = ()  # where one request carries many

    def __repr__(self) -> str:
        """Show no token."""
        return f"RecordedPush({self.provider}, bytes={self.bytes})"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptedReply:
    """A provider's reply, before it is written in the provider's own form."""

    status: int = 200
    reason: str = ""  # the provider's error code
    retry_after: int | None = None  # seconds
    timestamp: int | None = None  # ms, in a 410 of Apple's
    delay: float = 0.0  # seconds
    fault: Fault = Fault.ANSWER
    headers: tuple[tuple[str, str], ...] = ()  # beside the provider's own
    body: bytes | None = None  # in place of the provider's own form
    token_prefix: str = ""  # of the tokens that are meant, where one request carries many


SUCCESS = ScriptedReply()
"""The good reply. Mocks compare with ``is``, so that the common case costs nothing."""


def split_tokens(push: RecordedPush, reply: ScriptedReply) -> tuple[list[str], list[str]]:
    """Return the tokens of a request that a reply is about, and the others."""
    about = [token for token in push.tokens if token.startswith(reply.token_prefix)]
    return about, [token for token in push.tokens if not token.startswith(reply.token_prefix)]


@dataclass(slots=True)
class Rule:
    """One rule. The first rule that matches a request decides."""

    match: dict[str, Any]
    reply: ScriptedReply
    delay_distribution: dict[str, Any]
    times: int  # how often it still applies; -1: always
    matched: int = 0  # requests that matched all but ``nth``

    def applies(self, push: RecordedPush, host: str) -> bool:
        """Say whether the rule is for this request, and count the request."""
        match = self.match
        if self.times == 0 or match.get("provider", push.provider) != push.provider:
            return False
        if "token_prefix" in match and not any(
            token.startswith(match["token_prefix"]) for token in (push.tokens or (push.token,))
        ):
            return False
        if match.get("app", push.app) != push.app or match.get("host", host) != host:
            return False
        self.matched += 1
        if self.matched % match.get("nth", 1):
            return False
        if self.times > 0:
            self.times -= 1
        return True

    def delay(self, dice: random.Random) -> float:
        """Return the seconds to wait before the response."""
        match self.delay_distribution:
            case {"uniform": [low, high]}:
                return dice.uniform(low, high) / 1000
            case {"exponential": mean}:
                return dice.expovariate(1 / mean) / 1000
            case _:
                return self.reply.delay


def parse_rules(given: Any) -> list[Rule]:
    """
    Return the rules that a JSON list describes.

    ``{"match": {"provider", "token_prefix", "app", "host", "nth"}, "reply": {"status", "reason", "retry_after",
    "timestamp", "delay_ms", "dist": {"uniform": [LOW, HIGH]} or {"exponential": MEAN}, "headers": {NAME: VALUE},
    "body", "act", or the name of a fault as true}, "times": N}``. Every field is optional.

    Raises:
        ValueError: the JSON has another form, or a name is unknown.
    """
    rules = given.get("rules") if isinstance(given, dict) else given
    if not isinstance(rules, list):
        raise ValueError("rules must be a list")  # noqa: TRY004 - of the caller's JSON
    return [_parse_rule(rule) for rule in rules]


def _parse_rule(given: Any) -> Rule:
    if not isinstance(given, dict) or given.keys() - {"match", "reply", "times"}:
        raise ValueError("a rule has match, reply and times")
    match, reply, times = given.get("match", {}), given.get("reply", {}), given.get("times", -1)
    if not isinstance(match, dict) or match.keys() - _MATCH or not isinstance(match.get("nth", 1), int):
        raise ValueError(f"match has {', '.join(sorted(_MATCH))}")
    if not isinstance(reply, dict) or reply.keys() - _REPLY or not isinstance(reply.get("headers", {}), dict):
        raise ValueError(f"reply has {', '.join(sorted(_REPLY))}")
    if type(times) is not int or match.get("nth", 1) < 1:
        raise ValueError("times and nth are whole numbers")
    named = [fault for fault in Fault if reply.get(fault.value) is True]
    body = reply.get("body")
    parsed = ScriptedReply(
        status=int(reply.get("status", 200)),
        reason=str(reply.get("reason", "")),
        retry_after=reply.get("retry_after"),
        timestamp=reply.get("timestamp"),
        delay=float(reply.get("delay_ms", 0)) / 1000,
        fault=Fault(reply.get("act", named[0] if named else Fault.ANSWER)),
        headers=tuple((str(name).lower(), str(value)) for name, value in reply.get("headers", {}).items()),
        body=body.encode() if isinstance(body, str) else body,
        token_prefix=str(match.get("token_prefix", "")),
    )
    return Rule(dict(match), SUCCESS if parsed == SUCCESS else parsed, dict(reply.get("dist") or {}), times)
