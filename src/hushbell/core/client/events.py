"""What reaches a client, what it does about it, and what it tells its app."""

from dataclasses import dataclass, field
from enum import Enum

from hushbell.core.client.facts import Change, Sending
from hushbell.core.client.registration import Device, Options
from hushbell.core.envelope import OpenedEnvelope
from hushbell.types import ContentTopic, InstallationId, KeyPair, Millis, NotificationType, PublicKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Configure:
    """The user's wishes, all of them. No device means that no notification is wanted any more."""

    device: Device | None
    options: Options = field(default_factory=Options)
    sending: Sending = field(default_factory=Sending)


@dataclass(frozen=True, slots=True)
class AddServer:
    """Register with this server too."""

    server: PublicKey


@dataclass(frozen=True, slots=True)
class RemoveServer:
    """Leave this server, and forget it once it has confirmed."""

    server: PublicKey


@dataclass(frozen=True, slots=True)
class Follow:
    """Listen to somebody's contact code."""

    target: PublicKey = field(repr=False)


@dataclass(frozen=True, slots=True)
class Unfollow:
    """No longer listen to it."""

    target: PublicKey = field(repr=False)


@dataclass(frozen=True, slots=True)
class Learn:
    """Find out how to ring somebody, without ringing."""

    target: PublicKey = field(repr=False)


@dataclass(frozen=True, slots=True)
class Target:
    """Somebody to ring."""

    key: PublicKey = field(repr=False)
    # That the message was encrypted for, the latest active first; () means whichever devices are known.
    devices: tuple[InstallationId, ...] = ()
    message: bytes = field(default=b"", repr=False)  # encrypted for this target, for its preview


@dataclass(frozen=True, slots=True, kw_only=True)
class Notify:
    """A chat message was sent: ring these people, each device once."""

    message_id: bytes
    chat_id: str = field(repr=False)
    targets: tuple[Target, ...] = field(repr=False)
    type: NotificationType = NotificationType.MESSAGE
    most: int | None = 3  # devices of each person; None means all of them
    patience: float = 60.0  # seconds until whoever did not answer is given up


@dataclass(frozen=True, slots=True)
class Arrived:
    """Something was opened with the key that answers ``to``: ours, an ephemeral one's, or somebody's contact code."""

    opened: OpenedEnvelope
    to: PublicKey = field(repr=False)


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed."""


Input = Configure | AddServer | RemoveServer | Follow | Unfollow | Learn | Notify | Arrived | Tick


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """Seal for one recipient and publish."""

    application: bytes = field(repr=False)
    recipient: PublicKey
    signer: KeyPair
    content_topic: ContentTopic


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """Seal with the key of a topic and publish."""

    application: bytes = field(repr=False)
    topic_name: str = field(repr=False)  # ``topics.topic_key`` and ``topics.topic4`` derive the rest
    signer: KeyPair


@dataclass(frozen=True, slots=True)
class Advertise:
    """Publish our contact code with this advert in it."""

    application: bytes = field(repr=False)


Effect = Send | Post | Advertise


class Result(Enum):
    """How ringing a device ended."""

    ACCEPTED = "accepted"  # a server took it, or the recipient's own rules filter it: the sender cannot tell
    FAILED = "failed"  # no server rings this device
    EXPIRED = "expired"  # nobody answered in time; it may have rung all the same


@dataclass(frozen=True, slots=True)
class Registered:
    """A server has our registration."""

    server: PublicKey


@dataclass(frozen=True, slots=True)
class Refused:
    """A server will not take our registration."""

    server: PublicKey
    error: int  # RegistrationError


@dataclass(frozen=True, slots=True)
class Unreachable:
    """A server has not answered for days; it is not asked again until something changes."""

    server: PublicKey


@dataclass(frozen=True, slots=True)
class Left:
    """A server confirmed that it forgot us."""

    server: PublicKey


@dataclass(frozen=True, slots=True)
class Learnt:
    """We know how to ring these devices of somebody; none means that nobody told us."""

    target: PublicKey = field(repr=False)
    devices: tuple[InstallationId, ...]


@dataclass(frozen=True, slots=True)
class Notified:
    """How ringing one device ended."""

    message_id: bytes
    target: PublicKey = field(repr=False)
    installation_id: InstallationId
    result: Result


@dataclass(frozen=True, slots=True)
class Finished:
    """Nothing more happens to a message for one person. ``devices`` rang, as far as we know."""

    message_id: bytes
    target: PublicKey = field(repr=False)
    devices: int


News = Registered | Refused | Unreachable | Left | Learnt | Notified | Finished


@dataclass(frozen=True, slots=True)
class ClientDecision:
    """Commit the changes, then carry out the effects, then tell the news."""

    changes: tuple[Change, ...]
    effects: tuple[Effect, ...]
    news: tuple[News, ...]
    due: Millis | None  # when to tick next, if nothing else happens
