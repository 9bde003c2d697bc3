"""Telling others how to ring us: the contact code (spec 16, "Advertising"; reference/status-go.md 5.6)."""

from collections.abc import Sequence

from hushbell import wire
from hushbell.core.client.registration import Last
from hushbell.core.envelope import seal_with_key, sign_application
from hushbell.crypto import grants, hashes, secp256k1, topics
from hushbell.types import AccessToken, InstallationId, KeyPair, Millis, Nanos, PublicKey, Random, SymmetricKey

PERIOD = 21_600_000  # milliseconds, 6 hours


def advert(
    last: Last, servers: Sequence[PublicKey], client: KeyPair, chat_identity: bytes | None = None
) -> bytes | None:
    """
    Return the application message that says how to ring this device through each server; None if it would be empty.

    Nobody is told how to ring after unregistering, or while notifications are switched off.

    Args:
        last: the registration that the servers have.
        servers: those that accepted it.
        client: the key that registered.
        chat_identity: an encoded ChatIdentity that travels along, if one is due.
    """
    told = last.registration
    silent = told.unregister or not told.enabled
    infos = () if silent else tuple(_info(told, server, client) for server in servers)
    payload = wire.encode(wire.ContactCodeAdvertisement(push_notification_info=infos, chat_identity=chat_identity))
    if not payload:
        return None
    return sign_application(payload, wire.ApplicationType.CONTACT_CODE_ADVERTISEMENT, client)


def sealed(
    advert: bytes,
    *,
    installation_id: InstallationId,
    bundles: tuple[wire.Bundle, ...] = (),
    client: KeyPair,
    key: SymmetricKey,
    timestamp: Nanos,
    random: Random,
) -> bytes:
    """
    Return the contact code as a complete WakuMessage for the client's contact code topic.

    Args:
        advert: a serialised application message.
        installation_id: of this device.
        bundles: the ordinary contact code: keys for encrypted chats. May be left out.
        client: the key that registered.
        key: ``topics.topic_key`` of the topic's name.
        timestamp: Unix time in nanoseconds.
        random: draws the padding and the nonce.
    """
    code = wire.ProtocolMessage(installation_id=installation_id, bundles=bundles, public_message=advert)
    return seal_with_key(
        wire.encode(code),
        key=key,
        signer=client,
        content_topic=topics.contact_code_topic(client.public),
        timestamp=timestamp,
        random=random,
    )


def due(advertised: Millis | None, registered: Millis, now: Millis) -> bool:
    """Say whether to advertise: never yet, not since the last accepted registration, or not for six hours."""
    return advertised is None or advertised <= registered or now >= advertised + PERIOD


def _info(told: wire.Registration, server: PublicKey, client: KeyPair) -> wire.QueryInfo:
    token = AccessToken(told.access_token)
    return wire.QueryInfo(
        access_token="" if told.allow_from_contacts_only else token,
        installation_id=told.installation_id,
        public_key=hashes.hash_public_key(client.public),
        allowed_key_list=told.allowed_key_list,
        grant=grants.make_grant(client, server, token),
        version=told.version,
        server_public_key=secp256k1.compress(server),
    )
