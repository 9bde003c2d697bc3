"""
Public names of 0.1.0 that have another name now.

Each works for one release and gives a DeprecationWarning; then this file goes.
"""

from types import SimpleNamespace
from warnings import warn

import hushbell
from hushbell.core.client import rotating_identity

NEW_NAMES = {
    "Do": "Perform",
    "Learnt": "DevicesFound",
    "Left": "Unregistered",
    "Message": "ChatMessage",
    "Sending": "SendOptions",
    "persona": "rotating_identity",
}


def find(name: str) -> object:
    """
    Return what an old name of the package means.

    Raises:
        AttributeError: the package never had the name.
    """
    if name not in NEW_NAMES:
        raise AttributeError(f"module 'hushbell' has no attribute {name!r}")
    new = NEW_NAMES[name]
    warn(f"hushbell.{name} is called hushbell.{new} now", DeprecationWarning, stacklevel=3)
    return _PERSONA if name == "persona" else getattr(hushbell, new)


_PERSONA = SimpleNamespace(
    **vars(rotating_identity),
    epoch_at=rotating_identity.period_at,
    epochs_to_serve=rotating_identity.periods_to_serve,
    invitation=rotating_identity.invite,
)
