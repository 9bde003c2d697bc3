"""What a client knows and must not forget: the facts its rules read, and the changes they make (DESIGN.md, law 2)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeVar

from hushbell.core.client.lifecycles import Enrolled, Rung
from hushbell.core.client.query import Info
from hushbell.core.client.registration import Device, Last, Options
from hushbell.types import (
    InstallationId,
    KeyPair,
    MessageId,
    Millis,
    NotificationType,
    PublicKey,
    RequestId,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sending:
    """Whom the user lets us ring: ``off`` for nobody, or nobody about these chats."""

    off: bool = False
    silent_chats: frozenset[str] = field(default=frozenset(), repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What this device wants, and what it told the servers last."""

    device: Device | None = None  # None: notifications are off, the default
    options: Options = field(default_factory=Options)
    sending: Sending = field(default_factory=Sending)
    last: Last | None = None
    leaps: int = 0  # versions jumped over since a server last took one
    registered_at: Millis = Millis(0)  # when a server last confirmed
    advertised_at: Millis | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolment:
    """A server and how far our registration is with it."""

    server: PublicKey
    stage: Enrolled = Enrolled.DUE
    leaving: bool = False  # the user chose another server: it is told to forget us
    trials: int = 0
    last: Millis = Millis(0)  # of the last trial
    requests: tuple[RequestId, ...] = ()  # trials of what it is told now, newest last; their answers count


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """A query that waits for an answer."""

    message_id: MessageId
    since: Millis
    trials: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Knowledge:
    """How to ring somebody, as far as we know."""

    target: PublicKey = field(repr=False)
    infos: tuple[Info, ...] = ()  # the newest version of each device, all its servers
    heard_at: Millis | None = None  # the last answer or advert that held something
    asking: Asking | None = None
    asked_in_vain: Millis | None = None  # the last time that nobody answered
    followed: bool = False  # whether we listen to its contact code


@dataclass(frozen=True, slots=True, kw_only=True)
class Ring:
    """A message that shall ring somebody."""

    message_id: bytes
    target: PublicKey = field(repr=False)
    chat_id: str = field(repr=False)
    type: NotificationType
    message: bytes = field(default=b"", repr=False)
    devices: tuple[InstallationId, ...] = ()  # that can read it, the latest active first; () means whichever we know
    most: int | None  # of those; None means all
    since: Millis
    deadline: Millis
    ended: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceRing:
    """The same, for one device."""

    message_id: bytes
    target: PublicKey = field(repr=False)
    installation_id: InstallationId
    stage: Rung = Rung.UNKNOWN
    tried: tuple[PublicKey, ...] = ()  # servers that were asked with what we know now, in order
    attempts: int = 0
    resends: int = 0  # queries made because the access token was refused
    since: Millis = Millis(0)  # of the last attempt
    version: int = 0  # of the info it was asked with


class Purpose(Enum):
    """What an ephemeral key was drawn for."""

    QUERY = "query"
    REQUEST = "request"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ephemeral:
    """A key that nobody can link to us, and what is answered to it."""

    key: KeyPair
    purpose: Purpose
    until: Millis  # answers that come later are not heard
    target: PublicKey | None = field(default=None, repr=False)  # of a query
    message_id: MessageId | None = None  # of a query
    server: PublicKey | None = None  # of a request
    application: bytes = field(default=b"", repr=False)  # of a request: the same bytes ring nobody twice
    about: bytes = b""  # of a request: the chat message
    items: tuple[tuple[PublicKey, InstallationId], ...] = field(default=(), repr=False)  # of a request
    sent_at: Millis = Millis(0)
    trials: int = 0
    answered: bool = False


Key = tuple[object, ...]
"""Names a fact: its class, then what distinguishes it from others of the class."""

Fact = Profile | Enrolment | Knowledge | Ring | DeviceRing | Ephemeral


def key_of(fact: Fact) -> Key:
    """Return what names a fact."""
    match fact:
        case Profile():
            return (Profile,)
        case Enrolment():
            return (Enrolment, fact.server)
        case Knowledge():
            return (Knowledge, fact.target)
        case Ring():
            return (Ring, fact.message_id, fact.target)
        case DeviceRing():
            return (DeviceRing, fact.message_id, fact.target, fact.installation_id)
        case Ephemeral():
            return (Ephemeral, fact.key.public)


@dataclass(frozen=True, slots=True)
class Save:
    """A fact that is new or has changed."""

    fact: Fact


@dataclass(frozen=True, slots=True)
class Forget:
    """A fact that is no longer needed."""

    fact: Fact


Change = Save | Forget


class ClientFacts:
    """
    All facts of one account. ``apply`` is for whoever has committed the changes; the rules only read.

    Mappings are by what distinguishes facts of a class, in order of arrival.
    """

    def __init__(self) -> None:
        self.profile = Profile()
        self.enrolments: dict[PublicKey, Enrolment] = {}
        self.knowledge: dict[PublicKey, Knowledge] = {}
        self.rings: dict[tuple[bytes, PublicKey], Ring] = {}
        self.device_rings: dict[tuple[bytes, PublicKey], dict[InstallationId, DeviceRing]] = {}
        self.ephemerals: dict[PublicKey, Ephemeral] = {}
        # What still waits for something, so that nobody has to look through everything that is over.
        self.open_rings: dict[tuple[bytes, PublicKey], None] = {}
        self.asking: dict[PublicKey, None] = {}

    def apply(self, change: Change) -> None:
        """Take a change over."""
        if isinstance(change, Save):
            self._save(change.fact)
        else:
            self._forget(change.fact)

    def every(self) -> Iterator[Fact]:
        """Return all facts."""
        yield self.profile
        yield from self.enrolments.values()
        yield from self.knowledge.values()
        yield from self.rings.values()
        for devices in self.device_rings.values():
            yield from devices.values()
        yield from self.ephemerals.values()

    def devices_of(self, ring: Ring) -> Mapping[InstallationId, DeviceRing]:
        """Return the devices that a message rings."""
        return self.device_rings.get((ring.message_id, ring.target), {})

    def _save(self, fact: Fact) -> None:
        match fact:
            case Profile():
                self.profile = fact
            case Enrolment():
                self.enrolments[fact.server] = fact
            case Knowledge():
                self.knowledge[fact.target] = fact
                _mark(self.asking, fact.target, fact.asking is not None)
            case Ring():
                self.rings[fact.message_id, fact.target] = fact
                _mark(self.open_rings, (fact.message_id, fact.target), not fact.ended)
            case DeviceRing():
                self.device_rings.setdefault((fact.message_id, fact.target), {})[fact.installation_id] = fact
            case Ephemeral():
                self.ephemerals[fact.key.public] = fact

    def _forget(self, fact: Fact) -> None:
        match fact:
            case Profile():
                self.profile = Profile()
            case Enrolment():
                self.enrolments.pop(fact.server, None)
            case Knowledge():
                self.knowledge.pop(fact.target, None)
                self.asking.pop(fact.target, None)
            case Ring():
                self.rings.pop((fact.message_id, fact.target), None)
                self.open_rings.pop((fact.message_id, fact.target), None)
            case DeviceRing():
                devices = self.device_rings.get((fact.message_id, fact.target), {})
                devices.pop(fact.installation_id, None)
                if not devices:
                    self.device_rings.pop((fact.message_id, fact.target), None)
            case Ephemeral():
                self.ephemerals.pop(fact.key.public, None)


Name = TypeVar("Name")


def _mark(names: dict[Name, None], name: Name, present: bool) -> None:  # noqa: FBT001  a membership
    if present:
        names[name] = None
    else:
        names.pop(name, None)
