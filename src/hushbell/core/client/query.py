"""Queries for a person's devices, and what their responses and contact codes say (reference/status-go.md 7.5, 5.6)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from hushbell import wire
from hushbell.core.envelope import OpenedEnvelope, sign_application
from hushbell.crypto import access_tokens, grants, hashes, message_ids, secp256k1
from hushbell.errors import Unauthentic, Undecodable
from hushbell.types import AccessToken, InstallationId, KeyPair, MessageId, PrivateKey, PublicKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Info:
    """How to notify one device of a person through one server. Its grant was verified."""

    target: PublicKey
    server: PublicKey
    installation_id: InstallationId
    access_token: AccessToken = field(repr=False)
    version: int


@dataclass(frozen=True, slots=True)
class QueryMessage:
    """A query: the application message and its id, which the response names."""

    application: bytes = field(repr=False)
    message_id: MessageId


def build_query(target: PublicKey, signer: KeyPair) -> QueryMessage:
    """Return the query for one key, signed by an ephemeral key."""
    payload = wire.encode(wire.Query(public_keys=(hashes.hash_public_key(target),)))
    application = sign_application(payload, wire.ApplicationType.PUSH_NOTIFICATION_QUERY, signer)
    return QueryMessage(application, message_ids.message_id(signer.public, application))


def read_response(
    opened: OpenedEnvelope, pending: Mapping[MessageId, PublicKey], identity: PrivateKey
) -> tuple[Info, ...]:
    """
    Return the infos in a response to one of our queries, without those whose grant is not valid.

    Any server may respond; the grant says whether the target authorised it.

    Args:
        opened: an envelope for the key that signed the query.
        pending: the target of each query without a response.
        identity: our identity's private key, which opens entries made for contacts.

    Raises:
        Undecodable: not a response to a query, or an empty one.
        Unauthentic: not to one of ours.
    """
    if opened.type != wire.ApplicationType.PUSH_NOTIFICATION_QUERY_RESPONSE:
        raise Undecodable("not a response to a query")
    response = wire.decode(wire.QueryResponse, opened.payload)
    if not response.info:
        raise Undecodable("an empty response")
    target = pending.get(MessageId(response.message_id))
    if target is None:
        raise Unauthentic("no response to a query of ours")
    return _verified(response.info, target, identity, opened.sender)


def read_contact_code(opened: OpenedEnvelope, target: PublicKey, identity: PrivateKey) -> tuple[Info, ...]:
    """
    Return the infos in the target's contact code. Each names its server, for which its grant must be valid.

    Raises:
        Undecodable: not a contact code.
        Unauthentic: another key's.
    """
    if opened.type != wire.ApplicationType.CONTACT_CODE_ADVERTISEMENT:
        raise Undecodable("not a contact code")
    if opened.sender != target:
        raise Unauthentic("the contact code of another key")
    advert = wire.decode(wire.ContactCodeAdvertisement, opened.payload)
    return _verified(advert.push_notification_info, target, identity, None)


def newest(infos: Iterable[Info]) -> tuple[Info, ...]:
    """Return the infos of the highest version of each device: older ones carry an old access token."""
    known = tuple(infos)
    highest: dict[tuple[PublicKey, InstallationId], int] = {}
    for info in known:
        device = (info.target, info.installation_id)
        highest[device] = max(highest.get(device, 0), info.version)
    return tuple(info for info in known if info.version == highest[info.target, info.installation_id])


def _verified(
    infos: Iterable[wire.QueryInfo], target: PublicKey, identity: PrivateKey, server: PublicKey | None
) -> tuple[Info, ...]:
    owner = hashes.hash_public_key(target)
    found = (_info(info, target, identity, server) for info in infos if info.public_key == owner)
    return tuple(info for info in found if info is not None)


def _info(info: wire.QueryInfo, target: PublicKey, identity: PrivateKey, server: PublicKey | None) -> Info | None:
    if server is None:
        try:
            server = secp256k1.parse_public_key(info.server_public_key)
        except Unauthentic:
            return None
    token: AccessToken | None = AccessToken(info.access_token)
    if not token:
        token = access_tokens.open_access_token(info.allowed_key_list, identity, target)
    if not token or not grants.grant_is_valid(info.grant, target, server, token):
        return None
    return Info(
        target=target,
        server=server,
        installation_id=InstallationId(info.installation_id),
        access_token=token,
        version=info.version,
    )
