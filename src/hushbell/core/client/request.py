"""Requests to notify devices, and their reports (reference/status-go.md 7.4)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from hushbell import wire
from hushbell.core.client.query import Info
from hushbell.core.envelope import OpenedEnvelope, sign_application
from hushbell.crypto import hashes, message_ids
from hushbell.errors import Unauthentic, Undecodable
from hushbell.types import KeyPair, MessageId, NotificationType, PublicKey

NO_MESSAGES: Mapping[PublicKey, bytes] = MappingProxyType({})
RESPONSE_TIMEOUT = 3.0  # seconds until another server may be sent a request


@dataclass(frozen=True, slots=True)
class NotificationContent:
    """The part that all items of a request have in common."""

    message_id: bytes  # of the chat message
    chat_id: str = field(repr=False)
    type: NotificationType
    author: PublicKey = field(repr=False)
    message: bytes = field(default=b"", repr=False)  # encrypted; status-go sends none


@dataclass(frozen=True, slots=True)
class RequestMessage:
    """A request to one server. Sending the same bytes again gets the same response and no second notification."""

    server: PublicKey
    application: bytes = field(repr=False)
    request_message_id: MessageId
    message_id: bytes
    items: int


def build_requests(
    infos: Iterable[Info],
    content: NotificationContent,
    signer: KeyPair,
    messages: Mapping[PublicKey, bytes] = NO_MESSAGES,
) -> tuple[RequestMessage, ...]:
    """
    Return one request for each server of the infos, signed by an ephemeral key.

    Args:
        infos: of the devices to notify.
        content: the part that all items have in common.
        signer: the ephemeral key.
        messages: by person, encrypted for that person; in place of the common message.
    """
    servers: dict[PublicKey, list[Info]] = {}
    for info in infos:
        servers.setdefault(info.server, []).append(info)
    return tuple(_build_request(server, known, content, signer, messages) for server, known in servers.items())


def read_reports(opened: OpenedEnvelope, sent: RequestMessage) -> tuple[wire.Report, ...]:
    """
    Return the reports in the response to a request.

    Raises:
        Undecodable: not a response to a request.
        Unauthentic: a response to another request, or of another server.
    """
    if opened.type != wire.ApplicationType.PUSH_NOTIFICATION_RESPONSE:
        raise Undecodable("not a response to a request")
    response = wire.decode(wire.NotificationResponse, opened.payload)
    if opened.sender != sent.server or response.message_id != sent.message_id:
        raise Unauthentic("no response to this request by the server it was for")
    return response.reports


def _build_request(
    server: PublicKey,
    infos: Iterable[Info],
    content: NotificationContent,
    signer: KeyPair,
    messages: Mapping[PublicKey, bytes],
) -> RequestMessage:
    chat, author = hashes.hash_chat_id(content.chat_id), hashes.hash_author(content.author)
    items = tuple(
        wire.PushNotification(
            access_token=info.access_token,
            chat_id=chat,
            public_key=hashes.hash_public_key(info.target),
            installation_id=info.installation_id,
            message=messages.get(info.target, content.message),
            type=content.type,
            author=author,
        )
        for info in infos
    )
    payload = wire.encode(wire.NotificationRequest(requests=items, message_id=content.message_id))
    application = sign_application(payload, wire.ApplicationType.PUSH_NOTIFICATION_REQUEST, signer)
    return RequestMessage(
        server, application, message_ids.message_id(signer.public, application), content.message_id, len(items)
    )
