"""A client's facts as JSON, field by field, so that tomorrow's program reads what today's wrote."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

import orjson

from hushbell import wire
from hushbell.core.client.facts import (
    Contact,
    EphemeralKey,
    Fact,
    PendingQuery,
    Profile,
    Purpose,
    Recipient,
    RecipientDevice,
    SendOptions,
    ServerRegistration,
)
from hushbell.core.client.inbox import Entry, EntryState
from hushbell.core.client.lifecycles import DeviceState, RegistrationState
from hushbell.core.client.query import Info
from hushbell.core.client.registration import Device, LastRegistration, Options
from hushbell.crypto import secp256k1
from hushbell.errors import StoreCorrupt, WireError
from hushbell.types import NotificationType, TokenType


@dataclass(frozen=True, slots=True)
class Field:
    """How a value becomes JSON and comes back."""

    write: Callable[[Any], Any]
    read: Callable[[Any], Any]


def same(value: Any) -> Any:
    """Return text, numbers and truth as they are."""
    return value


def _listed(inner: Field) -> Field:
    return Field(lambda values: [inner.write(one) for one in values], lambda found: tuple(map(inner.read, found)))


def _perhaps(inner: Field) -> Field:
    return Field(
        lambda value: None if value is None else inner.write(value),
        lambda found: None if found is None else inner.read(found),
    )


def _one_of(kind: type[Enum]) -> Field:
    return Field(lambda value: value.value, kind)


def _record(kind: type[Any], fields: Mapping[str, Field], **attributes: str) -> Field:
    """
    A dataclass as a JSON object.

    Args:
        kind: the dataclass.
        fields: by the name in JSON. A name that an object lacks is younger than the object: the default holds.
        attributes: the attribute of each name in JSON that is not called the same.
    """
    named = {name: (attributes.get(name, name), field) for name, field in fields.items()}
    return Field(
        lambda value: {name: field.write(getattr(value, attribute)) for name, (attribute, field) in named.items()},
        lambda found: kind(**{to: field.read(found[name]) for name, (to, field) in named.items() if name in found}),
    )


PLAIN = Field(same, same)
HEX = Field(bytes.hex, bytes.fromhex)
TEXTS = _listed(PLAIN)
TEXT_SET = Field(sorted, frozenset)
KEY_PAIR = Field(lambda pair: pair.private.hex(), lambda found: secp256k1.key_pair_from(bytes.fromhex(found)))
REGISTRATION = Field(
    lambda value: wire.encode(value).hex(), lambda found: wire.decode(wire.Registration, bytes.fromhex(found))
)
ITEM = Field(lambda item: [item[0].hex(), item[1]], lambda found: (bytes.fromhex(found[0]), found[1]))

DEVICE = _record(
    Device, {"installation_id": PLAIN, "device_token": PLAIN, "token_type": _one_of(TokenType), "apn_topic": PLAIN}
)
OPTIONS = _record(
    Options,
    {
        "muted": TEXTS,
        "blocked": TEXTS,
        "mentions_in": TEXTS,
        "contacts": _listed(HEX),
        "contacts_only": PLAIN,
        "block_mentions": PLAIN,
        "enabled": PLAIN,
    },
)
INFO = _record(Info, {"target": HEX, "server": HEX, "installation_id": PLAIN, "access_token": PLAIN, "version": PLAIN})

RECORDS: Mapping[type[Any], Field] = {
    Profile: _record(
        Profile,
        {
            "device": _perhaps(DEVICE),
            "options": OPTIONS,
            "sending": _record(SendOptions, {"off": PLAIN, "silent_chats": TEXT_SET}),
            "last": _perhaps(_record(LastRegistration, {"registration": REGISTRATION, "contacts": _listed(HEX)})),
            "leaps": PLAIN,
            "registered_at": PLAIN,
            "advertised_at": PLAIN,
        },
        leaps="version_raises",
    ),
    ServerRegistration: _record(
        ServerRegistration,
        {
            "server": HEX,
            "stage": _one_of(RegistrationState),
            "leaving": PLAIN,
            "trials": PLAIN,
            "last": PLAIN,
            "requests": _listed(HEX),
        },
        stage="state",
    ),
    Contact: _record(
        Contact,
        {
            "target": HEX,
            "infos": _listed(INFO),
            "heard_at": PLAIN,
            "asking": _perhaps(_record(PendingQuery, {"message_id": HEX, "since": PLAIN, "trials": PLAIN})),
            "asked_in_vain": PLAIN,
            "followed": PLAIN,
        },
        heard_at="updated_at",
        asking="pending_query",
        asked_in_vain="unanswered_at",
    ),
    Recipient: _record(
        Recipient,
        {
            "message_id": HEX,
            "target": HEX,
            "chat_id": PLAIN,
            "type": _one_of(NotificationType),
            "message": HEX,
            "devices": TEXTS,
            "most": PLAIN,
            "since": PLAIN,
            "deadline": PLAIN,
            "ended": PLAIN,
        },
    ),
    RecipientDevice: _record(
        RecipientDevice,
        {
            "message_id": HEX,
            "target": HEX,
            "installation_id": PLAIN,
            "stage": _one_of(DeviceState),
            "tried": _listed(HEX),
            "attempts": PLAIN,
            "resends": PLAIN,
            "since": PLAIN,
            "version": PLAIN,
        },
        stage="state",
    ),
    EphemeralKey: _record(
        EphemeralKey,
        {
            "key": KEY_PAIR,
            "purpose": _one_of(Purpose),
            "until": PLAIN,
            "target": _perhaps(HEX),
            "message_id": _perhaps(HEX),
            "server": _perhaps(HEX),
            "application": HEX,
            "about": HEX,
            "items": _listed(ITEM),
            "sent_at": PLAIN,
            "trials": PLAIN,
            "answered": PLAIN,
        },
        about="chat_message_id",
    ),
    Entry: _record(
        Entry, {"owner": HEX, "message_id": HEX, "chat_hash": HEX, "state": _one_of(EntryState), "at": PLAIN}
    ),
}
# The names on the disk. They are older than the names of some classes and stay as they are.
KIND_NAMES: Mapping[type[Any], str] = {
    Profile: "Profile",
    ServerRegistration: "Enrolment",
    Contact: "Knowledge",
    Recipient: "Ring",
    RecipientDevice: "DeviceRing",
    EphemeralKey: "Ephemeral",
    Entry: "Entry",
}
KINDS = {name: kind for kind, name in KIND_NAMES.items()}


def write(fact: Fact | Entry) -> bytes:
    """Return a fact as JSON."""
    return orjson.dumps(RECORDS[type(fact)].write(fact))


def read(kind: str, data: bytes) -> Any:
    """
    Return the fact.

    Raises:
        StoreCorrupt: it is none of that kind.
    """
    try:
        return RECORDS[KINDS[kind]].read(orjson.loads(data))
    except (KeyError, TypeError, ValueError, WireError) as error:
        raise StoreCorrupt(f"a client's record of kind {kind} cannot be read") from error
