"""Grants: with one, a client authorises one server to notify it (spec 16, "Server grant")."""

import hmac

from hushbell.crypto.hashes import keccak256
from hushbell.crypto.secp256k1 import compress, recover, sign
from hushbell.errors import Unauthentic
from hushbell.types import AccessToken, Grant, KeyPair, PublicKey


def grant_digest(client: PublicKey, server: PublicKey, access_token: AccessToken) -> bytes:
    """
    Return what a client signs, 32 bytes: Keccak-256 of the compressed keys, the client's first, and the token.

    Args:
        client: the registering key.
        server: the key of the server that is authorised.
        access_token: hashed as the text that is sent, so upper case makes another grant.

    Raises:
        ValueError: a key is not in its 65-byte form, or the text is not Unicode.

    Source: reference/status-go.md 2.8, confirmed with the grants of its transcripts.
    """
    return keccak256(compress(client) + compress(server) + access_token.encode())


def make_grant(client: KeyPair, server: PublicKey, access_token: AccessToken) -> Grant:
    """Return the grant of a client for a server and an access token."""
    return Grant(sign(grant_digest(client.public, server, access_token), client.private))


def grant_is_valid(grant: bytes, client: PublicKey, server: PublicKey, access_token: AccessToken) -> bool:
    """Say whether the client gave this server the grant, for exactly this access token. Never raises."""
    try:
        signer = recover(grant_digest(client, server, access_token), grant)
    except (Unauthentic, ValueError):
        return False
    return hmac.compare_digest(signer, client)
