"""The facts that an event is decided on, and what a decision writes."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from hushbell.core.delivery.notification import Draft
from hushbell.core.rate_limit import Bucket
from hushbell.types import DeviceKey, InstallationId, KeyHash, MessageId, Millis, NotificationKey, PublicKey
from hushbell.wire.messages import ApplicationType, Registration


@dataclass(frozen=True, slots=True)
class StoredRegistration:
    """The last accepted registration of a device; a tombstone keeps the version alone."""

    version: int
    registered_at: Millis  # when it was last accepted
    plaintext: bytes | None = field(repr=False)  # None: unregistered
    registration: Registration | None = field(repr=False)  # the same, decoded
    token_dead_since: Millis | None = None  # when its device token died; a later registration has none


NEVER_SEEN = StoredRegistration(0, Millis(0), None, None)


@dataclass(frozen=True, slots=True)
class FactsNeeded:
    """The names of the facts that one or more events need."""

    devices: frozenset[DeviceKey] = frozenset()  # their stored registrations
    installations: frozenset[KeyHash] = frozenset()  # which installations an owner has, without contents
    queried: frozenset[KeyHash] = frozenset()  # every live registration of an owner
    requests: frozenset[MessageId] = frozenset()  # requests that may have been responded to
    notification_keys: frozenset[NotificationKey] = frozenset()


@dataclass(slots=True)
class Facts:
    """The facts by their names. A name that was needed and is missing here was never stored."""

    devices: dict[DeviceKey, StoredRegistration] = field(default_factory=dict)
    installations: dict[KeyHash, dict[InstallationId, bool]] = field(default_factory=dict)  # True: live
    responses: dict[MessageId, bytes] = field(default_factory=dict)  # wrapper id → encoded response
    notified: set[NotificationKey] = field(default_factory=set)
    omitted: set[DeviceKey] = field(default_factory=set)  # over the byte limit: not loaded
    # Stored, but cannot be read: ``devices`` holds the version alone.
    damaged: set[DeviceKey] = field(default_factory=set)
    buckets: dict[DeviceKey, Bucket] = field(default_factory=dict)  # rate limits of devices, where one is known


@dataclass(frozen=True, slots=True)
class SaveRegistration:
    """Replace what is stored for a device, if its version is still ``replaces`` (0: nothing stored)."""

    device: DeviceKey
    stored: StoredRegistration
    replaces: int


@dataclass(frozen=True, slots=True)
class SaveResponse:
    """Keep the encoded response to a request, so that a repeated request gets it again."""

    request_message_id: MessageId
    response: bytes = field(repr=False)
    at: Millis


@dataclass(frozen=True, slots=True)
class MarkNotified:
    """Record that a message was pushed to a device. It is pushed there once."""

    notification_key: NotificationKey
    at: Millis


@dataclass(frozen=True, slots=True)
class Enqueue:
    """Put a push into the outbox."""

    draft: Draft


@dataclass(frozen=True, slots=True)
class MarkDeadToken:
    """A device token died at ``since``. A registration accepted after that is not affected."""

    device: DeviceKey
    since: Millis


Write = SaveRegistration | SaveResponse | MarkNotified | Enqueue | MarkDeadToken


@dataclass(frozen=True, slots=True)
class Reply:
    """An application message for one key, on its partitioned topic."""

    recipient: PublicKey
    type: ApplicationType
    payload: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Decision:
    """What must happen now, in this order: commit every write, then send every reply."""

    writes: Sequence[Write] = ()
    replies: Sequence[Reply] = ()
    buckets: Sequence[tuple[DeviceKey, Bucket]] = ()  # rate limits after this event
    refused: Sequence[str] = ()  # names of the counters that go up
