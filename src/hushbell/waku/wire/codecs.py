"""Messages of Waku's services, between protobuf and values. Every caller passes the bound of the bytes."""

from collections.abc import Sequence
from typing import Any, TypeVar

from google.protobuf.message import DecodeError
from google.protobuf.message import Error as ProtobufError

from hushbell.errors import TooLarge, Undecodable
from hushbell.waku.wire.services import (
    FilterPush,
    FilterRequest,
    FilterResponse,
    LightpushRequest,
    LightpushResponse,
    Metadata,
    PeersRequest,
    PeersResponse,
    PushRequest,
    PushResponse,
    PushRpc,
    StoreEntry,
    StoreRequest,
    StoreResponse,
)
from hushbell.wire.generic import Codec
from hushbell.wire.pb import services_pb2 as pb

LIST_LIMIT = 4096
"""Entries of one list, whatever the message; services have narrower bounds of their own, with an answer."""

M = TypeVar("M")
Item = TypeVar("Item")


def encode(message: object) -> bytes:
    """
    Return the bytes of a value of ``wire.services``.

    Raises:
        ValueError: a number is out of its field's range, or a text is not Unicode. The message names no value.
    """
    codec = _CODECS[type(message)]
    written = codec.schema()
    try:
        codec.write(written, message)
        encoded: bytes = written.SerializeToString(deterministic=True)
    except (ValueError, ProtobufError):
        pass
    else:
        return encoded
    raise ValueError(f"{type(message).__name__}: a number out of range or a text that is not Unicode")


def decode(kind: type[M], data: bytes, *, limit: int) -> M:
    """
    Return the value of class ``kind`` that ``data`` holds. Unknown fields are dropped.

    Args:
        kind: a class of ``wire.services``.
        data: any bytes at all.
        limit: bytes; larger input is refused before it is parsed.

    Raises:
        TooLarge: over ``limit``, or a list over :data:`LIST_LIMIT`.
        Undecodable: truncated, wrong, or text that is not UTF-8.
    """
    if len(data) > limit:
        raise TooLarge(f"{kind.__name__} of {len(data)} bytes, at most {limit}")
    codec = _CODECS[kind]
    parsed = codec.schema()
    try:
        parsed.ParseFromString(data)
    except DecodeError:
        raise Undecodable(f"not a {kind.__name__}") from None
    value: M = codec.read(parsed)
    return value


def _several(field: Sequence[Item]) -> tuple[Item, ...]:
    if len(field) > LIST_LIMIT:
        raise TooLarge(f"{len(field)} entries in a list, at most {LIST_LIMIT}")
    return tuple(field)


def _read_filter_request(m: pb.FilterRequest) -> FilterRequest:
    topic = m.pubsub_topic if m.HasField("pubsub_topic") else None
    return FilterRequest(m.request_id, m.kind, topic, _several(m.content_topics))


def _write_filter_request(m: pb.FilterRequest, v: FilterRequest) -> None:
    m.request_id = v.request_id
    m.kind = v.kind
    if v.pubsub_topic is not None:
        m.pubsub_topic = v.pubsub_topic
    m.content_topics.extend(v.content_topics)


def _read_filter_response(m: pb.FilterResponse) -> FilterResponse:
    return FilterResponse(m.request_id, m.status_code, m.status_desc if m.HasField("status_desc") else None)


def _write_filter_response(m: pb.FilterResponse, v: FilterResponse) -> None:
    m.request_id = v.request_id
    m.status_code = v.status_code
    if v.status_desc is not None:
        m.status_desc = v.status_desc


def _read_filter_push(m: pb.FilterPush) -> FilterPush:
    return FilterPush(m.waku_message, m.pubsub_topic if m.HasField("pubsub_topic") else None)


def _write_filter_push(m: pb.FilterPush, v: FilterPush) -> None:
    m.waku_message = v.waku_message
    if v.pubsub_topic is not None:
        m.pubsub_topic = v.pubsub_topic


def _read_push_rpc(m: pb.PushRpc) -> PushRpc:
    request = PushRequest(m.request.pubsub_topic, m.request.message) if m.HasField("request") else None
    response = PushResponse(m.response.is_success, m.response.info) if m.HasField("response") else None
    return PushRpc(m.request_id, request, response)


def _write_push_rpc(m: pb.PushRpc, v: PushRpc) -> None:
    m.request_id = v.request_id
    if v.request is not None:
        m.request.SetInParent()
        m.request.pubsub_topic = v.request.pubsub_topic
        m.request.message = v.request.waku_message
    if v.response is not None:
        m.response.SetInParent()
        m.response.is_success = v.response.is_success
        m.response.info = v.response.info


def _read_lightpush_request(m: pb.LightpushRequest) -> LightpushRequest:
    return LightpushRequest(m.request_id, m.pubsub_topic if m.HasField("pubsub_topic") else None, m.message)


def _write_lightpush_request(m: pb.LightpushRequest, v: LightpushRequest) -> None:
    m.request_id = v.request_id
    if v.pubsub_topic is not None:
        m.pubsub_topic = v.pubsub_topic
    m.message = v.waku_message


def _read_lightpush_response(m: pb.LightpushResponse) -> LightpushResponse:
    desc = m.status_desc if m.HasField("status_desc") else None
    count = m.relay_peer_count if m.HasField("relay_peer_count") else None
    return LightpushResponse(m.request_id, m.status_code, desc, count)


def _write_lightpush_response(m: pb.LightpushResponse, v: LightpushResponse) -> None:
    m.request_id = v.request_id
    m.status_code = v.status_code
    if v.status_desc is not None:
        m.status_desc = v.status_desc
    if v.relay_peer_count is not None:
        m.relay_peer_count = v.relay_peer_count


def _read_store_request(m: pb.StoreRequest) -> StoreRequest:
    return StoreRequest(
        request_id=m.request_id,
        include_data=m.include_data,
        pubsub_topic=m.pubsub_topic if m.HasField("pubsub_topic") else None,
        content_topics=_several(m.content_topics),
        time_start=m.time_start if m.HasField("time_start") else None,
        time_end=m.time_end if m.HasField("time_end") else None,
        message_hashes=_several(m.message_hashes),
        cursor=m.cursor if m.HasField("cursor") else None,
        forward=m.forward,
        limit=m.limit if m.HasField("limit") else None,
    )


def _write_store_request(m: pb.StoreRequest, v: StoreRequest) -> None:
    m.request_id = v.request_id
    m.include_data = v.include_data
    if v.pubsub_topic is not None:
        m.pubsub_topic = v.pubsub_topic
    m.content_topics.extend(v.content_topics)
    if v.time_start is not None:
        m.time_start = v.time_start
    if v.time_end is not None:
        m.time_end = v.time_end
    m.message_hashes.extend(v.message_hashes)
    if v.cursor is not None:
        m.cursor = v.cursor
    m.forward = v.forward
    if v.limit is not None:
        m.limit = v.limit


def _read_store_entry(m: pb.StoreEntry) -> StoreEntry:
    return StoreEntry(
        m.message_hash if m.HasField("message_hash") else None,
        m.message if m.HasField("message") else None,
        m.pubsub_topic if m.HasField("pubsub_topic") else None,
    )


def _write_store_entry(m: pb.StoreEntry, v: StoreEntry) -> None:
    if v.message_hash is not None:
        m.message_hash = v.message_hash
    if v.waku_message is not None:
        m.message = v.waku_message
    if v.pubsub_topic is not None:
        m.pubsub_topic = v.pubsub_topic


def _read_store_response(m: pb.StoreResponse) -> StoreResponse:
    return StoreResponse(
        request_id=m.request_id,
        status_code=m.status_code if m.HasField("status_code") else None,
        status_desc=m.status_desc if m.HasField("status_desc") else None,
        entries=tuple([_read_store_entry(entry) for entry in _several(m.messages)]),
        cursor=m.cursor if m.HasField("cursor") else None,
    )


def _write_store_response(m: pb.StoreResponse, v: StoreResponse) -> None:
    m.request_id = v.request_id
    if v.status_code is not None:
        m.status_code = v.status_code
    if v.status_desc is not None:
        m.status_desc = v.status_desc
    for entry in v.entries:
        _write_store_entry(m.messages.add(), entry)
    if v.cursor is not None:
        m.cursor = v.cursor


def _read_metadata(m: pb.Metadata) -> Metadata:
    cluster_id = m.cluster_id if m.HasField("cluster_id") else None
    return Metadata(cluster_id, _several(m.shards) or _several(m.shards_unpacked))


def _write_metadata(m: pb.Metadata, v: Metadata) -> None:
    if v.cluster_id is not None:
        m.cluster_id = v.cluster_id
    m.shards_unpacked.extend(v.shards)
    m.shards.extend(v.shards)


def _read_peers_request(m: pb.PeerExchangeRpc) -> PeersRequest:
    return PeersRequest(m.query.num_peers)


def _write_peers_request(m: pb.PeerExchangeRpc, v: PeersRequest) -> None:
    m.query.SetInParent()
    m.query.num_peers = v.num_peers


def _read_peers_response(m: pb.PeerExchangeRpc) -> PeersResponse:
    response = m.response
    desc = response.status_desc if response.HasField("status_desc") else None
    return PeersResponse(tuple([info.enr for info in _several(response.peer_infos)]), response.status_code, desc)


def _write_peers_response(m: pb.PeerExchangeRpc, v: PeersResponse) -> None:
    m.response.SetInParent()
    for record in v.records:
        m.response.peer_infos.add().enr = record
    m.response.status_code = v.status_code
    if v.status_desc is not None:
        m.response.status_desc = v.status_desc


_CODECS: dict[type, Codec[Any, Any]] = {
    codec.kind: codec
    for codec in (
        Codec(FilterRequest, pb.FilterRequest, _read_filter_request, _write_filter_request),
        Codec(FilterResponse, pb.FilterResponse, _read_filter_response, _write_filter_response),
        Codec(FilterPush, pb.FilterPush, _read_filter_push, _write_filter_push),
        Codec(PushRpc, pb.PushRpc, _read_push_rpc, _write_push_rpc),
        Codec(LightpushRequest, pb.LightpushRequest, _read_lightpush_request, _write_lightpush_request),
        Codec(LightpushResponse, pb.LightpushResponse, _read_lightpush_response, _write_lightpush_response),
        Codec(StoreRequest, pb.StoreRequest, _read_store_request, _write_store_request),
        Codec(StoreResponse, pb.StoreResponse, _read_store_response, _write_store_response),
        Codec(Metadata, pb.Metadata, _read_metadata, _write_metadata),
        Codec(PeersRequest, pb.PeerExchangeRpc, _read_peers_request, _write_peers_request),
        Codec(PeersResponse, pb.PeerExchangeRpc, _read_peers_response, _write_peers_response),
    )
}
KINDS = tuple(_CODECS)
"""The classes that go over the wire on their own."""
