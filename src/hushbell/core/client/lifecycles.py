"""
The two life cycles of a client as tables: a registration with one server, and one message ringing one device.

Every pair of stage and signal is defined. A signal that changes nothing says so in its row, so that a late, lost or
repeated answer cannot leave a client in a place that nobody thought of (spec 16, "Client responsibilities";
reference/status-go.md 7.2, 7.6 and 10).
"""

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import Final


class Enrolled(Enum):
    """How far a registration is with one server."""

    DUE = "due"  # the server has not been told yet
    WAITING = "waiting"  # told, and silent so far; told again on the schedule of ``retry``
    REGISTERED = "registered"  # it has what we said last
    REFUSED = "refused"  # it will not take this; only other content is worth sending
    UNREACHABLE = "unreachable"  # told as often as the schedule allows
    GONE = "gone"  # it confirmed that we left


class Told(Enum):
    """What happens to a registration."""

    CHANGED = "changed"  # there is something new to tell
    SENT = "sent"
    CONFIRMED = "confirmed"  # success, for a registration
    RELEASED = "released"  # success, for an end of one
    REJECTED = "rejected"  # an error that the same content will meet again
    TROUBLED = "troubled"  # an error of the server's own, or one this version does not know
    EXHAUSTED = "exhausted"  # the last trial had no answer in its time


class Rung(Enum):
    """How far a message is with one device."""

    UNKNOWN = "unknown"  # nobody told us how to ring it
    READY = "ready"  # a request can be sent
    ASKED = "asked"  # a request is on its way
    STALE = "stale"  # what we know no longer rings; a query is on its way
    ACCEPTED = "accepted"  # a server took it
    FAILED = "failed"  # no server will
    EXPIRED = "expired"  # nobody answered before the deadline


class Heard(Enum):
    """What happens to a ring."""

    LEARNT = "learnt"  # how to ring the device, or a server that was not tried
    SENT = "sent"
    SUCCESS = "success"
    WRONG_TOKEN = "wrong_token"
    NOT_REGISTERED = "not_registered"
    TROUBLED = "troubled"  # the server failed, or says what this version does not know
    SILENCE = "silence"  # no answer within three seconds
    GIVEN_UP = "given_up"  # nothing is left to try
    DEADLINE = "deadline"


_E, _T, _R, _H = Enrolled, Told, Rung, Heard

ENROLLING: Final[Mapping[Enrolled, Mapping[Told, Enrolled]]] = MappingProxyType(
    {
        _E.DUE: {
            _T.CHANGED: _E.DUE,
            _T.SENT: _E.WAITING,
            # An answer to a trial before the restart or the last change of plan.
            _T.CONFIRMED: _E.REGISTERED,
            _T.RELEASED: _E.GONE,
            _T.REJECTED: _E.REFUSED,
            _T.TROUBLED: _E.DUE,
            _T.EXHAUSTED: _E.UNREACHABLE,
        },
        _E.WAITING: {
            _T.CHANGED: _E.DUE,
            _T.SENT: _E.WAITING,
            _T.CONFIRMED: _E.REGISTERED,
            _T.RELEASED: _E.GONE,
            _T.REJECTED: _E.REFUSED,
            _T.TROUBLED: _E.WAITING,
            _T.EXHAUSTED: _E.UNREACHABLE,
        },
        _E.REGISTERED: {
            _T.CHANGED: _E.DUE,
            _T.SENT: _E.REGISTERED,
            _T.CONFIRMED: _E.REGISTERED,
            _T.RELEASED: _E.REGISTERED,
            # The answer to a repeated trial that the server had already taken: it has what we said.
            _T.REJECTED: _E.REGISTERED,
            _T.TROUBLED: _E.REGISTERED,
            _T.EXHAUSTED: _E.REGISTERED,
        },
        _E.REFUSED: {
            _T.CHANGED: _E.DUE,
            _T.SENT: _E.REFUSED,
            _T.CONFIRMED: _E.REGISTERED,
            _T.RELEASED: _E.GONE,
            _T.REJECTED: _E.REFUSED,
            _T.TROUBLED: _E.REFUSED,
            _T.EXHAUSTED: _E.REFUSED,
        },
        _E.UNREACHABLE: {
            _T.CHANGED: _E.DUE,
            _T.SENT: _E.UNREACHABLE,
            _T.CONFIRMED: _E.REGISTERED,
            _T.RELEASED: _E.GONE,
            _T.REJECTED: _E.REFUSED,
            _T.TROUBLED: _E.UNREACHABLE,
            _T.EXHAUSTED: _E.UNREACHABLE,
        },
        _E.GONE: {
            _T.CHANGED: _E.DUE,
            _T.SENT: _E.GONE,
            _T.CONFIRMED: _E.GONE,
            _T.RELEASED: _E.GONE,
            _T.REJECTED: _E.GONE,
            _T.TROUBLED: _E.GONE,
            _T.EXHAUSTED: _E.GONE,
        },
    }
)

_OPEN: Final = {
    _H.LEARNT: _R.READY,
    _H.SENT: _R.ASKED,
    # However late, and whatever was sent since: it rang.
    _H.SUCCESS: _R.ACCEPTED,
    _H.WRONG_TOKEN: _R.STALE,
    _H.NOT_REGISTERED: _R.STALE,
    _H.TROUBLED: _R.READY,
    _H.SILENCE: _R.READY,
    _H.GIVEN_UP: _R.FAILED,
    _H.DEADLINE: _R.EXPIRED,
}

RINGING: Final[Mapping[Rung, Mapping[Heard, Rung]]] = MappingProxyType(
    {
        _R.UNKNOWN: {**_OPEN, _H.SENT: _R.UNKNOWN, _H.TROUBLED: _R.UNKNOWN, _H.SILENCE: _R.UNKNOWN},
        _R.READY: _OPEN,
        # What is learnt while a server is being asked waits for its answer.
        _R.ASKED: {**_OPEN, _H.LEARNT: _R.ASKED},
        _R.STALE: {**_OPEN, _H.SENT: _R.STALE, _H.TROUBLED: _R.STALE, _H.SILENCE: _R.STALE},
        _R.ACCEPTED: dict.fromkeys(Heard, _R.ACCEPTED),
        _R.FAILED: {**dict.fromkeys(Heard, _R.FAILED), _H.SUCCESS: _R.ACCEPTED},
        _R.EXPIRED: {**dict.fromkeys(Heard, _R.EXPIRED), _H.SUCCESS: _R.ACCEPTED},
    }
)

ENDED: Final = frozenset({Rung.ACCEPTED, Rung.FAILED, Rung.EXPIRED})
