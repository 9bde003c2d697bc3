"""Events: opened, authenticated envelopes that concern the server."""

from dataclasses import dataclass, field

from hushbell.types import MessageId, PublicKey, RequestId
from hushbell.wire.messages import NotificationRequest, Query, Registration


@dataclass(frozen=True, slots=True)
class RegistrationReceived:
    """A registration that decrypts. One that does not is no event: spec 16 discards it."""

    sender: PublicKey
    request_id: RequestId
    plaintext: bytes = field(repr=False)
    registration: Registration | None  # None: the plaintext is not a registration
    grant_is_valid: bool  # signed by the sender, for this server and this access token


@dataclass(frozen=True, slots=True)
class QueryReceived:
    """A query for how to notify the owners of some keys."""

    sender: PublicKey
    message_id: MessageId
    query: Query


@dataclass(frozen=True, slots=True)
class RequestReceived:
    """A request to notify devices."""

    sender: PublicKey
    request_message_id: MessageId  # of the application message; the request has a ``message_id`` of its own
    request: NotificationRequest


Event = RegistrationReceived | QueryReceived | RequestReceived
