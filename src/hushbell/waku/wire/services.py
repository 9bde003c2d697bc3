"""
Values of Waku's services. Lists are bounded by the reader of the message (``codecs.decode``).

A Waku message is kept as its bytes: filter, store and lightpush pass it on unchanged, because relay identifies it by
the hash of the bytes. None is absent, which is not the same as empty.
"""

from dataclasses import dataclass, field
from enum import IntEnum


class FilterKind(IntEnum):
    """The kinds of a filter request (RFC 12)."""

    PING = 0
    SUBSCRIBE = 1
    UNSUBSCRIBE = 2
    UNSUBSCRIBE_ALL = 3


class Status(IntEnum):
    """Status codes of filter v2, lightpush v3 and store v3 together (reference/waku.md 5)."""

    OK = 200
    BAD_REQUEST = 400
    NOT_FOUND = 404
    TOO_LARGE = 413
    INVALID_MESSAGE = 420
    UNSUPPORTED_TOPIC = 421
    TOO_MANY_REQUESTS = 429
    INTERNAL_ERROR = 500
    UNAVAILABLE = 503
    NO_PEERS = 505


@dataclass(frozen=True, slots=True)
class FilterRequest:
    """FilterSubscribeRequest (RFC 12). ``kind`` may be an unknown number."""

    request_id: str = ""
    kind: int = FilterKind.PING
    pubsub_topic: str | None = None
    content_topics: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FilterResponse:
    """FilterSubscribeResponse (RFC 12)."""

    request_id: str = ""
    status_code: int = 0
    status_desc: str | None = None


@dataclass(frozen=True, slots=True)
class FilterPush:
    """MessagePush (RFC 12)."""

    waku_message: bytes = field(default=b"", repr=False)
    pubsub_topic: str | None = None


@dataclass(frozen=True, slots=True)
class PushRequest:
    """PushRequest of lightpush v2 (RFC 19)."""

    pubsub_topic: str = ""
    waku_message: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class PushResponse:
    """PushResponse of lightpush v2 (RFC 19)."""

    is_success: bool = False
    info: str = ""


@dataclass(frozen=True, slots=True)
class PushRpc:
    """PushRPC of lightpush v2: a request or a response (RFC 19)."""

    request_id: str = ""
    request: PushRequest | None = None
    response: PushResponse | None = None


@dataclass(frozen=True, slots=True)
class LightpushRequest:
    """Request of lightpush v3 (reference/waku.md 5). Without a pubsub topic the service derives the shard."""

    request_id: str = ""
    pubsub_topic: str | None = None
    waku_message: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class LightpushResponse:
    """Response of lightpush v3 (reference/waku.md 5)."""

    request_id: str = ""
    status_code: int = 0
    status_desc: str | None = None
    relay_peer_count: int | None = None


@dataclass(frozen=True, slots=True)
class StoreRequest:
    """StoreQueryRequest (RFC 13). Times are Unix nanoseconds, the start inclusive, the end not."""

    request_id: str = ""
    include_data: bool = False
    pubsub_topic: str | None = None
    content_topics: tuple[str, ...] = ()
    time_start: int | None = None
    time_end: int | None = None
    message_hashes: tuple[bytes, ...] = ()
    cursor: bytes | None = None
    forward: bool = False
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class StoreEntry:
    """WakuMessageKeyValue (RFC 13)."""

    message_hash: bytes | None = None
    waku_message: bytes | None = field(default=None, repr=False)
    pubsub_topic: str | None = None


@dataclass(frozen=True, slots=True)
class StoreResponse:
    """StoreQueryResponse (RFC 13). A cursor says that there is more."""

    request_id: str = ""
    status_code: int | None = None
    status_desc: str | None = None
    entries: tuple[StoreEntry, ...] = ()
    cursor: bytes | None = None


@dataclass(frozen=True, slots=True)
class Metadata:
    """
    WakuMetadataRequest and -Response (RFC 66).

    The shards go out under both numbers, 2 and 3: the RFC knows the first, deployed nodes read the second.
    """

    cluster_id: int | None = None
    shards: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class PeersRequest:
    """PeerExchangeQuery in its envelope (RFC 34)."""

    num_peers: int = 0


@dataclass(frozen=True, slots=True)
class PeersResponse:
    """PeerExchangeResponse in its envelope (RFC 34; nwaku adds the status). A record is one ENR, not yet verified."""

    records: tuple[bytes, ...] = ()
    status_code: int = 0
    status_desc: str | None = None
