"""Waku's message, between protobuf and values. Absent and empty fields differ."""

from hushbell.wire.generic import Codec, unknown_fields
from hushbell.wire.messages import (
    WakuMessage,
)
from hushbell.wire.pb import waku_pb2 as pb


def _read_waku_message(m: pb.WakuMessage) -> WakuMessage:
    return WakuMessage(
        payload=m.payload,
        content_topic=m.content_topic,
        version=m.version if m.HasField("version") else None,
        timestamp=m.timestamp if m.HasField("timestamp") else None,
        meta=m.meta if m.HasField("meta") else None,
        rate_limit_proof=m.rate_limit_proof if m.HasField("rate_limit_proof") else None,
        ephemeral=m.ephemeral if m.HasField("ephemeral") else None,
        unknown=unknown_fields(m),
    )


def _write_waku_message(m: pb.WakuMessage, v: WakuMessage) -> None:
    if v.payload:
        m.payload = v.payload
    if v.content_topic:
        m.content_topic = v.content_topic
    if v.version is not None:
        m.version = v.version
    if v.timestamp is not None:
        m.timestamp = v.timestamp
    if v.meta is not None:
        m.meta = v.meta
    if v.rate_limit_proof is not None:
        m.rate_limit_proof = v.rate_limit_proof
    if v.ephemeral is not None:
        m.ephemeral = v.ephemeral
    if v.unknown:
        m.MergeFromString(v.unknown)


CODECS = (Codec(WakuMessage, pb.WakuMessage, _read_waku_message, _write_waku_message),)
