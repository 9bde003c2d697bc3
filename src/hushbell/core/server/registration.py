"""
Registering, re-registering and unregistering a device (spec 16, "Registering with the push notification service").

The rules stand in the order of reference/status-go.md 6.1, one ``if`` each: the order decides which error a client
gets.
"""

import re
from collections.abc import Collection

from hushbell.config.limits import Limits
from hushbell.core.server.events import RegistrationReceived
from hushbell.core.server.facts import (
    NEVER_SEEN,
    Decision,
    Facts,
    FactsNeeded,
    Reply,
    SaveRegistration,
    StoredRegistration,
)
from hushbell.crypto.hashes import hash_public_key
from hushbell.types import DeviceKey, InstallationId, Millis, TokenType
from hushbell.wire.codec import encode
from hushbell.wire.messages import ApplicationType, Registration, RegistrationError, RegistrationResponse

TOKEN_TYPES: frozenset[int] = frozenset({TokenType.APN, TokenType.FIREBASE})
"""The token types of spec 16; an operator without a certificate for one of them leaves it out."""

LARGEST_VERSION = 2**63 - 1  # what deployed servers can store: SQL integers are signed

_DASHED = "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"
# Around the 38-character form deployed servers accept any two bytes; control characters have no place in a key.
_UUID = re.compile(f"(?:[uU][rR][nN]:[uU][uU][iI][dD]:)?{_DASHED}|[!-~]{_DASHED}[!-~]|[0-9a-fA-F]{{32}}")


def is_uuid(text: str) -> bool:
    """
    Say whether deployed servers take ``text`` for a UUID: dashed, ``urn:uuid:``, in braces, or 32 hex digits.

    Any letter case; version and variant bits are not looked at. Source: reference/status-go.md 6.1.
    """
    return _UUID.fullmatch(text) is not None


def facts_needed(event: RegistrationReceived, limits: Limits) -> FactsNeeded:
    """Name the facts of a registration: what is stored for the device, and the owner's other installations."""
    new = event.registration
    if new is None or len(event.plaintext) > limits.registration or not is_uuid(new.installation_id):
        return FactsNeeded()
    device = _device(event, new)
    return FactsNeeded(devices=frozenset({device}), installations=frozenset({device.key_hash}))


def decide(
    event: RegistrationReceived, facts: Facts, now: Millis, limits: Limits, token_types: Collection[int] = TOKEN_TYPES
) -> Decision:
    """Accept or refuse a registration. There is always a response; there is a write only if it is accepted."""
    if len(event.plaintext) > limits.registration:
        return _refuse(event, RegistrationError.MALFORMED_MESSAGE, "registration")
    new = event.registration
    if new is None:
        return _refuse(event, RegistrationError.MALFORMED_MESSAGE)
    if new.version < 1:
        return _refuse(event, RegistrationError.VERSION_MISMATCH)
    if not is_uuid(new.installation_id):
        return _refuse(event, RegistrationError.MALFORMED_MESSAGE)
    device = _device(event, new)
    if device in facts.omitted:  # what is stored is not known, so nothing can be compared with it
        return _refuse(event, RegistrationError.INTERNAL_ERROR, "facts")
    known = facts.devices.get(device, NEVER_SEEN)
    is_damaged = device in facts.damaged  # then a registration of at least its version replaces it
    if not is_damaged and repeats(event, new, known):
        return _accept(event, new, device, known, now)
    if new.version < known.version or (new.version == known.version and not is_damaged):
        return _refuse(event, RegistrationError.VERSION_MISMATCH)
    error, bound = refusal(event, new, token_types), exceeded(device, new, facts, limits)
    if error or bound:
        return _refuse(event, error or RegistrationError.MALFORMED_MESSAGE, "" if error else bound)
    return _accept(event, new, device, known, now)


def repeats(event: RegistrationReceived, new: Registration, known: StoredRegistration) -> bool:
    """
    Say whether this is the stored registration again: its response was lost, or a dead token is registered anew.

    A tombstone keeps the version alone, so any unregistration of that version repeats it.
    """
    if new.version != known.version:
        return False
    if known.plaintext is None:
        return new.unregister
    return event.plaintext == known.plaintext


def refusal(event: RegistrationReceived, new: Registration, token_types: Collection[int]) -> RegistrationError:
    """Return the first rule about tokens and grant that a registration breaks, or NONE."""
    at_last = RegistrationError.INTERNAL_ERROR if new.version > LARGEST_VERSION else RegistrationError.NONE
    if new.unregister:  # nothing is left to notify, so nothing else of it matters
        return at_last
    if not is_uuid(new.access_token):
        return RegistrationError.MALFORMED_MESSAGE
    if not new.grant:
        return RegistrationError.MALFORMED_MESSAGE
    if not event.grant_is_valid:
        return RegistrationError.MALFORMED_MESSAGE
    if not new.device_token:
        return RegistrationError.MALFORMED_MESSAGE
    if new.token_type == TokenType.UNKNOWN:
        return RegistrationError.MALFORMED_MESSAGE
    if new.token_type not in token_types:
        return RegistrationError.UNSUPPORTED_TOKEN_TYPE
    return at_last


def exceeded(device: DeviceKey, new: Registration, facts: Facts, limits: Limits) -> str:
    """Return the name of the bound that storing ``new`` would exceed, or ""."""
    installations = facts.installations.get(device.key_hash, {})
    seen = device.installation_id in installations
    live = sum(is_live for name, is_live in installations.items() if name != device.installation_id)
    # Every unregistered pair stays for ever, so a pair that is new must also fit among those.
    if not seen and len(installations) - live >= limits.tombstones:
        return "tombstones"
    if new.unregister:
        return ""
    if live >= limits.installations:
        return "installations"
    lists = (new.allowed_key_list, new.blocked_chat_list, new.allowed_mentions_chat_list, new.muted_chat_list)
    if any(len(entries) > limits.list_entries for entries in lists):
        return "list_entries"
    return ""


def _device(event: RegistrationReceived, new: Registration) -> DeviceKey:
    return DeviceKey(hash_public_key(event.sender), InstallationId(new.installation_id))


def _accept(
    event: RegistrationReceived, new: Registration, device: DeviceKey, known: StoredRegistration, now: Millis
) -> Decision:
    """
    Store the registration and report success. Unregistering keeps the version alone, so nothing old can be replayed.

    A repeated registration is written too: its time decides whether a dead token was reported before it. A repeated
    unregistration changes nothing.
    """
    reply = _reply(event, RegistrationError.NONE)
    if not new.unregister:
        stored = StoredRegistration(new.version, now, event.plaintext, new)
    elif new.version > known.version:
        stored = StoredRegistration(new.version, now, None, None)
    else:
        return Decision(replies=(reply,))
    return Decision(writes=(SaveRegistration(device, stored, known.version),), replies=(reply,))


def _refuse(event: RegistrationReceived, error: RegistrationError, bound: str = "") -> Decision:
    return Decision(replies=(_reply(event, error),), refused=(bound,) if bound else ())


def _reply(event: RegistrationReceived, error: RegistrationError) -> Reply:
    response = RegistrationResponse(success=not error, error=error, request_id=event.request_id)
    return Reply(event.sender, ApplicationType.PUSH_NOTIFICATION_REGISTRATION_RESPONSE, encode(response))
