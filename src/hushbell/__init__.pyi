# What type checkers see of the package: __init__.py imports these names at their first use. A test compares both.
from hushbell.core.client import rotating_identity
from hushbell.core.client.events import (
    AccountEvent,
    DevicesFound,
    Finished,
    Notified,
    Refused,
    Registered,
    Result,
    Target,
    Unreachable,
    Unregistered,
)
from hushbell.core.client.facts import SendOptions
from hushbell.core.client.inbox import Action, ChatMessage, Dismiss, Fetch, Perform, Show, Step
from hushbell.core.client.lifecycles import RegistrationState
from hushbell.core.client.preview import Preview
from hushbell.core.client.registration import Options
from hushbell.ports.client_store import ClientStore
from hushbell.ports.transport import Transport
from hushbell.runtime.client.account import Account
from hushbell.runtime.client.client import Client
from hushbell.runtime.client.network import join, new_key, open_store, parse_key
from hushbell.types import InstallationId, KeyHash, KeyPair, Millis, NotificationType, PublicKey, TokenType

__version__: str
__all__ = (
    "Account",
    "AccountEvent",
    "Action",
    "ChatMessage",
    "Client",
    "ClientStore",
    "DevicesFound",
    "Dismiss",
    "Fetch",
    "Finished",
    "InstallationId",
    "KeyHash",
    "KeyPair",
    "Millis",
    "NotificationType",
    "Notified",
    "Options",
    "Perform",
    "Preview",
    "PublicKey",
    "Refused",
    "Registered",
    "RegistrationState",
    "Result",
    "SendOptions",
    "Show",
    "Step",
    "Target",
    "TokenType",
    "Transport",
    "Unreachable",
    "Unregistered",
    "join",
    "new_key",
    "open_store",
    "parse_key",
    "rotating_identity",
)

# Names of 0.1.0 (old_names.py).
Do = Perform
Learnt = DevicesFound
Left = Unregistered
Message = ChatMessage
Sending = SendOptions
