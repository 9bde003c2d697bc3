"""
Access tokens that only contacts can read: the ``allowed_key_list`` (reference/status-go.md 2.7).

Each entry is the access token, encrypted between the registering client's key and one contact's. The length of the
list says how many contacts there are. Its order is the caller's, who may shuffle and pad.
"""

from collections.abc import Iterable, Sequence
from itertools import islice

from hushbell.config.limits import Limits
from hushbell.crypto.ciphers import GCM_OVERHEAD, NONCE_BYTES, openable_gcm, seal_gcm
from hushbell.crypto.secp256k1 import ecdh_x
from hushbell.types import AccessToken, PrivateKey, PublicKey, Random, SymmetricKey

TOKEN_BYTES = 36  # a UUID as text
ENTRY_BYTES = TOKEN_BYTES + GCM_OVERHEAD
LIST_ENTRIES = Limits().list_entries


def seal_access_token(access_token: AccessToken, private: PrivateKey, theirs: PublicKey, nonce: bytes) -> bytes:
    """
    Return one entry, 64 bytes, that the contact can open.

    Args:
        access_token: 36 characters; entries of unequal length would tell tokens apart.
        private: the registering client's key.
        theirs: the contact's key.
        nonce: 12 random bytes.

    Raises:
        Unauthentic: the contact's key is not a point of the curve.
        ValueError: the token is not 36 bytes, or the nonce not 12.
    """
    text = access_token.encode()
    if len(text) != TOKEN_BYTES:
        raise ValueError("an access token is 36 characters")
    return seal_gcm(SymmetricKey(ecdh_x(private, theirs)), nonce, text)


def allowed_key_list(
    access_token: AccessToken, private: PrivateKey, contacts: Sequence[PublicKey], random: Random
) -> tuple[bytes, ...]:
    """
    Return one entry for each contact, in their order.

    Raises:
        Unauthentic: a contact's key is not a point of the curve.
        ValueError: more contacts than a registration may list, or not an access token.
    """
    if len(contacts) > LIST_ENTRIES:
        raise ValueError(f"a registration lists at most {LIST_ENTRIES} contacts")
    return tuple(seal_access_token(access_token, private, theirs, random(NONCE_BYTES)) for theirs in contacts)


def open_access_token(entries: Iterable[bytes], private: PrivateKey, public: PublicKey) -> AccessToken | None:
    """
    Return the access token of the first entry that opens with our key, or None.

    Args:
        entries: as received. Those after the first 4,096 and those of another length are ignored.
        private: the identity key of the sender.
        public: the key that registered.

    Raises:
        Unauthentic: ``public`` is not a point of the curve.
    """
    key = SymmetricKey(ecdh_x(private, public))
    candidates = (entry for entry in islice(entries, LIST_ENTRIES) if len(entry) == ENTRY_BYTES)
    for text in openable_gcm(key, candidates):
        # The author of an entry is authentic, but its content may be anything: it goes into messages and must be text.
        if text.isascii() and (token := text.decode("ascii")).isprintable():
            return AccessToken(token)
    return None
