"""Between envelopes and the server's rules: an opened envelope becomes an event, a reply becomes an envelope."""

from contextlib import suppress
from dataclasses import replace

from hushbell import wire
from hushbell.config.limits import Limits
from hushbell.core import envelope
from hushbell.core.envelope import OpenedEnvelope
from hushbell.core.server.events import Event, QueryReceived, RegistrationReceived, RequestReceived
from hushbell.core.server.facts import Reply
from hushbell.crypto import ciphers, grants, message_ids, topics
from hushbell.errors import WireError
from hushbell.types import AccessToken, KeyPair, Nanos, Random
from hushbell.wire.messages import ApplicationType, NotificationRequest, Query, Registration


def server_event(opened: OpenedEnvelope, server: KeyPair, limits: Limits) -> Event | None:
    """
    Return the event that an opened envelope is to the push notification server, or None for other message types.

    A list over its bound is cut one entry above it. It is refused all the same, and half a million entries of two
    bytes do not stay in memory until then.

    Raises:
        Unauthentic: a registration that does not decrypt; spec 16 discards it.
        WireError: not the message that its type promises.
    """
    match opened.type:
        case ApplicationType.PUSH_NOTIFICATION_REGISTRATION:
            return _registration(opened, server, limits)
        case ApplicationType.PUSH_NOTIFICATION_QUERY:
            query = wire.decode(Query, opened.payload, limit=limits.envelope)
            query = replace(query, public_keys=query.public_keys[: limits.query_keys + 1])
            return QueryReceived(opened.sender, opened.message_id, query)
        case ApplicationType.PUSH_NOTIFICATION_REQUEST:
            request = wire.decode(NotificationRequest, opened.payload, limit=limits.envelope)
            request = replace(request, requests=request.requests[: limits.request_items + 1])
            return RequestReceived(opened.sender, opened.message_id, request)
        case _:
            return None


def seal_reply(reply: Reply, server: KeyPair, timestamp: Nanos, random: Random) -> bytes:
    """Return the WakuMessage that carries a reply to its recipient's partitioned topic."""
    return envelope.seal_to_key(
        envelope.sign_application(reply.payload, reply.type, server),
        recipient=reply.recipient,
        signer=server,
        content_topic=topics.partitioned_topic(reply.recipient),
        timestamp=timestamp,
        random=random,
    )


def _registration(opened: OpenedEnvelope, server: KeyPair, limits: Limits) -> RegistrationReceived:
    plaintext = ciphers.open_gcm(envelope.registration_key(server.private, opened.sender), opened.payload)
    registration = None
    grant_is_valid = False
    if len(plaintext) <= limits.registration:
        # What decrypts and does not parse is an event: its sender gets MALFORMED_MESSAGE.
        with suppress(WireError):
            registration = _cut(wire.decode(Registration, plaintext, limit=limits.registration), limits)
    if registration is not None and not registration.unregister:
        token = AccessToken(registration.access_token)
        grant_is_valid = grants.grant_is_valid(registration.grant, opened.sender, server.public, token)
    return RegistrationReceived(
        opened.sender, message_ids.request_id(opened.payload), plaintext, registration, grant_is_valid
    )


def _cut(registration: Registration, limits: Limits) -> Registration:
    """Return the registration with its lists cut just above their bound; the plaintext keeps them whole."""
    over = limits.list_entries + 1
    return replace(
        registration,
        allowed_key_list=registration.allowed_key_list[:over],
        blocked_chat_list=registration.blocked_chat_list[:over],
        allowed_mentions_chat_list=registration.allowed_mentions_chat_list[:over],
        muted_chat_list=registration.muted_chat_list[:over],
    )
