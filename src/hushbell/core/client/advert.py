"""The contact code, which says how to notify a device (spec 16, "Advertising"; reference/status-go.md 5.6)."""

from collections.abc import Sequence

from hushbell import wire
from hushbell.core.client.registration import LastRegistration
from hushbell.core.envelope import seal_with_key, sign_application
from hushbell.crypto import grants, hashes, secp256k1, topics
from hushbell.types import AccessToken, InstallationId, KeyPair, Millis, Nanos, PublicKey, Random, SymmetricKey

PERIOD = 21_600_000  # milliseconds, 6 hours


def build_advert(
    last: LastRegistration, servers: Sequence[PublicKey], client: KeyPair, chat_identity: bytes | None = None
) -> bytes | None:
    """
    Return the advert: an application message with an info of each server; None if it would be empty.

    It has no infos after an unregistration, or while notifications are switched off.

    Args:
        last: the registration that the servers confirmed.
        servers: those that confirmed it.
        client: the key that registered.
        chat_identity: an encoded ChatIdentity to send along, if one is due.
    """
    registration = last.registration
    is_silent = registration.unregister or not registration.enabled
    infos = () if is_silent else tuple(_info(registration, server, client) for server in servers)
    payload = wire.encode(wire.ContactCodeAdvertisement(push_notification_info=infos, chat_identity=chat_identity))
    if not payload:
        return None
    return sign_application(payload, wire.ApplicationType.CONTACT_CODE_ADVERTISEMENT, client)


def seal_advert(
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


def is_due(advertised: Millis | None, registered: Millis, now: Millis) -> bool:
    """Say whether to advertise: never done, not since the last confirmed registration, or not for six hours."""
    return advertised is None or advertised <= registered or now >= advertised + PERIOD


def _info(registration: wire.Registration, server: PublicKey, client: KeyPair) -> wire.QueryInfo:
    token = AccessToken(registration.access_token)
    return wire.QueryInfo(
        access_token="" if registration.allow_from_contacts_only else token,
        installation_id=registration.installation_id,
        public_key=hashes.hash_public_key(client.public),
        allowed_key_list=registration.allowed_key_list,
        grant=grants.make_grant(client, server, token),
        version=registration.version,
        server_public_key=secp256k1.compress(server),
    )
