"""Learning how to ring somebody: by asking, or from a contact code (reference/status-go.md 7.5 and 5.6)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from hushbell import wire
from hushbell.core.envelope import OpenedEnvelope, sign_application
from hushbell.crypto import access_tokens, grants, hashes, message_ids, secp256k1
from hushbell.errors import Unauthentic, Undecodable
from hushbell.types import AccessToken, InstallationId, KeyPair, MessageId, PrivateKey, PublicKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Info:
    """How to ring one device of somebody through one server. Its grant was verified."""

    target: PublicKey
    server: PublicKey
    installation_id: InstallationId
    access_token: AccessToken = field(repr=False)
    version: int


@dataclass(frozen=True, slots=True)
class Asked:
    """A query: the application message and its id, which the answer names."""

    application: bytes = field(repr=False)
    message_id: MessageId


def query(target: PublicKey, signer: KeyPair) -> Asked:
    """Return the query for one key, signed by an ephemeral key."""
    payload = wire.encode(wire.Query(public_keys=(hashes.hash_public_key(target),)))
    application = sign_application(payload, wire.ApplicationType.PUSH_NOTIFICATION_QUERY, signer)
    return Asked(application, message_ids.message_id(signer.public, application))


def answer(opened: OpenedEnvelope, pending: Mapping[MessageId, PublicKey], identity: PrivateKey) -> tuple[Info, ...]:
    """
    Return what a server knows about the target of one of our queries, without what its grants do not cover.

    Any server may answer; the grant says whether the target let it in.

    Args:
        opened: what came for the key that asked.
        pending: the target of each query that waits for an answer.
        identity: our own identity key, which opens entries made for contacts.

    Raises:
        Undecodable: not an answer to a query, or an empty one.
        Unauthentic: not to one of ours.
    """
    if opened.type != wire.ApplicationType.PUSH_NOTIFICATION_QUERY_RESPONSE:
        raise Undecodable("not an answer to a query")
    response = wire.decode(wire.QueryResponse, opened.payload)
    if not response.info:
        raise Undecodable("an empty answer")
    target = pending.get(MessageId(response.message_id))
    if target is None:
        raise Unauthentic("no answer to a query of ours")
    return _believed(response.info, target, identity, opened.sender)


def advertised(opened: OpenedEnvelope, target: PublicKey, identity: PrivateKey) -> tuple[Info, ...]:
    """
    Return what the target's own contact code says. Each entry names its server, for which its grant must hold.

    Raises:
        Undecodable: not a contact code.
        Unauthentic: somebody else's.
    """
    if opened.type != wire.ApplicationType.CONTACT_CODE_ADVERTISEMENT:
        raise Undecodable("not a contact code")
    if opened.sender != target:
        raise Unauthentic("somebody else's contact code")
    advert = wire.decode(wire.ContactCodeAdvertisement, opened.payload)
    return _believed(advert.push_notification_info, target, identity, None)


def newest(infos: Iterable[Info]) -> tuple[Info, ...]:
    """Return the infos of the highest version of each device: older ones carry a token that no longer rings."""
    known = tuple(infos)
    highest: dict[tuple[PublicKey, InstallationId], int] = {}
    for info in known:
        device = (info.target, info.installation_id)
        highest[device] = max(highest.get(device, 0), info.version)
    return tuple(info for info in known if info.version == highest[info.target, info.installation_id])


def _believed(
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
