"""The encryption layer and segments, between protobuf and values."""

from hushbell.wire.generic import Codec, nested, unknown_fields
from hushbell.wire.messages import (
    Bundle,
    ProtocolMessage,
    Segment,
    SignedPreKey,
)
from hushbell.wire.pb import layers_pb2 as pb


def _read_signed_pre_key(m: pb.SignedPreKey) -> SignedPreKey:
    return SignedPreKey(
        signed_pre_key=m.signed_pre_key,
        version=m.version,
        protocol_version=m.protocol_version,
        unknown=unknown_fields(m),
    )


def _write_signed_pre_key(m: pb.SignedPreKey, v: SignedPreKey) -> None:
    if v.signed_pre_key:
        m.signed_pre_key = v.signed_pre_key
    if v.version:
        m.version = v.version
    if v.protocol_version:
        m.protocol_version = v.protocol_version
    if v.unknown:
        m.MergeFromString(v.unknown)


def _read_bundle(m: pb.Bundle) -> Bundle:
    return Bundle(
        identity=m.identity,
        signed_pre_keys={key: _read_signed_pre_key(value) for key, value in m.signed_pre_keys.items()},
        signature=m.signature,
        timestamp=m.timestamp,
        unknown=unknown_fields(m),
    )


def _write_bundle(m: pb.Bundle, v: Bundle) -> None:
    if v.identity:
        m.identity = v.identity
    for key, value in v.signed_pre_keys.items():
        _write_signed_pre_key(m.signed_pre_keys[key], value)
    if v.signature:
        m.signature = v.signature
    if v.timestamp:
        m.timestamp = v.timestamp
    if v.unknown:
        m.MergeFromString(v.unknown)


def _read_protocol_message(m: pb.ProtocolMessage) -> ProtocolMessage:
    return ProtocolMessage(
        installation_id=m.installation_id,
        bundles=nested(m.bundles, _read_bundle),
        encrypted_message=dict(m.encrypted_message),
        public_message=m.public_message,
        unknown=unknown_fields(m),
    )


def _write_protocol_message(m: pb.ProtocolMessage, v: ProtocolMessage) -> None:
    if v.installation_id:
        m.installation_id = v.installation_id
    for item in v.bundles:
        _write_bundle(m.bundles.add(), item)
    for key, value in v.encrypted_message.items():
        m.encrypted_message[key] = value
    if v.public_message:
        m.public_message = v.public_message
    if v.unknown:
        m.MergeFromString(v.unknown)


def _read_segment(m: pb.Segment) -> Segment:
    return Segment(
        entire_message_hash=m.entire_message_hash,
        index=m.index,
        segments_count=m.segments_count,
        payload=m.payload,
        parity_segment_index=m.parity_segment_index,
        parity_segments_count=m.parity_segments_count,
        original_payload_length=m.original_payload_length,
        unknown=unknown_fields(m),
    )


def _write_segment(m: pb.Segment, v: Segment) -> None:
    if v.entire_message_hash:
        m.entire_message_hash = v.entire_message_hash
    if v.index:
        m.index = v.index
    if v.segments_count:
        m.segments_count = v.segments_count
    if v.payload:
        m.payload = v.payload
    if v.parity_segment_index:
        m.parity_segment_index = v.parity_segment_index
    if v.parity_segments_count:
        m.parity_segments_count = v.parity_segments_count
    if v.original_payload_length:
        m.original_payload_length = v.original_payload_length
    if v.unknown:
        m.MergeFromString(v.unknown)


CODECS = (
    Codec(SignedPreKey, pb.SignedPreKey, _read_signed_pre_key, _write_signed_pre_key),
    Codec(Bundle, pb.Bundle, _read_bundle, _write_bundle),
    Codec(ProtocolMessage, pb.ProtocolMessage, _read_protocol_message, _write_protocol_message),
    Codec(Segment, pb.Segment, _read_segment, _write_segment),
)
