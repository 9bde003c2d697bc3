"""The facts of a client that its rules read and that outlive a restart, and the changes of them (DESIGN.md, law 2)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeVar

from hushbell.core.client.lifecycles import DeviceState, RegistrationState
from hushbell.core.client.query import Info
from hushbell.core.client.registration import Device, LastRegistration, Options
from hushbell.types import InstallationId, KeyPair, MessageId, Millis, NotificationType, PublicKey, RequestId


@dataclass(frozen=True, slots=True, kw_only=True)
class SendOptions:
    """Whom this account notifies: nobody if ``off``, and nobody about ``silent_chats``."""

    off: bool = False
    silent_chats: frozenset[str] = field(default=frozenset(), repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """The user's settings, and the latest registration made from them."""

    device: Device | None = None  # None: notifications are off, the default
    options: Options = field(default_factory=Options)
    sending: SendOptions = field(default_factory=SendOptions)
    last: LastRegistration | None = None
    version_raises: int = 0  # since a server last confirmed
    registered_at: Millis = Millis(0)  # when a server last confirmed
    advertised_at: Millis | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerRegistration:
    """A server, and the state of the registration with it."""

    server: PublicKey
    state: RegistrationState = RegistrationState.DUE
    leaving: bool = False  # the user removed the server: it is sent an unregistration
    trials: int = 0
    last: Millis = Millis(0)  # time of the last trial
    requests: tuple[RequestId, ...] = ()  # of the trials of the current content, newest last; their responses count


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingQuery:
    """A query without a response so far."""

    message_id: MessageId
    since: Millis
    trials: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """What is known of a person: how to notify each device through each server."""

    target: PublicKey = field(repr=False)
    infos: tuple[Info, ...] = ()  # the newest version of each device, all its servers
    updated_at: Millis | None = None  # the last response or contact code with an info in it
    pending_query: PendingQuery | None = None
    unanswered_at: Millis | None = None  # when the last trial of a query had no response
    followed: bool = False  # whether the contact code is listened to


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipient:
    """One message for one person."""

    message_id: bytes
    target: PublicKey = field(repr=False)
    chat_id: str = field(repr=False)
    type: NotificationType
    message: bytes = field(default=b"", repr=False)
    devices: tuple[InstallationId, ...] = ()  # that can read it, the latest active first; () means all known ones
    most: int | None  # of those at most; None means all
    since: Millis
    deadline: Millis
    ended: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipientDevice:
    """One message for one device of a person."""

    message_id: bytes
    target: PublicKey = field(repr=False)
    installation_id: InstallationId
    state: DeviceState = DeviceState.UNKNOWN
    tried: tuple[PublicKey, ...] = ()  # servers that were sent a request with the current infos, in order
    attempts: int = 0
    resends: int = 0  # queries made because the access token was refused
    since: Millis = Millis(0)  # time of the last attempt
    version: int = 0  # of the info that the last attempt used


class Purpose(Enum):
    """What an ephemeral key is for. The values are on the disk."""

    QUERY = "query"
    REQUEST = "request"


@dataclass(frozen=True, slots=True, kw_only=True)
class EphemeralKey:
    """A key that is not linkable to the identity, and the message that it signed. Its response is sealed for it."""

    key: KeyPair
    purpose: Purpose
    until: Millis  # later responses are ignored
    target: PublicKey | None = field(default=None, repr=False)  # of a query
    message_id: MessageId | None = None  # of a query
    server: PublicKey | None = None  # of a request
    application: bytes = field(default=b"", repr=False)  # of a request: the same bytes notify a device once
    chat_message_id: bytes = b""  # of a request
    items: tuple[tuple[PublicKey, InstallationId], ...] = field(default=(), repr=False)  # of a request
    sent_at: Millis = Millis(0)
    trials: int = 0
    answered: bool = False


Key = tuple[object, ...]
"""Identifies a fact: its class, then the values that differ between facts of the class."""

Fact = Profile | ServerRegistration | Contact | Recipient | RecipientDevice | EphemeralKey


def key_of(fact: Fact) -> Key:
    """Return the key of a fact."""
    match fact:
        case Profile():
            return (Profile,)
        case ServerRegistration():
            return (ServerRegistration, fact.server)
        case Contact():
            return (Contact, fact.target)
        case Recipient():
            return (Recipient, fact.message_id, fact.target)
        case RecipientDevice():
            return (RecipientDevice, fact.message_id, fact.target, fact.installation_id)
        case EphemeralKey():
            return (EphemeralKey, fact.key.public)


@dataclass(frozen=True, slots=True)
class Save:
    """A fact that is new or has changed."""

    fact: Fact


@dataclass(frozen=True, slots=True)
class Forget:
    """A fact that is removed."""

    fact: Fact


Change = Save | Forget


class ClientFacts:
    """
    All facts of one account.

    The mappings are in order of arrival and by the values that differ between facts of a class.
    """

    def __init__(self) -> None:
        self.profile = Profile()
        self.registrations: dict[PublicKey, ServerRegistration] = {}
        self.contacts: dict[PublicKey, Contact] = {}
        self.recipients: dict[tuple[bytes, PublicKey], Recipient] = {}
        self.recipient_devices: dict[tuple[bytes, PublicKey], dict[InstallationId, RecipientDevice]] = {}
        self.ephemeral_keys: dict[PublicKey, EphemeralKey] = {}
        # Indexes of what is not over, so that no decision looks through everything.
        self.open_recipients: dict[tuple[bytes, PublicKey], None] = {}
        self.pending_queries: dict[PublicKey, None] = {}

    def apply(self, change: Change) -> None:
        """Apply a change."""
        if isinstance(change, Save):
            self._save(change.fact)
        else:
            self._forget(change.fact)

    def all_facts(self) -> Iterator[Fact]:
        """Return all facts."""
        yield self.profile
        yield from self.registrations.values()
        yield from self.contacts.values()
        yield from self.recipients.values()
        for devices in self.recipient_devices.values():
            yield from devices.values()
        yield from self.ephemeral_keys.values()

    def devices_of(self, recipient: Recipient) -> Mapping[InstallationId, RecipientDevice]:
        """Return the devices of a recipient."""
        return self.recipient_devices.get((recipient.message_id, recipient.target), {})

    def _save(self, fact: Fact) -> None:
        match fact:
            case Profile():
                self.profile = fact
            case ServerRegistration():
                self.registrations[fact.server] = fact
            case Contact():
                self.contacts[fact.target] = fact
                _mark(self.pending_queries, fact.target, fact.pending_query is not None)
            case Recipient():
                self.recipients[fact.message_id, fact.target] = fact
                _mark(self.open_recipients, (fact.message_id, fact.target), not fact.ended)
            case RecipientDevice():
                self.recipient_devices.setdefault((fact.message_id, fact.target), {})[fact.installation_id] = fact
            case EphemeralKey():
                self.ephemeral_keys[fact.key.public] = fact

    def _forget(self, fact: Fact) -> None:
        match fact:
            case Profile():
                self.profile = Profile()
            case ServerRegistration():
                self.registrations.pop(fact.server, None)
            case Contact():
                self.contacts.pop(fact.target, None)
                self.pending_queries.pop(fact.target, None)
            case Recipient():
                self.recipients.pop((fact.message_id, fact.target), None)
                self.open_recipients.pop((fact.message_id, fact.target), None)
            case RecipientDevice():
                devices = self.recipient_devices.get((fact.message_id, fact.target), {})
                devices.pop(fact.installation_id, None)
                if not devices:
                    self.recipient_devices.pop((fact.message_id, fact.target), None)
            case EphemeralKey():
                self.ephemeral_keys.pop(fact.key.public, None)


Name = TypeVar("Name")


def _mark(names: dict[Name, None], name: Name, present: bool) -> None:  # noqa: FBT001  a membership
    if present:
        names[name] = None
    else:
        names.pop(name, None)
