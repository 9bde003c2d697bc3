"""
Mocks of an operator's nwaku and go-waku behind REST, with the habits that a client must know.

Reading empties the cache; a full cache drops the message with its sender's oldest timestamp; a node receives its own
messages; the relay answers 200 though no peer is there; a store query holds at most ten topics.
"""

import asyncio
import json
from base64 import b64decode, b64encode, urlsafe_b64decode
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Literal, Self
from urllib.parse import parse_qs, unquote, urlsplit

from hushbell.testing.mock.http import Request, Response
from hushbell.testing.mock.listener import MockListener

MAX_CONTENT_TOPICS = 10  # in a store query
MAX_PAGE_MESSAGES = 100  # in its response

Fields = dict[str, Any]


@dataclass(slots=True)
class _StoredMessage:
    pubsub_topic: str
    fields: Fields
    hash: bytes


class RestNetwork:
    """Nodes that relay to each other, and the messages that a store among them keeps."""

    def __init__(self) -> None:
        self.nodes: list[MockRestNode] = []
        self.stored: list[_StoredMessage] = []

    def relay(self, pubsub_topic: str, fields: Fields) -> int:
        """Hand a message to every node and to the store; return how many other nodes there are."""
        self.stored.append(_StoredMessage(pubsub_topic, fields, _hash(pubsub_topic, fields)))
        for node in self.nodes:
            node.on_message(pubsub_topic, fields)
        return len(self.nodes) - 1


@dataclass(slots=True)
class MockRestNode:
    """
    One node with its REST API on loopback.

    Attributes:
        requests: method and target of each request, in order.
        script: responses to the next requests whose target begins so, in place of the node's own.
        has_lightpush: whether a service peer publishes for it.
    """

    network: RestNetwork
    dialect: Literal["nwaku", "go-waku"] = "nwaku"
    capacity: int = 50
    has_lightpush: bool = True
    port: int = 0
    requests: list[str] = field(default_factory=list)
    script: dict[str, deque[Response]] = field(default_factory=dict)
    _cache: dict[str, list[Fields]] = field(default_factory=dict)
    _listener: MockListener = field(init=False)

    def __post_init__(self) -> None:
        self._listener = MockListener(self._handle, port=self.port)

    @property
    def url(self) -> str:
        """What a client is configured with."""
        return f"http://{self._listener.address}"

    async def __aenter__(self) -> Self:
        self.network.nodes.append(self)
        await self.listen()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.refuse()
        self.network.nodes.remove(self)

    async def listen(self) -> None:
        """Accept connections, always on the same port."""
        await self._listener.listen()
        self.port = self._listener.port

    async def refuse(self) -> None:
        """Cut every connection and accept none until :meth:`listen`."""
        self._listener.refuse()
        await asyncio.sleep(0)

    def forget(self) -> None:
        """Return to the state after a start: no subscriptions, an empty cache."""
        self._cache.clear()

    def on_message(self, pubsub_topic: str, fields: Fields) -> None:
        """Cache a message for the next read, as far as there is room."""
        cache = self._cache.get(pubsub_topic)
        if cache is None:
            return
        if len(cache) < self.capacity:
            cache.append(fields)
        elif self.dialect == "nwaku":
            cache.append(fields)
            cache.remove(min(cache, key=lambda kept: int(kept.get("timestamp", 0))))

    def _handle(self, request: Request) -> Response:
        self.requests.append(f"{request.method} {request.path}")
        return self._scripted(request.path) or self._respond(request.method, request.path, request.body)

    def _scripted(self, target: str) -> Response | None:
        for prefix, responses in self.script.items():
            if target.startswith(prefix) and responses:
                return responses.popleft()
        return None

    def _respond(self, method: str, target: str, body: bytes) -> Response:
        parts = urlsplit(target)
        routes: dict[tuple[str, str], Callable[[], Response]] = {
            ("POST", "/relay/v1/subscriptions"): lambda: self._subscribe(json.loads(body)),
            ("POST", self._lightpush_path): lambda: self._publish_by_lightpush(json.loads(body)),
            ("GET", "/store/v3/messages"): lambda: self._store(
                {name: values[0] for name, values in parse_qs(parts.query).items()}
            ),
            ("GET", "/health"): self._health,
        }
        route = routes.get((method, parts.path))
        if route is not None:
            return route()
        relay = "/relay/v1/messages/"
        if parts.path.startswith(relay):
            topic = unquote(parts.path.removeprefix(relay))
            return self._read(topic) if method == "GET" else self._relay(topic, json.loads(body))
        return Response(404, body=b"")

    @property
    def _lightpush_path(self) -> str:
        return "/lightpush/v3/message" if self.dialect == "nwaku" else "/lightpush/v1/message"

    @property
    def _success(self) -> Response:
        return Response(body=b"OK" if self.dialect == "nwaku" else b"true")

    def _subscribe(self, topics: list[str]) -> Response:
        for topic in topics:
            self._cache.setdefault(topic, [])
        return self._success

    def _read(self, topic: str) -> Response:
        if topic not in self._cache:
            return Response(404, body=b"not subscribed")
        kept, self._cache[topic] = self._cache[topic], []
        if self.dialect == "go-waku":
            return Response(body=json.dumps(kept or None).encode())
        return Response(
            body=json.dumps([{"version": 0, "ephemeral": False, "proof": ""} | one for one in kept]).encode()
        )

    def _relay(self, topic: str, fields: Fields) -> Response:
        if not _is_valid(fields, strict=self.dialect == "nwaku"):
            return Response(400, body=b"bad message")
        self.network.relay(topic, fields)
        return self._success

    def _publish_by_lightpush(self, request: Fields) -> Response:
        if not self.has_lightpush:
            return Response(503, body=b"no service peer")
        if not _is_valid(request["message"], strict=self.dialect == "nwaku"):
            return Response(400, body=b"bad message")
        if len(self.network.nodes) == 1:
            no_peers = json.dumps({"statusDesc": "no peers"}).encode() if self.dialect == "nwaku" else b"no peers"
            return Response(505 if self.dialect == "nwaku" else 503, body=no_peers)
        peers = self.network.relay(request["pubsubTopic"], request["message"])
        return Response(body=json.dumps({"relayPeerCount": peers}).encode() if self.dialect == "nwaku" else b"true")

    def _store(self, query: dict[str, str]) -> Response:
        nwaku = self.dialect == "nwaku"
        topics = [topic for topic in query.get("contentTopics", "").split(",") if topic]
        if len(topics) > MAX_CONTENT_TOPICS or not (nwaku or topics or "hashes" in query):
            return Response(400, body=b"{}")
        if "hashes" in query:
            found = [kept for kept in self.network.stored if kept.hash == self._decoded(query["hashes"])]
        else:
            found = [kept for kept in self.network.stored if _matches(kept, query, topics)]
        found.sort(key=lambda kept: (int(kept.fields.get("timestamp", 0)), kept.hash))
        if "cursor" in query:
            hashes = [kept.hash for kept in found]
            found = found[hashes.index(self._decoded(query["cursor"])) + 1 :]
        size = min(int(query.get("pageSize", "20")), MAX_PAGE_MESSAGES)
        return self._page(found[:size], more=len(found) > size, data=query.get("includeData") == "true")

    def _page(self, found: list[_StoredMessage], *, more: bool, data: bool) -> Response:
        nwaku = self.dialect == "nwaku"
        entries = []
        for kept in found:
            entry: Fields = {"messageHash" if nwaku else "message_hash": self._encoded(kept.hash)}
            if data:
                fields = dict(kept.fields)
                if not nwaku:
                    fields["content_topic"] = fields.pop("contentTopic")
                entry |= {"message": fields, "pubsubTopic" if nwaku else "pubsub_topic": kept.pubsub_topic}
            entries.append(entry)
        page: Fields = {"statusCode" if nwaku else "status_code": 200, "messages": entries}
        if more:
            cursor = self._encoded(found[-1].hash)
            page["paginationCursor" if nwaku else "pagination_cursor"] = cursor
        return Response(body=json.dumps(page).encode())

    def _encoded(self, value: bytes) -> str:
        return "0x" + value.hex() if self.dialect == "nwaku" else b64encode(value).decode()

    def _decoded(self, text: str) -> bytes:
        return bytes.fromhex(text.removeprefix("0x")) if self.dialect == "nwaku" else urlsafe_b64decode(text)

    def _health(self) -> Response:
        if self.dialect == "go-waku":
            return Response(501, body=b'"Non RLN healthcheck is not implemented"')
        return Response(body=b'{"nodeHealth":"READY","protocolsHealth":[{"Relay":"READY"}]}')


def _matches(kept: _StoredMessage, query: dict[str, str], topics: list[str]) -> bool:
    if "pubsubTopic" in query and kept.pubsub_topic != query["pubsubTopic"]:
        return False
    if topics and kept.fields["contentTopic"] not in topics:
        return False
    return int(kept.fields.get("timestamp", 0)) >= int(query.get("startTime", "0"))


def _is_valid(fields: Fields, *, strict: bool) -> bool:
    """Say whether a node accepts the message; ``strict`` demands padded base64 of the standard alphabet."""
    text = fields.get("payload", "")
    try:
        return bool(b64decode(text, validate=True) if strict else text) and bool(fields.get("contentTopic"))
    except ValueError:
        return False


def _hash(pubsub_topic: str, fields: Fields) -> bytes:
    """Return the hash of RFC 14."""
    timestamp = int(fields.get("timestamp", 0)).to_bytes(8, "big", signed=True)
    parts = (pubsub_topic.encode(), b64decode(fields["payload"]), fields["contentTopic"].encode())
    return sha256(b"".join(parts) + b64decode(fields.get("meta", "")) + timestamp).digest()
