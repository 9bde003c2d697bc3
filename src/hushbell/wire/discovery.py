# ruff: noqa: C901 - one `if` per field is the whole complexity here
"""Queries, adverts and chat identities, between protobuf and values."""

from hushbell.wire.generic import Codec, entries, nested, unknown_fields
from hushbell.wire.messages import (
    ChatIdentity,
    ContactCodeAdvertisement,
    IdentityImage,
    Query,
    QueryInfo,
    QueryResponse,
)
from hushbell.wire.pb import push_pb2 as pb


def _read_query_info(m: pb.QueryInfo) -> QueryInfo:
    return QueryInfo(
        access_token=m.access_token,
        installation_id=m.installation_id,
        public_key=m.public_key,
        allowed_key_list=entries(m.allowed_key_list),
        grant=m.grant,
        version=m.version,
        server_public_key=m.server_public_key,
        unknown=unknown_fields(m),
    )


def _write_query_info(m: pb.QueryInfo, v: QueryInfo) -> None:
    if v.access_token:
        m.access_token = v.access_token
    if v.installation_id:
        m.installation_id = v.installation_id
    if v.public_key:
        m.public_key = v.public_key
    if v.allowed_key_list:
        m.allowed_key_list.extend(v.allowed_key_list)
    if v.grant:
        m.grant = v.grant
    if v.version:
        m.version = v.version
    if v.server_public_key:
        m.server_public_key = v.server_public_key
    if v.unknown:
        m.MergeFromString(v.unknown)


def _read_query(m: pb.Query) -> Query:
    return Query(
        public_keys=entries(m.public_keys),
        unknown=unknown_fields(m),
    )


def _write_query(m: pb.Query, v: Query) -> None:
    if v.public_keys:
        m.public_keys.extend(v.public_keys)
    if v.unknown:
        m.MergeFromString(v.unknown)


def _read_query_response(m: pb.QueryResponse) -> QueryResponse:
    return QueryResponse(
        info=nested(m.info, _read_query_info),
        message_id=m.message_id,
        success=m.success,
        unknown=unknown_fields(m),
    )


def _write_query_response(m: pb.QueryResponse, v: QueryResponse) -> None:
    for item in v.info:
        _write_query_info(m.info.add(), item)
    if v.message_id:
        m.message_id = v.message_id
    if v.success:
        m.success = v.success
    if v.unknown:
        m.MergeFromString(v.unknown)


def _read_contact_code_advertisement(m: pb.ContactCodeAdvertisement) -> ContactCodeAdvertisement:
    return ContactCodeAdvertisement(
        push_notification_info=nested(m.push_notification_info, _read_query_info),
        chat_identity=m.chat_identity if m.HasField("chat_identity") else None,
        unknown=unknown_fields(m),
    )


def _write_contact_code_advertisement(m: pb.ContactCodeAdvertisement, v: ContactCodeAdvertisement) -> None:
    for item in v.push_notification_info:
        _write_query_info(m.push_notification_info.add(), item)
    if v.chat_identity is not None:
        m.chat_identity = v.chat_identity
    if v.unknown:
        m.MergeFromString(v.unknown)


def _read_identity_image(m: pb.IdentityImage) -> IdentityImage:
    return IdentityImage(
        payload=m.payload,
        source_type=m.source_type,
        image_format=m.image_format,
        encryption_keys=entries(m.encryption_keys),
        encrypted=m.encrypted,
        unknown=unknown_fields(m),
    )


def _write_identity_image(m: pb.IdentityImage, v: IdentityImage) -> None:
    if v.payload:
        m.payload = v.payload
    if v.source_type:
        m.source_type = v.source_type
    if v.image_format:
        m.image_format = v.image_format
    if v.encryption_keys:
        m.encryption_keys.extend(v.encryption_keys)
    if v.encrypted:
        m.encrypted = v.encrypted
    if v.unknown:
        m.MergeFromString(v.unknown)


def _read_chat_identity(m: pb.ChatIdentity) -> ChatIdentity:
    return ChatIdentity(
        clock=m.clock,
        ens_name=m.ens_name,
        images={key: _read_identity_image(value) for key, value in m.images.items()},
        display_name=m.display_name,
        description=m.description,
        color=m.color,
        emoji=m.emoji,
        first_message_timestamp=m.first_message_timestamp,
        customization_color=m.customization_color,
        unknown=unknown_fields(m),
    )


def _write_chat_identity(m: pb.ChatIdentity, v: ChatIdentity) -> None:
    if v.clock:
        m.clock = v.clock
    if v.ens_name:
        m.ens_name = v.ens_name
    for key, value in v.images.items():
        _write_identity_image(m.images[key], value)
    if v.display_name:
        m.display_name = v.display_name
    if v.description:
        m.description = v.description
    if v.color:
        m.color = v.color
    if v.emoji:
        m.emoji = v.emoji
    if v.first_message_timestamp:
        m.first_message_timestamp = v.first_message_timestamp
    if v.customization_color:
        m.customization_color = v.customization_color
    if v.unknown:
        m.MergeFromString(v.unknown)


CODECS = (
    Codec(QueryInfo, pb.QueryInfo, _read_query_info, _write_query_info),
    Codec(Query, pb.Query, _read_query, _write_query),
    Codec(QueryResponse, pb.QueryResponse, _read_query_response, _write_query_response),
    Codec(
        ContactCodeAdvertisement,
        pb.ContactCodeAdvertisement,
        _read_contact_code_advertisement,
        _write_contact_code_advertisement,
    ),
    Codec(IdentityImage, pb.IdentityImage, _read_identity_image, _write_identity_image),
    Codec(ChatIdentity, pb.ChatIdentity, _read_chat_identity, _write_chat_identity),
)
