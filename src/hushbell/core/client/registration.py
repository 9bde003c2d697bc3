"""Registering with a push notification server (reference/status-go.md 7.2 and 7.3)."""

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
    """What the user wishes. Chat ids are text; a blocked person is the text of a contact id in ``blocked``."""

    muted: tuple[str, ...] = field(default=(), repr=False)
    blocked: tuple[str, ...] = field(default=(), repr=False)
    mentions_in: tuple[str, ...] = field(default=(), repr=False)
    contacts: tuple[PublicKey, ...] = field(default=(), repr=False)
    contacts_only: bool = False
    block_mentions: bool = False
    enabled: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """What rings: one installation and the name its provider gave it."""

    installation_id: InstallationId
    device_token: DeviceToken = field(repr=False)
    token_type: TokenType
    apn_topic: str = ""


@dataclass(frozen=True, slots=True)
class Last:
    """The registration made last, the same for every server but for the grant, and the contacts it was made for."""

    registration: wire.Registration
    contacts: tuple[PublicKey, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Sealed:
    """A registration for one server: the application message, and how its answer names it."""

    application: bytes = field(repr=False)
    request_id: RequestId


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said to one of our registrations."""

    server: PublicKey
    request_id: RequestId
    success: bool
    error: int  # RegistrationError


def refresh_token(last: Last | None, options: Options) -> bool:
    """Say whether a new access token is due: there is none, contacts-only was switched on, or a contact was removed."""
    if last is None or not last.registration.access_token:
        return True
    if options.contacts_only and not last.registration.allow_from_contacts_only:
        return True
    return not set(last.contacts) <= set(options.contacts)


def outdated(last: Last, options: Options, device: Device) -> bool:
    """
    Say whether the servers should be told again: the device has another token, or the user other wishes.

    Never after unregistering: whoever left returns on purpose only.
    """
    told = last.registration
    if told.unregister:
        return False
    if options.contacts_only and set(options.contacts) != set(last.contacts):
        return True
    if refresh_token(last, options):
        return True
    return replace(told, access_token="", version=0, allowed_key_list=(), grant=b"") != _said(options, device)


def registered(options: Options, device: Device, last: Last | None, client: KeyPair, random: Random) -> Last:
    """Return the next registration, still without a grant: that is each server's own."""
    if last is None or refresh_token(last, options):
        token = AccessToken(str(UUID(bytes=random(16), version=4)))
    else:
        token = AccessToken(last.registration.access_token)
    allowed: tuple[bytes, ...] = ()
    if options.contacts_only:
        allowed = access_tokens.allowed_key_list(token, client.private, options.contacts, random)
    said = _said(options, device)
    registration = replace(said, access_token=token, version=_next_version(last), allowed_key_list=allowed)
    return Last(registration, options.contacts)


def unregistered(installation_id: InstallationId, last: Last | None) -> Last:
    """Return the registration that ends all earlier ones; the access token is forgotten with them."""
    return Last(wire.Registration(installation_id=installation_id, unregister=True, version=_next_version(last)))


def sealed(registration: wire.Registration, client: KeyPair, server: PublicKey, random: Random) -> Sealed:
    """
    Return the registration with this server's grant, for this server's eyes.

    Each call draws a nonce, so a repeated registration has another request id.
    """
    grant = grants.make_grant(client, server, AccessToken(registration.access_token))
    plaintext = wire.encode(replace(registration, grant=grant))
    ciphertext = ciphers.seal_gcm(registration_key(client.private, server), random(ciphers.NONCE_BYTES), plaintext)
    application = sign_application(ciphertext, wire.ApplicationType.PUSH_NOTIFICATION_REGISTRATION, client)
    return Sealed(application, message_ids.request_id(ciphertext))


def answer(opened: OpenedEnvelope, pending: Mapping[RequestId, PublicKey]) -> Answer:
    """
    Return what a server said, if it is the one we asked.

    Args:
        opened: what came for the registering key.
        pending: the server of each registration that waits for its answer.

    Raises:
        Undecodable: not an answer to a registration.
        Unauthentic: not to one of ours, or not from the server it was for.
    """
    if opened.type != wire.ApplicationType.PUSH_NOTIFICATION_REGISTRATION_RESPONSE:
        raise Undecodable("not an answer to a registration")
    response = wire.decode(wire.RegistrationResponse, opened.payload)
    request = RequestId(response.request_id)
    if pending.get(request) != opened.sender:
        raise Unauthentic("no answer to a registration of ours by the server it was for")
    return Answer(opened.sender, request, response.success, response.error)


def _said(options: Options, device: Device) -> wire.Registration:
    """Return what a registration says of the device and the wishes; token, version and list of keys come on top."""
    return wire.Registration(
        token_type=device.token_type,
        device_token=device.device_token,
        installation_id=device.installation_id,
        enabled=options.enabled,
        blocked_chat_list=_hashed(options.blocked),
        allow_from_contacts_only=options.contacts_only,
        apn_topic=device.apn_topic,
        block_mentions=options.block_mentions,
        allowed_mentions_chat_list=_hashed(options.mentions_in),
        muted_chat_list=_hashed(options.muted),
    )


def _next_version(last: Last | None) -> int:
    return last.registration.version + 1 if last else 1


def _hashed(chat_ids: tuple[str, ...]) -> tuple[bytes, ...]:
    return tuple(hashes.hash_chat_id(chat_id) for chat_id in chat_ids)
