"""The stored messages of one node, read page by page: our own archive, a peer's store, or a store over REST."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from hushbell.types import ContentTopic, Millis, PubsubTopic
from hushbell.waku.message import RawMessage

MAX_PAGE = 100  # messages; the most that stores give (RFC 13)


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """Messages, oldest first, and the cursor of the next page; None at the end."""

    messages: Sequence[RawMessage]
    cursor: bytes | None


class History(Protocol):
    """A source of stored messages."""

    @property
    def name(self) -> str:
        """A name that no other source has while the program runs."""

    @property
    def is_own(self) -> bool:
        """Whether it is this node's archive, which has what this process dropped and nothing that never arrived."""

    @property
    def has_whole_shards(self) -> bool:
        """Whether it answers queries that name no topics."""

    async def page(
        self,
        pubsub_topic: PubsubTopic | None,
        content_topics: Sequence[ContentTopic],
        since: Millis,
        cursor: bytes | None,
    ) -> HistoryPage:
        """
        Return up to :data:`MAX_PAGE` messages published since then; of all topics if none is named.

        Raises:
            TransportError, WireError, StoreError: it does not answer, or refuses.
        """
