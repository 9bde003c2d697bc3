"""Ringing devices (reference/status-go.md 7.4)."""

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
ANSWER_WAIT = 3.0  # seconds, at least, before another server may be asked


@dataclass(frozen=True, slots=True)
class Ringing:
    """What all items of a request have in common."""

    message_id: bytes  # of the chat message
    chat_id: str = field(repr=False)
    type: NotificationType
    author: PublicKey = field(repr=False)
    message: bytes = field(default=b"", repr=False)  # encrypted; status-go sends none


@dataclass(frozen=True, slots=True)
class Asked:
    """A request to one server. Sending the same bytes again gets the same answer and rings nobody twice."""

    server: PublicKey
    application: bytes = field(repr=False)
    wrapper_id: MessageId
    message_id: bytes
    items: int


def requests(
    infos: Iterable[Info], ringing: Ringing, signer: KeyPair, messages: Mapping[PublicKey, bytes] = NO_MESSAGES
) -> tuple[Asked, ...]:
    """
    Return one request for each server of the infos, signed by an ephemeral key.

    Args:
        infos: of the devices that shall ring.
        ringing: what all items have in common.
        signer: the ephemeral key.
        messages: what each person gets in place of the common message, encrypted for that person.
    """
    servers: dict[PublicKey, list[Info]] = {}
    for info in infos:
        servers.setdefault(info.server, []).append(info)
    return tuple(_request(server, known, ringing, signer, messages) for server, known in servers.items())


def reports(opened: OpenedEnvelope, asked: Asked) -> tuple[wire.Report, ...]:
    """
    Return what became of a request.

    Raises:
        Undecodable: not an answer to a request.
        Unauthentic: to another request, or from another server.
    """
    if opened.type != wire.ApplicationType.PUSH_NOTIFICATION_RESPONSE:
        raise Undecodable("not an answer to a request")
    response = wire.decode(wire.NotificationResponse, opened.payload)
    if opened.sender != asked.server or response.message_id != asked.message_id:
        raise Unauthentic("no answer to this request by the server it was for")
    return response.reports


def _request(
    server: PublicKey, infos: Iterable[Info], ringing: Ringing, signer: KeyPair, messages: Mapping[PublicKey, bytes]
) -> Asked:
    chat, author = hashes.hash_chat_id(ringing.chat_id), hashes.hash_author(ringing.author)
    items = tuple(
        wire.Notification(
            access_token=info.access_token,
            chat_id=chat,
            public_key=hashes.hash_public_key(info.target),
            installation_id=info.installation_id,
            message=messages.get(info.target, ringing.message),
            type=ringing.type,
            author=author,
        )
        for info in infos
    )
    payload = wire.encode(wire.NotificationRequest(requests=items, message_id=ringing.message_id))
    application = sign_application(payload, wire.ApplicationType.PUSH_NOTIFICATION_REQUEST, signer)
    return Asked(
        server, application, message_ids.message_id(signer.public, application), ringing.message_id, len(items)
    )
