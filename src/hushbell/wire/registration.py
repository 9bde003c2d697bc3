# ruff: noqa: C901, PLR0912 - one `if` per field is the whole complexity here
"""Registrations and their responses, between protobuf and values."""

from hushbell.wire.generic import Codec, entries, unknown_fields
from hushbell.wire.messages import (
    Registration,
    RegistrationResponse,
)
from hushbell.wire.pb import push_pb2 as pb


def _read_registration(m: pb.Registration) -> Registration:
    return Registration(
        token_type=m.token_type,
        device_token=m.device_token,
        installation_id=m.installation_id,
        access_token=m.access_token,
        enabled=m.enabled,
        version=m.version,
        allowed_key_list=entries(m.allowed_key_list),
        blocked_chat_list=entries(m.blocked_chat_list),
        unregister=m.unregister,
        grant=m.grant,
        allow_from_contacts_only=m.allow_from_contacts_only,
        apn_topic=m.apn_topic,
        block_mentions=m.block_mentions,
        allowed_mentions_chat_list=entries(m.allowed_mentions_chat_list),
        muted_chat_list=entries(m.muted_chat_list),
        unknown=unknown_fields(m),
    )


def _write_registration(m: pb.Registration, v: Registration) -> None:
    if v.token_type:
        m.token_type = v.token_type
    if v.device_token:
        m.device_token = v.device_token
    if v.installation_id:
        m.installation_id = v.installation_id
    if v.access_token:
        m.access_token = v.access_token
    if v.enabled:
        m.enabled = v.enabled
    if v.version:
        m.version = v.version
    if v.allowed_key_list:
        m.allowed_key_list.extend(v.allowed_key_list)
    if v.blocked_chat_list:
        m.blocked_chat_list.extend(v.blocked_chat_list)
    if v.unregister:
        m.unregister = v.unregister
    if v.grant:
        m.grant = v.grant
    if v.allow_from_contacts_only:
        m.allow_from_contacts_only = v.allow_from_contacts_only
    if v.apn_topic:
        m.apn_topic = v.apn_topic
    if v.block_mentions:
        m.block_mentions = v.block_mentions
    if v.allowed_mentions_chat_list:
        m.allowed_mentions_chat_list.extend(v.allowed_mentions_chat_list)
    if v.muted_chat_list:
        m.muted_chat_list.extend(v.muted_chat_list)
    if v.unknown:
        m.MergeFromString(v.unknown)


def _read_registration_response(m: pb.RegistrationResponse) -> RegistrationResponse:
    return RegistrationResponse(
        success=m.success,
        error=m.error,
        request_id=m.request_id,
        unknown=unknown_fields(m),
    )


def _write_registration_response(m: pb.RegistrationResponse, v: RegistrationResponse) -> None:
    if v.success:
        m.success = v.success
    if v.error:
        m.error = v.error
    if v.request_id:
        m.request_id = v.request_id
    if v.unknown:
        m.MergeFromString(v.unknown)


CODECS = (
    Codec(Registration, pb.Registration, _read_registration, _write_registration),
    Codec(RegistrationResponse, pb.RegistrationResponse, _read_registration_response, _write_registration_response),
)
