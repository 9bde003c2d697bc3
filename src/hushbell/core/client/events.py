"""The inputs, effects and events of a client's decisions."""

from dataclasses import dataclass, field
from enum import Enum

from hushbell.core.client.facts import Change, SendOptions
from hushbell.core.client.registration import Device, Options
from hushbell.core.envelope import OpenedEnvelope
from hushbell.types import ContentTopic, InstallationId, KeyPair, Millis, NotificationType, PublicKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Configure:
    """Replace all of the user's settings. Without a device no notification is wanted any more."""

    device: Device | None
    options: Options = field(default_factory=Options)
    sending: SendOptions = field(default_factory=SendOptions)


@dataclass(frozen=True, slots=True)
class AddServer:
    """Register with a further server."""

    server: PublicKey


@dataclass(frozen=True, slots=True)
class RemoveServer:
    """Unregister from a server, and forget it when it has confirmed."""

    server: PublicKey


@dataclass(frozen=True, slots=True)
class Follow:
    """Listen to a person's contact code."""

    target: PublicKey = field(repr=False)


@dataclass(frozen=True, slots=True)
class Unfollow:
    """Stop listening to a person's contact code."""

    target: PublicKey = field(repr=False)


@dataclass(frozen=True, slots=True)
class Learn:
    """Find the devices of a person without a notification."""

    target: PublicKey = field(repr=False)


@dataclass(frozen=True, slots=True)
class Target:
    """A person to notify."""

    key: PublicKey = field(repr=False)
    # For which the message was encrypted, the latest active first; () means all known devices.
    devices: tuple[InstallationId, ...] = ()
    message: bytes = field(default=b"", repr=False)  # the preview sealed for this person, if any


@dataclass(frozen=True, slots=True, kw_only=True)
class Notify:
    """Notify people of a chat message, each device once."""

    message_id: bytes
    chat_id: str = field(repr=False)
    targets: tuple[Target, ...] = field(repr=False)
    type: NotificationType = NotificationType.MESSAGE
    most: int | None = 3  # devices of each person; None means all
    patience: float = 60.0  # seconds until a device without a result is given up


@dataclass(frozen=True, slots=True)
class EnvelopeReceived:
    """An envelope for ``to`` was opened: for the identity or an ephemeral key, or a followed person's contact code."""

    opened: OpenedEnvelope
    to: PublicKey = field(repr=False)


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed."""


Input = Configure | AddServer | RemoveServer | Follow | Unfollow | Learn | Notify | EnvelopeReceived | Tick


@dataclass(frozen=True, slots=True, kw_only=True)
class SendToKey:
    """Seal for a recipient's key and publish."""

    application: bytes = field(repr=False)
    recipient: PublicKey
    signer: KeyPair
    content_topic: ContentTopic


@dataclass(frozen=True, slots=True, kw_only=True)
class SendToTopic:
    """Seal with the key of a topic and publish."""

    application: bytes = field(repr=False)
    topic_name: str = field(repr=False)  # ``topics.topic_key`` and ``topics.topic4`` derive the rest
    signer: KeyPair


@dataclass(frozen=True, slots=True)
class Advertise:
    """Publish the account's contact code with this advert in it."""

    application: bytes = field(repr=False)


Effect = SendToKey | SendToTopic | Advertise


class Result(Enum):
    """Result of a message for one device."""

    ACCEPTED = "accepted"  # a server stored the push, or the recipient's rules filter it: the sender cannot tell which
    FAILED = "failed"  # no server notifies this device
    EXPIRED = "expired"  # no response in time; the device may have been notified all the same


@dataclass(frozen=True, slots=True)
class Registered:
    """A server confirmed the current registration."""

    server: PublicKey


@dataclass(frozen=True, slots=True)
class Refused:
    """A server refused the current registration."""

    server: PublicKey
    error: int  # RegistrationError


@dataclass(frozen=True, slots=True)
class Unreachable:
    """A server has not responded for days; the registration is not sent again until it changes."""

    server: PublicKey


@dataclass(frozen=True, slots=True)
class Unregistered:
    """A server confirmed the unregistration."""

    server: PublicKey


@dataclass(frozen=True, slots=True)
class DevicesFound:
    """The known devices of a person, after a query or a contact code; none if no server responded."""

    target: PublicKey = field(repr=False)
    devices: tuple[InstallationId, ...]


@dataclass(frozen=True, slots=True)
class Notified:
    """The result of a message for one device."""

    message_id: bytes
    target: PublicKey = field(repr=False)
    installation_id: InstallationId
    result: Result


@dataclass(frozen=True, slots=True)
class Finished:
    """A message is over for one person. ``devices`` counts those with the result ACCEPTED."""

    message_id: bytes
    target: PublicKey = field(repr=False)
    devices: int


AccountEvent = Registered | Refused | Unreachable | Unregistered | DevicesFound | Notified | Finished


@dataclass(frozen=True, slots=True)
class ClientDecision:
    """Commit the changes, then carry out the effects, then publish the events."""

    changes: tuple[Change, ...]
    effects: tuple[Effect, ...]
    events: tuple[AccountEvent, ...]
    due: Millis | None  # when to decide again without a further input
