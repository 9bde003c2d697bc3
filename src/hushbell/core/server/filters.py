"""
Which notifications a recipient wants (reference/status-go.md 6.4.4).

Nothing here reaches the sender: a filtered notification is reported like a delivered one.
"""

from dataclasses import dataclass, field

from hushbell.types import NotificationType
from hushbell.wire.messages import PushNotification, Registration


@dataclass(frozen=True, slots=True)
class NotificationFilter:
    """A recipient's rules as sets: one request may hold thousands of items for one device."""

    enabled: bool
    block_mentions: bool
    blocked: frozenset[bytes] = field(repr=False)  # chats and authors
    muted: frozenset[bytes] = field(repr=False)  # chats
    mentions: frozenset[bytes] = field(repr=False)  # chats whose mentions pass


def notification_filter(registration: Registration) -> NotificationFilter:
    """Return the filter that a registration asks for."""
    return NotificationFilter(
        enabled=registration.enabled,
        block_mentions=registration.block_mentions,
        blocked=frozenset(registration.blocked_chat_list),
        muted=frozenset(registration.muted_chat_list),
        mentions=frozenset(registration.allowed_mentions_chat_list),
    )


def passes(wanted: NotificationFilter, item: PushNotification) -> bool:
    """Say whether the recipient wants ``item``. Its type is one of the known ones."""
    if not wanted.enabled:
        return False
    if item.author in wanted.blocked:
        return False
    if item.type == NotificationType.MESSAGE:
        return item.chat_id not in wanted.blocked and item.chat_id not in wanted.muted
    if item.type == NotificationType.MENTION:
        # An empty list lets no mention through, and muting a chat says nothing about mentions in it.
        return not wanted.block_mentions and item.chat_id in wanted.mentions
    return item.type == NotificationType.REQUEST_TO_JOIN_COMMUNITY
