"""
Stand-ins for an operator's nwaku and go-waku behind REST, with the habits that a client must know.

Reading empties the cache; a small cache pushes out the message with the oldest time of its sender's; a node hears
itself; the relay answers 200 though nobody is there; stores are asked by at most ten topics.
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

from hushbell.testing.plain_http import PlainHttp, RecordedRequest

TOPICS = 10  # content topics in a question to a store
PAGE = 100  # messages in its answer

Fields = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent back."""

    status: int = 200
    body: bytes = b"OK"
    delay: float = 0.0  # seconds
    close: bool = False  # cuts the connection instead of answering


@dataclass(slots=True)
class _Kept:
    pubsub_topic: str
    fields: Fields
    hash: bytes


class RestNetwork:
    """The nodes that relay to each other, and what a store among them keeps."""

    def __init__(self) -> None:
        self.nodes: list[MockRestNode] = []
        self.kept: list[_Kept] = []

    def spread(self, pubsub_topic: str, fields: Fields) -> int:
        """Give a message to every node and to the store; return how many other nodes there are."""
        self.kept.append(_Kept(pubsub_topic, fields, _hash(pubsub_topic, fields)))
        for node in self.nodes:
            node.heard(pubsub_topic, fields)
        return len(self.nodes) - 1


@dataclass(slots=True)
class MockRestNode:
    """
    One node with its REST API on loopback.

    Attributes:
        asked: method and target of each request, in order.
        script: answers for the next requests whose target begins so, in place of the node's own.
        lightpush: whether somebody publishes for it.
    """

    network: RestNetwork
    dialect: Literal["nwaku", "go-waku"] = "nwaku"
    capacity: int = 50
    lightpush: bool = True
    port: int = 0
    asked: list[str] = field(default_factory=list)
    script: dict[str, deque[Answer]] = field(default_factory=dict)
    _cache: dict[str, list[Fields]] = field(default_factory=dict)
    _http: PlainHttp = field(init=False)

    def __post_init__(self) -> None:
        self._http = PlainHttp(self._exchange, port=self.port)

    @property
    def url(self) -> str:
        """What a client is configured with."""
        return self._http.url

    async def __aenter__(self) -> Self:
        self.network.nodes.append(self)
        await self.listen()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.refuse()
        self.network.nodes.remove(self)

    async def listen(self) -> None:
        """Take connections, always on the same port."""
        await self._http.listen()
        self.port = self._http.port

    async def refuse(self) -> None:
        """Cut every connection and take no more until :meth:`listen`."""
        await self._http.refuse()

    def forget(self) -> None:
        """Be as after a new start: no subscriptions, nothing in the cache."""
        self._cache.clear()

    def heard(self, pubsub_topic: str, fields: Fields) -> None:
        """Keep a message for whoever reads next, as far as there is room."""
        cache = self._cache.get(pubsub_topic)
        if cache is None:
            return
        if len(cache) < self.capacity:
            cache.append(fields)
        elif self.dialect == "nwaku":
            cache.append(fields)
            cache.remove(min(cache, key=lambda kept: int(kept.get("timestamp", 0))))

    async def _exchange(
        self, asked: RecordedRequest, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        self.asked.append(f"{asked.method} {asked.target}")
        answer = self._scripted(asked.target) or self._answer(asked.method, asked.target, asked.body)
        await asyncio.sleep(answer.delay)
        if answer.close:
            return False
        head = f"HTTP/1.1 {answer.status} Status\r\nContent-Length: {len(answer.body)}\r\n\r\n"
        writer.write(head.encode() + answer.body)
        await writer.drain()
        return True

    def _scripted(self, target: str) -> Answer | None:
        for beginning, answers in self.script.items():
            if target.startswith(beginning) and answers:
                return answers.popleft()
        return None

    def _answer(self, method: str, target: str, body: bytes) -> Answer:
        parts = urlsplit(target)
        ways: dict[tuple[str, str], Callable[[], Answer]] = {
            ("POST", "/relay/v1/subscriptions"): lambda: self._subscribe(json.loads(body)),
            ("POST", self._lightpush_path): lambda: self._push(json.loads(body)),
            ("GET", "/store/v3/messages"): lambda: self._store(
                {name: values[0] for name, values in parse_qs(parts.query).items()}
            ),
            ("GET", "/health"): self._health,
        }
        way = ways.get((method, parts.path))
        if way is not None:
            return way()
        relay = "/relay/v1/messages/"
        if parts.path.startswith(relay):
            topic = unquote(parts.path.removeprefix(relay))
            return self._read(topic) if method == "GET" else self._relay(topic, json.loads(body))
        return Answer(404, b"")

    @property
    def _lightpush_path(self) -> str:
        return "/lightpush/v3/message" if self.dialect == "nwaku" else "/lightpush/v1/message"

    @property
    def _fine(self) -> Answer:
        return Answer(body=b"OK" if self.dialect == "nwaku" else b"true")

    def _subscribe(self, topics: list[str]) -> Answer:
        for topic in topics:
            self._cache.setdefault(topic, [])
        return self._fine

    def _read(self, topic: str) -> Answer:
        if topic not in self._cache:
            return Answer(404, b"not subscribed")
        kept, self._cache[topic] = self._cache[topic], []
        if self.dialect == "go-waku":
            return Answer(body=json.dumps(kept or None).encode())
        return Answer(body=json.dumps([{"version": 0, "ephemeral": False, "proof": ""} | one for one in kept]).encode())

    def _relay(self, topic: str, fields: Fields) -> Answer:
        if not _valid(fields, strict=self.dialect == "nwaku"):
            return Answer(400, b"bad message")
        self.network.spread(topic, fields)
        return self._fine

    def _push(self, request: Fields) -> Answer:
        if not self.lightpush:
            return Answer(503, b"no service peer")
        if not _valid(request["message"], strict=self.dialect == "nwaku"):
            return Answer(400, b"bad message")
        if len(self.network.nodes) == 1:
            nobody = json.dumps({"statusDesc": "no peers"}).encode() if self.dialect == "nwaku" else b"no peers"
            return Answer(505 if self.dialect == "nwaku" else 503, nobody)
        peers = self.network.spread(request["pubsubTopic"], request["message"])
        return Answer(body=json.dumps({"relayPeerCount": peers}).encode() if self.dialect == "nwaku" else b"true")

    def _store(self, query: dict[str, str]) -> Answer:
        nwaku = self.dialect == "nwaku"
        topics = [topic for topic in query.get("contentTopics", "").split(",") if topic]
        if len(topics) > TOPICS or not (nwaku or topics or "hashes" in query):
            return Answer(400, b"{}")
        if "hashes" in query:
            found = [kept for kept in self.network.kept if kept.hash == self._decoded(query["hashes"])]
        else:
            found = [kept for kept in self.network.kept if _matches(kept, query, topics)]
        found.sort(key=lambda kept: (int(kept.fields.get("timestamp", 0)), kept.hash))
        if "cursor" in query:
            hashes = [kept.hash for kept in found]
            found = found[hashes.index(self._decoded(query["cursor"])) + 1 :]
        size = min(int(query.get("pageSize", "20")), PAGE)
        return self._page(found[:size], more=len(found) > size, data=query.get("includeData") == "true")

    def _page(self, found: list[_Kept], *, more: bool, data: bool) -> Answer:
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
        answer: Fields = {"statusCode" if nwaku else "status_code": 200, "messages": entries}
        if more:
            cursor = self._encoded(found[-1].hash)
            answer["paginationCursor" if nwaku else "pagination_cursor"] = cursor
        return Answer(body=json.dumps(answer).encode())

    def _encoded(self, value: bytes) -> str:
        return "0x" + value.hex() if self.dialect == "nwaku" else b64encode(value).decode()

    def _decoded(self, text: str) -> bytes:
        return bytes.fromhex(text.removeprefix("0x")) if self.dialect == "nwaku" else urlsafe_b64decode(text)

    def _health(self) -> Answer:
        if self.dialect == "go-waku":
            return Answer(501, b'"Non RLN healthcheck is not implemented"')
        return Answer(body=b'{"nodeHealth":"READY","protocolsHealth":[{"Relay":"READY"}]}')


def _matches(kept: _Kept, query: dict[str, str], topics: list[str]) -> bool:
    if "pubsubTopic" in query and kept.pubsub_topic != query["pubsubTopic"]:
        return False
    if topics and kept.fields["contentTopic"] not in topics:
        return False
    return int(kept.fields.get("timestamp", 0)) >= int(query.get("startTime", "0"))


def _valid(fields: Fields, *, strict: bool) -> bool:
    """Whether a node takes the message; ``strict`` wants base64 of the standard alphabet, padded."""
    text = fields.get("payload", "")
    try:
        return bool(b64decode(text, validate=True) if strict else text) and bool(fields.get("contentTopic"))
    except ValueError:
        return False


def _hash(pubsub_topic: str, fields: Fields) -> bytes:
    """Return the hash of RFC 14."""
    time = int(fields.get("timestamp", 0)).to_bytes(8, "big", signed=True)
    parts = (pubsub_topic.encode(), b64decode(fields["payload"]), fields["contentTopic"].encode())
    return sha256(b"".join(parts) + b64decode(fields.get("meta", "")) + time).digest()
