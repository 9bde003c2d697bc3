"""
What a recipient does not want to be rung for (reference/status-go.md 6.4.4).

Nothing here reaches the sender: a filtered notification is answered like a delivered one.
"""

from dataclasses import dataclass, field

from hushbell.types import NotificationType
from hushbell.wire.messages import Notification, Registration


@dataclass(frozen=True, slots=True)
class Rules:
    """A recipient's rules, ready to be asked often: one request may hold thousands of items for one device."""

    enabled: bool
    block_mentions: bool
    blocked: frozenset[bytes] = field(repr=False)  # chats and authors
    muted: frozenset[bytes] = field(repr=False)  # chats
    mentions: frozenset[bytes] = field(repr=False)  # chats whose mentions ring


def rules(registration: Registration) -> Rules:
    """Return the rules that came with a registration."""
    return Rules(
        enabled=registration.enabled,
        block_mentions=registration.block_mentions,
        blocked=frozenset(registration.blocked_chat_list),
        muted=frozenset(registration.muted_chat_list),
        mentions=frozenset(registration.allowed_mentions_chat_list),
    )


def rings(wishes: Rules, item: Notification) -> bool:
    """Say whether the recipient wants to be rung for ``item``. Its type is one of the known ones."""
    if not wishes.enabled:
        return False
    if item.author in wishes.blocked:
        return False
    if item.type == NotificationType.MESSAGE:
        return item.chat_id not in wishes.blocked and item.chat_id not in wishes.muted
    if item.type == NotificationType.MENTION:
        # An empty list lets no mention through, and muting a chat says nothing about mentions in it.
        return not wishes.block_mentions and item.chat_id in wishes.mentions
    return item.type == NotificationType.REQUEST_TO_JOIN_COMMUNITY
