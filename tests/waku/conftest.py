"""A place where messages arrive, stores that can be asked, and messages to fill both with."""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from hushbell import wire
from hushbell.errors import TransportError
from hushbell.testing.clock import FakeClock
from hushbell.types import DEFAULT_PUBSUB_TOPIC, ContentTopic, Millis, PubsubTopic
from hushbell.waku.history import HistoryPage
from hushbell.waku.inbox.message_queue import MessageQueue
from hushbell.waku.inbox.missing_messages import MissingMessages
from hushbell.waku.inbox.seen_window import SeenFile
from hushbell.waku.message import RawMessage
from hushbell.wire.messages import WakuMessage

OWN = ContentTopic("/waku/1/0x69bc8983/rfc26")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(manual=True)


@pytest.fixture
def counted() -> Counter[str]:
    return Counter()


@pytest.fixture
def message(clock: FakeClock) -> Callable[..., bytes]:
    def build(number: int, *, topic: str = OWN, at: Millis | None = None, size: int = 8) -> bytes:
        time = (clock.now() if at is None else at) * 1_000_000
        payload = number.to_bytes(8, "big") * (size // 8)
        return wire.encode(WakuMessage(payload=payload, content_topic=topic, version=1, timestamp=time))

    return build


@pytest.fixture
def place(clock: FakeClock, counted: Counter[str]) -> Callable[..., Awaitable[MessageQueue]]:
    """Opens the place where messages arrive, on a file or none."""

    async def opened(path: Path | None = None, **parts: Any) -> MessageQueue:
        bounds = {"max_seen": 1000, "seen_seconds": 7200.0, "max_messages": 100, "message_limit": 1024 * 1024} | parts
        return await MessageQueue.open(
            clock=clock,
            count=lambda name, number: counted.update({name: number}),
            file=None if path is None else SeenFile(path),
            **bounds,
        )

    return opened


@dataclass
class Shelf:
    """A store that keeps messages in memory and notes what it was asked."""

    name: str = "shelf"
    has_whole_shards: bool = True
    is_own: bool = False
    kept: list[tuple[Millis, bytes]] = field(default_factory=list)
    asked: list[tuple[Sequence[str], Millis]] = field(default_factory=list)
    failing: int = 0
    failure: Exception = field(default_factory=lambda: TransportError("no answer"))
    page_size: int = 3
    endless: bool = False
    shard: PubsubTopic = DEFAULT_PUBSUB_TOPIC

    def keep(self, at: Millis, data: bytes) -> None:
        self.kept.append((at, data))

    async def page(
        self,
        pubsub_topic: PubsubTopic | None,
        content_topics: Sequence[ContentTopic],
        since: Millis,
        cursor: bytes | None,
    ) -> HistoryPage:
        if self.failing:
            self.failing -= 1
            raise self.failure
        if cursor is None:
            self.asked.append((content_topics, since))
        matching = [
            data
            for at, data in sorted(self.kept)
            if at >= since and (not content_topics or wire.decode(WakuMessage, data).content_topic in content_topics)
        ]
        start = int(cursor or b"0")
        end = start + self.page_size
        more = end < len(matching) or self.endless
        messages = [
            RawMessage(self.shard, data) for data in matching[start % max(1, len(matching)) :][: self.page_size]
        ]
        return HistoryPage(messages, b"%d" % end if more else None)


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def catching_up(clock: FakeClock, counted: Counter[str]) -> Callable[..., MissingMessages]:
    def build(receiving: MessageQueue, *stores: Shelf) -> MissingMessages:
        return MissingMessages(
            queue=receiving,
            stores=lambda: stores,
            topics={DEFAULT_PUBSUB_TOPIC: [OWN]},
            clock=clock,
            random=bytes,
            count=lambda name, number: counted.update({name: number}),
            interval=300,
            max_age=3 * 86_400,
        )

    return build
