"""The REST APIs of nwaku and go-waku, which differ (reference/waku.md 2). Builds requests, reads responses; no I/O."""

import binascii
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol
from urllib.parse import quote, urlencode

import orjson

from hushbell import wire
from hushbell.errors import Undecodable
from hushbell.types import ContentTopic, Millis, PubsubTopic
from hushbell.waku.history import MAX_PAGE, HistoryPage
from hushbell.waku.message import RawMessage
from hushbell.wire.messages import WakuMessage

MAX_MESSAGES = 20_000  # in one response; no cache of a node holds more
PUBLISHED = 200
MAX_NUMBER = 2**63


class Dialect(Protocol):
    """One kind of node."""

    has_whole_shards: bool  # its stores answer queries that name no topics
    lightpush: str  # path that publishes and reports whether any peer got the message

    def is_published(self, status: int, body: bytes) -> bool:
        """Whether the response of ``lightpush`` says that at least one peer got the message."""

    def cursor(self, cursor: bytes) -> str:
        """Return a cursor, or a hash, in the form of a query."""

    def page(self, body: bytes) -> HistoryPage:
        """Return the page in a store's response. Raises Undecodable."""


class Nwaku:
    """nwaku, also under its newer name: camelCase, hexadecimal hashes, lightpush v3 with the number of peers."""

    has_whole_shards = True
    lightpush = "/lightpush/v3/message"

    def is_published(self, status: int, body: bytes) -> bool:
        """Whether a peer got the message: the response has the number of peers."""
        if status != PUBLISHED:
            return False
        peers = _object(body).get("relayPeerCount")
        return isinstance(peers, int) and peers > 0

    def cursor(self, cursor: bytes) -> str:
        """Return ``0x`` and hexadecimal digits."""
        return "0x" + cursor.hex()

    def page(self, body: bytes) -> HistoryPage:
        """Return the page in a store's response. Raises Undecodable."""
        answer = _object(body)
        cursor = answer.get("paginationCursor")
        return HistoryPage(_found(answer), None if not cursor else _unhex(cursor))


class GoWaku:
    """go-waku: snake_case in stores, hashes in base64, lightpush v1 only, which answers ``true``."""

    has_whole_shards = False
    lightpush = "/lightpush/v1/message"

    def is_published(self, status: int, body: bytes) -> bool:
        """Whether the service node says that it relayed the message."""
        return status == PUBLISHED and body.strip() == b"true"

    def cursor(self, cursor: bytes) -> str:
        """Return url-safe base64 with padding."""
        return urlsafe_b64encode(cursor).decode()

    def page(self, body: bytes) -> HistoryPage:
        """Return the page in a store's response. Raises Undecodable."""
        answer = _object(body)
        cursor = answer.get("pagination_cursor")
        return HistoryPage(_found(answer), None if not cursor else _unbase64(cursor))


DIALECTS: Mapping[Literal["nwaku", "go-waku"], Dialect] = {"nwaku": Nwaku(), "go-waku": GoWaku()}


def messages_path(pubsub_topic: PubsubTopic) -> str:
    """Return the path on which the messages of a shard are read and published."""
    return "/relay/v1/messages/" + quote(pubsub_topic, safe="")


def store_path(
    dialect: Dialect,
    pubsub_topic: PubsubTopic | None,
    content_topics: Sequence[ContentTopic],
    since: Millis,
    cursor: bytes | None,
    *,
    size: int = MAX_PAGE,
) -> str:
    """Return the path and query for a page of a store."""
    query: dict[str, str | int] = {"includeData": "true", "ascending": "true", "pageSize": size}
    if pubsub_topic is not None:
        query |= {"pubsubTopic": pubsub_topic, "contentTopics": ",".join(content_topics)}
    query["startTime"] = since * 1_000_000
    if cursor is not None:
        query["cursor"] = dialect.cursor(cursor)
    return "/store/v3/messages?" + urlencode(query)


def presence_path(dialect: Dialect, message_hash: bytes) -> str:
    """Return the path and query that ask whether a store keeps a message."""
    return "/store/v3/messages?" + urlencode({"hashes": dialect.cursor(message_hash)})


def lightpush_body(pubsub_topic: PubsubTopic, message: WakuMessage) -> bytes:
    """Return the body of a request to ``lightpush``."""
    return orjson.dumps({"pubsubTopic": pubsub_topic, "message": _fields(message)})


def relay_body(message: WakuMessage) -> bytes:
    """Return the body of a request to publish on the relay."""
    return orjson.dumps(_fields(message))


def read_messages(pubsub_topic: PubsubTopic, body: bytes) -> tuple[Sequence[RawMessage], int]:
    """
    Return the messages in a response, and how many entries were none.

    Raises:
        Undecodable: not a list, or too long a one.
    """
    entries = _json(body)
    if entries is None:  # go-waku's empty list
        return [], 0
    if not isinstance(entries, list) or len(entries) > MAX_MESSAGES:
        raise Undecodable("not a list of messages")
    messages = []
    undecodable = 0
    for entry in entries:
        try:
            messages.append(_message(pubsub_topic, entry))
        except Undecodable:
            undecodable += 1
    return messages, undecodable


def _fields(message: WakuMessage) -> dict[str, object]:
    fields: dict[str, object] = {
        "payload": b64encode(message.payload).decode(),
        "contentTopic": message.content_topic,
        "version": message.version or 0,
        "ephemeral": bool(message.ephemeral),
    }
    if message.timestamp is not None:
        fields["timestamp"] = message.timestamp
    if message.meta:
        fields["meta"] = b64encode(message.meta).decode()
    return fields


def _message(pubsub_topic: PubsubTopic, entry: object) -> RawMessage:
    if not isinstance(entry, dict):
        raise Undecodable("not a message")
    topic = entry.get("contentTopic", entry.get("content_topic"))
    version, timestamp = _number(entry, "version"), _number(entry, "timestamp")
    if not isinstance(topic, str) or not 0 <= (version or 0) < 2**32:
        raise Undecodable("not a message")
    message = WakuMessage(
        payload=_unbase64(entry.get("payload")),
        content_topic=topic,
        version=version or None,
        timestamp=timestamp or None,
        meta=_unbase64(entry["meta"]) if entry.get("meta") else None,
        ephemeral=True if entry.get("ephemeral") is True else None,
    )
    try:
        return RawMessage(pubsub_topic, wire.encode(message), message)
    except ValueError:
        raise Undecodable("not a message") from None


def _found(answer: dict[str, Any]) -> Sequence[RawMessage]:
    entries = answer.get("messages") or []
    if not isinstance(entries, list) or len(entries) > MAX_MESSAGES:
        raise Undecodable("not a list of messages")
    found = []
    for entry in entries:
        if not isinstance(entry, dict):
            raise Undecodable("not an entry of a store")
        topic = entry.get("pubsubTopic", entry.get("pubsub_topic"))
        if isinstance(topic, str) and "message" in entry:
            found.append(_message(PubsubTopic(topic), entry["message"]))
    return found


def is_stored(body: bytes) -> bool:
    """Whether a store's response to :func:`presence_path` says that it keeps the message. Raises Undecodable."""
    return bool(_object(body).get("messages"))


def _number(entry: dict[str, Any], name: str) -> int | None:
    value = entry.get(name)
    if value is None or (type(value) is int and -MAX_NUMBER <= value < MAX_NUMBER):
        return value
    raise Undecodable("not a message")


def _object(body: bytes) -> dict[str, Any]:
    value = _json(body)
    if not isinstance(value, dict):
        raise Undecodable("not an answer of a store")
    return value


def _json(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except ValueError:
        raise Undecodable("not JSON") from None


def _unhex(text: object) -> bytes:
    try:
        return bytes.fromhex(str(text).removeprefix("0x"))
    except ValueError:
        raise Undecodable("not hexadecimal") from None


def _unbase64(text: object) -> bytes:
    """Read either alphabet, padded or not, as go-waku does."""
    if not isinstance(text, str) or not text.isascii():
        raise Undecodable("not base64")
    plain = text.translate(_STANDARD).rstrip("=")
    try:
        return binascii.a2b_base64(plain + "=" * (-len(plain) % 4), strict_mode=True)
    except (ValueError, binascii.Error):
        raise Undecodable("not base64") from None


_STANDARD = str.maketrans("-_", "+/")
