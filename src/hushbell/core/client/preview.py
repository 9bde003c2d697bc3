"""
The text of a notification, sealed by the sender for the recipient alone (docs/preview.md).

Servers, gateways, Apple and Google cannot read it, and its length is one of four sizes. The layout uses only what a
notification service extension has: one shared secret, HKDF-SHA256, AES-256-GCM, JSON.
"""

from dataclasses import dataclass, field, replace
from typing import Any

import orjson
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from hushbell.crypto import ciphers, hashes, secp256k1, signatures
from hushbell.errors import Unauthentic, Undecodable
from hushbell.types import KeyPair, Millis, PrivateKey, PublicKey, Random, SymmetricKey

VERSION = 1
SIZES = (448, 704, 1088, 1600)  # bytes; the largest still fits into 4 KiB as hexadecimal beside what servers add
_HEAD = 1 + 33
_SIGNATURE = 65
_OVERHEAD = _HEAD + _SIGNATURE + ciphers.TAG_BYTES
_INFO = b"hushbell preview v1"
_NONCE = bytes(ciphers.NONCE_BYTES)  # zeros: each key seals one message
_DOMAIN = b"hushbell preview v1\0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """A chat message as a notification shows it. Without a text the phone fetches the message by its id."""

    message_id: bytes  # 32 bytes
    chat_id: str = field(repr=False)
    author: PublicKey = field(repr=False)
    text: str = field(default="", repr=False)
    cut: bool = False  # the text is longer
    sent_at: Millis = Millis(0)


def seal(preview: Preview, author: KeyPair, recipient: PublicKey, random: Random) -> bytes:
    """
    Return the sealed preview, as long as one of ``SIZES``; text that does not fit is cut.

    Layout: version (1 byte) ‖ ephemeral key (33) ‖ AES-256-GCM(signature (65) ‖ JSON ‖ spaces) with its tag (16).

    Args:
        preview: the content; its ``author`` must be the signer.
        author: the sender's identity; its signature over the JSON and the recipient is inside.
        recipient: the identity that the phone holds.
        random: draws the ephemeral key.

    Raises:
        ValueError: the chat id alone is too long.
    """
    ephemeral = secp256k1.key_pair(random)
    content = _fit_json(preview)
    plain = signatures.sign_payload(_signed_bytes(content, recipient), author.private) + content
    size = next(size for size in SIZES if size >= _HEAD + len(plain) + ciphers.TAG_BYTES)
    key = _key(ephemeral.private, recipient, ephemeral.public, recipient)
    sealed = ciphers.seal_gcm(key, _NONCE, plain.ljust(size - _HEAD - ciphers.TAG_BYTES))
    return bytes((VERSION,)) + secp256k1.compress(ephemeral.public) + sealed[len(_NONCE) :]


def open_preview(sealed: bytes, recipient: KeyPair) -> Preview:
    """
    Return the content of a sealed preview.

    Raises:
        Undecodable: not a preview of version 1.
        Unauthentic: for another recipient, altered, or not signed by its author.
    """
    if len(sealed) not in SIZES or sealed[0] != VERSION:
        raise Undecodable("not a preview of version 1")
    ephemeral = secp256k1.parse_public_key(sealed[1:_HEAD])
    key = _key(recipient.private, ephemeral, ephemeral, recipient.public)
    plain = ciphers.open_gcm(key, _NONCE + sealed[_HEAD:])
    content = plain[_SIGNATURE:].rstrip(b" ")
    preview = _from_json(content)
    if signatures.recover_signer(_signed_bytes(content, recipient.public), plain[:_SIGNATURE]) != preview.author:
        raise Unauthentic("a preview that its author did not sign")
    return preview


def _signed_bytes(content: bytes, recipient: PublicKey) -> bytes:
    return _DOMAIN + secp256k1.compress(recipient) + content


def _key(private: PrivateKey, public: PublicKey, ephemeral: PublicKey, recipient: PublicKey) -> SymmetricKey:
    salt = secp256k1.compress(ephemeral) + secp256k1.compress(recipient)
    shared = secp256k1.ecdh_x(private, public)
    return SymmetricKey(HKDF(algorithm=SHA256(), length=32, salt=salt, info=_INFO).derive(shared))


def _fit_json(preview: Preview) -> bytes:
    """Return the JSON, with as many characters of the text as fit into the largest size."""
    room = SIZES[-1] - _OVERHEAD
    content = _to_json(preview)
    if len(content) <= room:
        return content
    low, high = 0, min(len(preview.text), room)
    while low < high:
        middle = (low + high + 1) // 2
        if len(_to_json(replace(preview, text=preview.text[:middle], cut=True))) <= room:
            low = middle
        else:
            high = middle - 1
    content = _to_json(replace(preview, text=preview.text[:low], cut=True))
    if len(content) > room:
        raise ValueError("a chat id this long cannot be previewed")
    return content


def _to_json(preview: Preview) -> bytes:
    fields: dict[str, Any] = {
        "id": preview.message_id.hex(),
        "chat": preview.chat_id,
        "from": secp256k1.compress(preview.author).hex(),
    }
    if preview.sent_at:
        fields["at"] = preview.sent_at
    if preview.text:
        fields["text"] = preview.text
    if preview.cut:
        fields["cut"] = True
    return orjson.dumps(fields)


def _from_json(content: bytes) -> Preview:
    try:
        fields = orjson.loads(content)
        message_id = bytes.fromhex(fields["id"])
        chat_id, text, at = fields["chat"], fields.get("text", ""), fields.get("at", 0)
        author = bytes.fromhex(fields["from"])
    except (ValueError, TypeError, KeyError, AttributeError):
        raise Undecodable("a preview without its fields") from None
    if not isinstance(chat_id, str) or not isinstance(text, str) or type(at) is not int or len(message_id) != 32:
        raise Undecodable("a preview without its fields")
    return Preview(
        message_id=message_id,
        chat_id=chat_id,
        author=secp256k1.parse_public_key(author),
        text=text,
        cut=fields.get("cut") is True,
        sent_at=Millis(at),
    )


def names_chat(chat_hash: bytes, chat_id: str) -> bool:
    """Say whether a hash in a push is that of this chat."""
    return chat_hash == hashes.hash_chat_id(chat_id)
