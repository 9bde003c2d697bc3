"""Push notifications for private messengers: ring the phone, learn as little as possible."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from hushbell.core.client.events import Finished as Finished
    from hushbell.core.client.events import Learnt as Learnt
    from hushbell.core.client.events import Left as Left
    from hushbell.core.client.events import Notified as Notified
    from hushbell.core.client.events import Refused as Refused
    from hushbell.core.client.events import Registered as Registered
    from hushbell.core.client.events import Result as Result
    from hushbell.core.client.events import Target as Target
    from hushbell.core.client.events import Unreachable as Unreachable
    from hushbell.core.client.facts import Sending as Sending
    from hushbell.core.client.inbox import Action as Action
    from hushbell.core.client.inbox import Dismiss as Dismiss
    from hushbell.core.client.inbox import Do as Do
    from hushbell.core.client.inbox import Fetch as Fetch
    from hushbell.core.client.inbox import Message as Message
    from hushbell.core.client.inbox import Show as Show
    from hushbell.core.client.preview import Preview as Preview
    from hushbell.core.client.registration import Options as Options
    from hushbell.runtime.client.account import Account as Account
    from hushbell.runtime.client.client import Client as Client
    from hushbell.runtime.client.network import join as join
    from hushbell.runtime.client.network import new_key as new_key
    from hushbell.runtime.client.network import open_store as open_store
    from hushbell.runtime.client.network import parse_key as parse_key
    from hushbell.types import KeyPair as KeyPair
    from hushbell.types import NotificationType as NotificationType
    from hushbell.types import TokenType as TokenType

# What an app uses, and where it lives. Imported when asked for: the command line must not wait for all of it.
_PUBLIC = {
    "runtime.client.client": ("Client",),
    "runtime.client.account": ("Account",),
    "runtime.client.network": ("join", "new_key", "open_store", "parse_key"),
    "core.client.events": (
        "Target",
        "Registered",
        "Refused",
        "Unreachable",
        "Left",
        "Learnt",
        "Notified",
        "Finished",
        "Result",
    ),
    "core.client.registration": ("Options",),
    "core.client.facts": ("Sending",),
    "core.client.preview": ("Preview",),
    "core.client.inbox": ("Message", "Show", "Dismiss", "Fetch", "Do", "Action"),
    "types": ("KeyPair", "NotificationType", "TokenType"),
}
PUBLIC = {name: module for module, names in _PUBLIC.items() for name in names}


def __getattr__(name: str) -> Any:
    if name in PUBLIC:
        return getattr(import_module(f"hushbell.{PUBLIC[name]}"), name)
    raise AttributeError(f"module 'hushbell' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *PUBLIC})
