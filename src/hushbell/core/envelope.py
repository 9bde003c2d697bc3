"""
Seal and open the layers of an envelope. The application message is not interpreted here.

From the outside: WakuMessage, ECIES or AES-GCM, RFC 26 frame, ProtocolMessage (only around public messages),
application message (reference/status-go.md sections 4 and 5). A request and its answer together cost one recovery, two
shared secrets, two signatures and one key generation; nothing is derived twice.
"""

from dataclasses import dataclass, field

from hushbell import wire
from hushbell.crypto import ciphers, ecies, message_ids, secp256k1, signatures
from hushbell.errors import Unauthentic, Undecodable, WireError
from hushbell.types import ContentTopic, KeyPair, MessageId, Nanos, PrivateKey, PublicKey, Random, SymmetricKey
from hushbell.wire.messages import ApplicationMessage, Segment, WakuMessage

WAKU_VERSION = 1  # payloads are RFC 26 frames


@dataclass(frozen=True, slots=True)
class OpenedEnvelope:
    """An application message and who signed it."""

    sender: PublicKey
    message_id: MessageId  # of the application message (reference/status-go.md 2.4)
    type: int  # ApplicationType, or any other of Status
    payload: bytes = field(repr=False)


class Segmented(WireError):
    """The envelope carries a part of a larger message; push messages never need that."""

    def __init__(self, segment: Segment) -> None:
        super().__init__("a part of a larger message")
        self.segment = segment


def sign_application(payload: bytes, type_: int, signer: KeyPair) -> bytes:
    """Return a serialised application message over the payload."""
    signature = signatures.sign_payload(payload, signer.private)
    return wire.encode(ApplicationMessage(signature=signature, payload=payload, type=type_))


def seal_to_key(
    application: bytes,
    *,
    recipient: PublicKey,
    signer: KeyPair,
    content_topic: ContentTopic,
    timestamp: Nanos,
    random: Random,
) -> bytes:
    """
    Return a complete WakuMessage that only the recipient can open.

    Args:
        application: a serialised application message.
        recipient: whose key it is encrypted to.
        signer: signs the frame; status-go drops an unsigned one.
        content_topic: where the recipient listens.
        timestamp: Unix time in nanoseconds.
        random: draws the padding, the ephemeral key and the IV.
    """
    frame = _signed_frame(application, signer, random)
    payload = ecies.encrypt(recipient, frame, secp256k1.key_pair(random), random(16))
    return _waku(payload, content_topic, timestamp)


def seal_with_key(
    application: bytes,
    *,
    key: SymmetricKey,
    signer: KeyPair,
    content_topic: ContentTopic,
    timestamp: Nanos,
    random: Random,
) -> bytes:
    """Return a complete WakuMessage for all holders of the topic's key."""
    frame = _signed_frame(application, signer, random)
    return _waku(ciphers.seal_symmetric(key, frame, random(12)), content_topic, timestamp)


def open_waku(message: bytes, limit: int = wire.MESSAGE_LIMIT) -> WakuMessage:
    """
    Return the outermost layer of an envelope of at most ``limit`` bytes.

    Raises:
        TooLarge: over the limit; nothing was parsed.
        Undecodable: not a WakuMessage, or one of another version, to which status-go is silent too.
    """
    waku = wire.decode(WakuMessage, message, limit=limit)
    if waku.version != WAKU_VERSION:
        raise Undecodable("the payload is no RFC 26 frame")
    return waku


def open_with_private(payload: bytes, private: PrivateKey) -> OpenedEnvelope:
    """
    Open the payload of a WakuMessage that was encrypted to a key.

    Raises:
        Unauthentic: another recipient, altered, an unsigned frame, or a signature that no key can have made.
        Undecodable: not a frame with an application message that has a payload.
        Segmented: a part of a larger message.
    """
    return _open_frame(ecies.decrypt(private, payload))


def open_with_symmetric(payload: bytes, key: SymmetricKey) -> OpenedEnvelope:
    """Open the payload of a WakuMessage that was encrypted with a topic's key. Raises as ``open_with_private``."""
    return _open_frame(ciphers.open_symmetric(key, payload))


def open_application(data: bytes, frame: wire.Frame | None = None) -> OpenedEnvelope:
    """
    Return an application message with its sender.

    Args:
        data: the bytes exactly as received: the id is over them.
        frame: the frame around it; its signer is the sender of a message without a signature of its own.

    Raises:
        Undecodable: not an application message, or one without a payload, which status-go never dispatches.
        Unauthentic: no key can have made the signature, or there is none.
    """
    message = wire.decode(ApplicationMessage, data)
    if not message.payload:
        raise Undecodable("an application message without a payload")
    if message.signature:
        sender = signatures.recover_signer(message.payload, message.signature)
        return OpenedEnvelope(sender, message_ids.message_id(sender, data), message.type, message.payload)
    if frame is None or frame.signature is None:
        raise Unauthentic("this message has no signature")
    sender = signatures.recover_frame_signer(frame.signed_part, frame.signature)
    return OpenedEnvelope(sender, message_ids.message_id(None, data), message.type, message.payload)


def registration_key(private: PrivateKey, public: PublicKey) -> SymmetricKey:
    """Return the key between a client and a server: X of the shared point (reference/status-go.md 2.5)."""
    return SymmetricKey(secp256k1.ecdh_x(private, public))


def _signed_frame(application: bytes, signer: KeyPair, random: Random) -> bytes:
    padding = random(wire.padding_length(len(application), signed=True))
    signed_part = wire.encode_frame(application, padding, signed=True)
    return signed_part + signatures.sign_frame(signed_part, signer.private)


def _waku(payload: bytes, content_topic: ContentTopic, timestamp: Nanos) -> bytes:
    """Empty meta and ephemeral=False are sent as status-go sends them (reference/status-go.md 4.1)."""
    return wire.encode(
        WakuMessage(
            payload=payload,
            content_topic=content_topic,
            version=WAKU_VERSION,
            timestamp=timestamp,
            meta=b"",
            ephemeral=False,
        )
    )


def _open_frame(frame: bytes) -> OpenedEnvelope:
    decoded = wire.decode_frame(frame)
    if decoded.signature is None:
        raise Unauthentic("an unsigned frame proves nothing")
    segment = wire.as_segment(decoded.data)
    if segment is not None:
        raise Segmented(segment)
    return open_application(wire.unwrap_protocol_message(decoded.data), decoded)
