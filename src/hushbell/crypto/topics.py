"""
Names of topics, their content topics and their keys (reference/status-go.md 3).

A content topic contains four bytes of the Keccak-256 of its name, so two names may have the same one.
"""

import hashlib
import re

from hushbell.crypto.hashes import contact_id, keccak256
from hushbell.types import ContentTopic, KeyHash, PublicKey, SymmetricKey

PARTITIONS = 5000
TOPIC_KEY_ROUNDS = 65356  # sic: status-go's number, not 65536
_CONTENT_TOPIC = re.compile(r"/waku/1/0x([0-9a-f]{8})/rfc26")


def topic4(name: str) -> bytes:
    """Return the four bytes of a topic's name in its content topic."""
    return keccak256(name.encode())[:4]


def content_topic(topic: bytes) -> ContentTopic:
    """
    Return the content topic of four bytes, such as ``/waku/1/0x69bc8983/rfc26``.

    Raises:
        ValueError: not four bytes.
    """
    if len(topic) != 4:
        raise ValueError("a topic is 4 bytes")
    return ContentTopic(f"/waku/1/0x{topic.hex()}/rfc26")


def parse_content_topic(text: str) -> bytes | None:
    """Return the four bytes of a content topic in exactly the form of :func:`content_topic`, or None for any other."""
    match = _CONTENT_TOPIC.fullmatch(text)
    return None if match is None else bytes.fromhex(match[1])


def partition(public: PublicKey) -> int:
    """Return the number, below 5000, of the partitioned topic of a key."""
    if len(public) != 65:
        raise ValueError("an uncompressed key is 65 bytes")
    return int.from_bytes(public[1:33]) % PARTITIONS


def partitioned_topic_name(public: PublicKey) -> str:
    """Return the name of the topic that a key shares with one in 5000 others."""
    return f"contact-discovery-{partition(public)}"


def personal_topic_name(public: PublicKey) -> str:
    """Return the name of the topic that a key has for itself; registrations go there. No ``0x`` in this one."""
    return "contact-discovery-" + contact_id(public).removeprefix("0x")


def contact_code_topic_name(public: PublicKey) -> str:
    """Return the name of the topic of a key's contact code."""
    return contact_id(public) + "-contact-code"


def query_topic_name(owner: KeyHash) -> str:
    """
    Return the name of the topic of queries for a key hash: 128 hex digits.

    Spec 16 writes ``0x`` before them; status-go writes none on either side, and neither do we.
    """
    if len(owner) != 64:
        raise ValueError("a key hash is 64 bytes")
    return owner.hex()


def partitioned_topic(public: PublicKey) -> ContentTopic:
    """Return the content topic of :func:`partitioned_topic_name`."""
    return content_topic(topic4(partitioned_topic_name(public)))


def personal_topic(public: PublicKey) -> ContentTopic:
    """Return the content topic of :func:`personal_topic_name`."""
    return content_topic(topic4(personal_topic_name(public)))


def contact_code_topic(public: PublicKey) -> ContentTopic:
    """Return the content topic of :func:`contact_code_topic_name`."""
    return content_topic(topic4(contact_code_topic_name(public)))


def query_topic(owner: KeyHash) -> ContentTopic:
    """Return the content topic of :func:`query_topic_name`."""
    return content_topic(topic4(query_topic_name(owner)))


def topic_key(name: str) -> SymmetricKey:
    """
    Return the key that encrypts a topic's messages. It is derived from the name alone, so it is no secret.

    Takes 10 to 20 ms and releases the interpreter's lock: derive it in a thread, and keep it.
    """
    return SymmetricKey(hashlib.pbkdf2_hmac("sha256", name.encode(), b"", TOPIC_KEY_ROUNDS, 32))
