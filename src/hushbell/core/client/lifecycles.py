"""
The two state machines of a client as tables: its registration with one server, and one message for one device.

Every pair of state and signal has an entry. A signal that changes nothing in a state is entered as well, so that a
late, lost or repeated response has a defined effect (spec 16, "Client responsibilities"; reference/status-go.md 7.2,
7.6 and 10).
"""

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import Final


class RegistrationState(Enum):
    """State of the registration with one server. The values are on the disk."""

    DUE = "due"  # the current content was not sent to the server yet
    WAITING = "waiting"  # sent, no response yet; repeated on the schedule of ``retry``
    REGISTERED = "registered"  # the server confirmed the current content
    REFUSED = "refused"  # the server refused the current content; only other content is worth sending
    UNREACHABLE = "unreachable"  # sent as often as the schedule allows
    UNREGISTERED = "gone"  # the server confirmed the unregistration


class RegistrationSignal(Enum):
    """Input of the registration's state machine."""

    CHANGED = "changed"  # the content has changed
    SENT = "sent"
    CONFIRMED = "confirmed"  # success of a registration
    UNREGISTERED = "unregistered"  # success of an unregistration
    REJECTED = "rejected"  # an error that the same content meets again
    SERVER_ERROR = "server_error"  # an error of the server itself, or one that this version does not know
    EXHAUSTED = "exhausted"  # the last trial had no response in its time


class DeviceState(Enum):
    """State of one message for one device. The values are on the disk."""

    UNKNOWN = "unknown"  # no info says how to notify the device
    READY = "ready"  # a request can be sent
    REQUESTED = "asked"  # a request is under way
    STALE = "stale"  # the known infos are refused; a query is under way
    ACCEPTED = "accepted"  # a server reported success
    FAILED = "failed"  # no server notifies the device
    EXPIRED = "expired"  # no response before the deadline


class DeviceSignal(Enum):
    """Input of the state machine of a message for a device."""

    INFO_FOUND = "info_found"  # a newer info, or one of a server that was not tried
    SENT = "sent"
    SUCCESS = "success"
    WRONG_TOKEN = "wrong_token"
    NOT_REGISTERED = "not_registered"
    SERVER_ERROR = "server_error"  # an error of the server itself, or one that this version does not know
    NO_RESPONSE = "no_response"  # none within three seconds
    GIVEN_UP = "given_up"  # nothing is left to try
    DEADLINE = "deadline"


_E, _T, _R, _H = RegistrationState, RegistrationSignal, DeviceState, DeviceSignal

REGISTRATION_TRANSITIONS: Final[Mapping[RegistrationState, Mapping[RegistrationSignal, RegistrationState]]] = (
    MappingProxyType(
        {
            _E.DUE: {
                _T.CHANGED: _E.DUE,
                _T.SENT: _E.WAITING,
                # A response to a trial from before a restart or before the last change of content.
                _T.CONFIRMED: _E.REGISTERED,
                _T.UNREGISTERED: _E.UNREGISTERED,
                _T.REJECTED: _E.REFUSED,
                _T.SERVER_ERROR: _E.DUE,
                _T.EXHAUSTED: _E.UNREACHABLE,
            },
            _E.WAITING: {
                _T.CHANGED: _E.DUE,
                _T.SENT: _E.WAITING,
                _T.CONFIRMED: _E.REGISTERED,
                _T.UNREGISTERED: _E.UNREGISTERED,
                _T.REJECTED: _E.REFUSED,
                _T.SERVER_ERROR: _E.WAITING,
                _T.EXHAUSTED: _E.UNREACHABLE,
            },
            _E.REGISTERED: {
                _T.CHANGED: _E.DUE,
                _T.SENT: _E.REGISTERED,
                _T.CONFIRMED: _E.REGISTERED,
                _T.UNREGISTERED: _E.REGISTERED,
                # The response to a repetition of what the server had confirmed already: it has the current content.
                _T.REJECTED: _E.REGISTERED,
                _T.SERVER_ERROR: _E.REGISTERED,
                _T.EXHAUSTED: _E.REGISTERED,
            },
            _E.REFUSED: {
                _T.CHANGED: _E.DUE,
                _T.SENT: _E.REFUSED,
                _T.CONFIRMED: _E.REGISTERED,
                _T.UNREGISTERED: _E.UNREGISTERED,
                _T.REJECTED: _E.REFUSED,
                _T.SERVER_ERROR: _E.REFUSED,
                _T.EXHAUSTED: _E.REFUSED,
            },
            _E.UNREACHABLE: {
                _T.CHANGED: _E.DUE,
                _T.SENT: _E.UNREACHABLE,
                _T.CONFIRMED: _E.REGISTERED,
                _T.UNREGISTERED: _E.UNREGISTERED,
                _T.REJECTED: _E.REFUSED,
                _T.SERVER_ERROR: _E.UNREACHABLE,
                _T.EXHAUSTED: _E.UNREACHABLE,
            },
            _E.UNREGISTERED: {
                _T.CHANGED: _E.DUE,
                _T.SENT: _E.UNREGISTERED,
                _T.CONFIRMED: _E.UNREGISTERED,
                _T.UNREGISTERED: _E.UNREGISTERED,
                _T.REJECTED: _E.UNREGISTERED,
                _T.SERVER_ERROR: _E.UNREGISTERED,
                _T.EXHAUSTED: _E.UNREGISTERED,
            },
        }
    )
)

_OPEN: Final = {
    _H.INFO_FOUND: _R.READY,
    _H.SENT: _R.REQUESTED,
    # A late response counts, also after other requests: the device was notified.
    _H.SUCCESS: _R.ACCEPTED,
    _H.WRONG_TOKEN: _R.STALE,
    _H.NOT_REGISTERED: _R.STALE,
    _H.SERVER_ERROR: _R.READY,
    _H.NO_RESPONSE: _R.READY,
    _H.GIVEN_UP: _R.FAILED,
    _H.DEADLINE: _R.EXPIRED,
}

DEVICE_TRANSITIONS: Final[Mapping[DeviceState, Mapping[DeviceSignal, DeviceState]]] = MappingProxyType(
    {
        _R.UNKNOWN: {**_OPEN, _H.SENT: _R.UNKNOWN, _H.SERVER_ERROR: _R.UNKNOWN, _H.NO_RESPONSE: _R.UNKNOWN},
        _R.READY: _OPEN,
        # An info that is found while a request is under way is used after its response.
        _R.REQUESTED: {**_OPEN, _H.INFO_FOUND: _R.REQUESTED},
        _R.STALE: {**_OPEN, _H.SENT: _R.STALE, _H.SERVER_ERROR: _R.STALE, _H.NO_RESPONSE: _R.STALE},
        _R.ACCEPTED: dict.fromkeys(DeviceSignal, _R.ACCEPTED),
        _R.FAILED: {**dict.fromkeys(DeviceSignal, _R.FAILED), _H.SUCCESS: _R.ACCEPTED},
        _R.EXPIRED: {**dict.fromkeys(DeviceSignal, _R.EXPIRED), _H.SUCCESS: _R.ACCEPTED},
    }
)

FINAL_DEVICE_STATES: Final = frozenset({DeviceState.ACCEPTED, DeviceState.FAILED, DeviceState.EXPIRED})
