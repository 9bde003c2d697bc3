"""Registrations with a push notification server, and its responses (reference/status-go.md 7.2 and 7.3)."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from uuid import UUID

from hushbell import wire
from hushbell.core.envelope import OpenedEnvelope, registration_key, sign_application
from hushbell.crypto import access_tokens, ciphers, grants, hashes, message_ids
from hushbell.errors import Unauthentic, Undecodable
from hushbell.types import AccessToken, DeviceToken, InstallationId, KeyPair, PublicKey, Random, RequestId, TokenType


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Who may notify a device, and about what. Chat ids are text; ``blocked`` also takes the text of a contact id."""

    muted: tuple[str, ...] = field(default=(), repr=False)
    blocked: tuple[str, ...] = field(default=(), repr=False)
    mentions_in: tuple[str, ...] = field(default=(), repr=False)
    contacts: tuple[PublicKey, ...] = field(default=(), repr=False)
    contacts_only: bool = False
    block_mentions: bool = False
    enabled: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """One installation, and the token by which its provider knows it."""

    installation_id: InstallationId
    device_token: DeviceToken = field(repr=False)
    token_type: TokenType
    apn_topic: str = ""


@dataclass(frozen=True, slots=True)
class LastRegistration:
    """The latest registration, without a server's grant, and the contacts it was made for."""

    registration: wire.Registration
    contacts: tuple[PublicKey, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class SealedRegistration:
    """A registration for one server: the application message, and the request id that its response names."""

    application: bytes = field(repr=False)
    request_id: RequestId


@dataclass(frozen=True, slots=True)
class RegistrationResult:
    """A server's response to one of our registrations."""

    server: PublicKey
    request_id: RequestId
    success: bool
    error: int  # RegistrationError


def needs_new_token(last: LastRegistration | None, options: Options) -> bool:
    """Say whether a new access token is due: there is none, contacts-only was switched on, or a contact was removed."""
    if last is None or not last.registration.access_token:
        return True
    if options.contacts_only and not last.registration.allow_from_contacts_only:
        return True
    return not set(last.contacts) <= set(options.contacts)


def is_outdated(last: LastRegistration, options: Options, device: Device) -> bool:
    """
    Say whether a new registration is due: the device token or the options have changed.

    Never after an unregistration: only a new device registers again.
    """
    current = last.registration
    if current.unregister:
        return False
    if options.contacts_only and set(options.contacts) != set(last.contacts):
        return True
    if needs_new_token(last, options):
        return True
    return replace(current, access_token="", version=0, allowed_key_list=(), grant=b"") != _registration_content(
        options, device
    )


def next_registration(
    options: Options, device: Device, last: LastRegistration | None, client: KeyPair, random: Random
) -> LastRegistration:
    """Return the next registration, without a grant: each server has its own."""
    if last is None or needs_new_token(last, options):
        token = AccessToken(str(UUID(bytes=random(16), version=4)))
    else:
        token = AccessToken(last.registration.access_token)
    allowed: tuple[bytes, ...] = ()
    if options.contacts_only:
        allowed = access_tokens.allowed_key_list(token, client.private, options.contacts, random)
    content = _registration_content(options, device)
    registration = replace(content, access_token=token, version=_next_version(last), allowed_key_list=allowed)
    return LastRegistration(registration, options.contacts)


def next_unregistration(installation_id: InstallationId, last: LastRegistration | None) -> LastRegistration:
    """Return the registration that ends all earlier ones. It has no access token."""
    return LastRegistration(
        wire.Registration(installation_id=installation_id, unregister=True, version=_next_version(last))
    )


def seal_registration(
    registration: wire.Registration, client: KeyPair, server: PublicKey, random: Random
) -> SealedRegistration:
    """
    Return the registration with this server's grant, encrypted for this server.

    Each call draws a nonce, so a repeated registration has another request id.
    """
    grant = grants.make_grant(client, server, AccessToken(registration.access_token))
    plaintext = wire.encode(replace(registration, grant=grant))
    ciphertext = ciphers.seal_gcm(registration_key(client.private, server), random(ciphers.NONCE_BYTES), plaintext)
    application = sign_application(ciphertext, wire.ApplicationType.PUSH_NOTIFICATION_REGISTRATION, client)
    return SealedRegistration(application, message_ids.request_id(ciphertext))


def read_response(opened: OpenedEnvelope, pending: Mapping[RequestId, PublicKey]) -> RegistrationResult:
    """
    Return the response to one of our registrations.

    Args:
        opened: an envelope for the registering key.
        pending: the server of each registration without a response.

    Raises:
        Undecodable: not a response to a registration.
        Unauthentic: not to one of ours, or not from the server it was for.
    """
    if opened.type != wire.ApplicationType.PUSH_NOTIFICATION_REGISTRATION_RESPONSE:
        raise Undecodable("not a response to a registration")
    response = wire.decode(wire.RegistrationResponse, opened.payload)
    request = RequestId(response.request_id)
    if pending.get(request) != opened.sender:
        raise Unauthentic("no response to a registration of ours by the server it was for")
    return RegistrationResult(opened.sender, request, response.success, response.error)


def _registration_content(options: Options, device: Device) -> wire.Registration:
    """Return a registration of the device and the options, without access token, version and list of keys."""
    return wire.Registration(
        token_type=device.token_type,
        device_token=device.device_token,
        installation_id=device.installation_id,
        enabled=options.enabled,
        blocked_chat_list=_chat_hashes(options.blocked),
        allow_from_contacts_only=options.contacts_only,
        apn_topic=device.apn_topic,
        block_mentions=options.block_mentions,
        allowed_mentions_chat_list=_chat_hashes(options.mentions_in),
        muted_chat_list=_chat_hashes(options.muted),
    )


def _next_version(last: LastRegistration | None) -> int:
    return last.registration.version + 1 if last else 1


def _chat_hashes(chat_ids: tuple[str, ...]) -> tuple[bytes, ...]:
    return tuple(hashes.hash_chat_id(chat_id) for chat_id in chat_ids)
