"""Detects dead connections by the bytes that are received and sent. No I/O; called about once a second."""

from hushbell.types import Millis
from hushbell.waku.libp2p.limits import HostLimits

PING_DUE = "ask"


class KeepAlive:
    """The activity of one connection. Its reader sets ``has_received``, its writer ``has_sent``."""

    __slots__ = ("_has_pinged", "_limits", "_received_at", "_sent_at", "has_received", "has_sent")

    def __init__(self, limits: HostLimits, now: Millis) -> None:
        self._limits = limits
        self._received_at = self._sent_at = now
        self._has_pinged = False
        self.has_received = False
        self.has_sent = False

    def check(self, now: Millis, *, full: bool, paused: bool) -> str:
        """
        Return the bound that the connection broke, :data:`PING_DUE`, or "".

        Args:
            now: the time.
            full: whether the socket's buffer is over its bound.
            paused: whether we do not read the socket ourselves.
        """
        if self.has_received or paused:
            self._received_at, self._has_pinged = now, False
        if self.has_sent or not full:
            self._sent_at = now
        self.has_received = self.has_sent = False
        if elapsed(self._sent_at, now, self._limits.unsent_seconds):
            return "unsent_seconds"
        if elapsed(self._received_at, now, self._limits.dead_seconds):
            return "dead_seconds"
        if elapsed(self._received_at, now, self._limits.idle_seconds) and not self._has_pinged:
            self._has_pinged = True
            return PING_DUE
        return ""


def elapsed(since: Millis, now: Millis, seconds: int) -> bool:
    """Whether more than so many seconds have passed."""
    return now - since > seconds * 1000
