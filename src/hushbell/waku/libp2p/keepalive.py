"""Whether a connection still lives, by the bytes that come and go. No I/O; asked about once a second."""

from hushbell.types import Millis
from hushbell.waku.libp2p.limits import HostLimits

ASK = "ask"


class KeepAlive:
    """What one connection did lately. ``heard`` is set by whoever reads its socket, ``moved`` by whoever writes."""

    __slots__ = ("_asked", "_heard_at", "_limits", "_moved_at", "heard", "moved")

    def __init__(self, limits: HostLimits, now: Millis) -> None:
        self._limits = limits
        self._heard_at = self._moved_at = now
        self._asked = False
        self.heard = False
        self.moved = False

    def check(self, now: Millis, *, full: bool, paused: bool) -> str:
        """
        Return the bound to cut the connection for, or ASK for a sign of life, or nothing.

        Args:
            now: the time.
            full: whether the socket's buffer is over its bound.
            paused: whether we do not read the socket ourselves.
        """
        if self.heard or paused:
            self._heard_at, self._asked = now, False
        if self.moved or not full:
            self._moved_at = now
        self.heard = self.moved = False
        if elapsed(self._moved_at, now, self._limits.unsent_seconds):
            return "unsent_seconds"
        if elapsed(self._heard_at, now, self._limits.dead_seconds):
            return "dead_seconds"
        if elapsed(self._heard_at, now, self._limits.idle_seconds) and not self._asked:
            self._asked = True
            return ASK
        return ""


def elapsed(since: Millis, now: Millis, seconds: int) -> bool:
    """Whether more than so many seconds have passed."""
    return now - since > seconds * 1000
