"""Messages of Waku's services, between protobuf and values. Every caller passes the bound of the bytes."""

from collections.abc import Sequence
from typing import TypeVar

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
from hushbell.wire.generic import Codec, bounded, codecs_by_fields
from hushbell.wire.pb import services_pb2 as pb

MAX_ENTRIES = 4096
"""Entries of one list, whatever the message; services have narrower bounds of their own, with an answer."""

M = TypeVar("M")
Item = TypeVar("Item")


def encode(message: object) -> bytes:
    """
    Return the bytes of a value of ``waku.wire.services``.

    Raises:
        ValueError: a number is out of its field's range, or a text is not Unicode. The message names no value.
    """
    return _CODECS[type(message)].encode(message)


def decode(kind: type[M], data: bytes, *, limit: int) -> M:
    """
    Return the value of class ``kind`` that ``data`` holds. Unknown fields are dropped.

    Args:
        kind: a class of ``waku.wire.services``.
        data: any bytes at all.
        limit: bytes; larger input is refused before it is parsed.

    Raises:
        TooLarge: over ``limit``, or a list over :data:`MAX_ENTRIES`.
        Undecodable: truncated, wrong, or text that is not UTF-8.
    """
    codec = _CODECS[kind]
    value: M = codec.read(codec.parse(data, limit=limit))
    return value


def _entries(field: Sequence[Item]) -> tuple[Item, ...]:
    return bounded(field, MAX_ENTRIES)


def _read_push_rpc(m: pb.PushRpc) -> PushRpc:
    request = PushRequest(m.request.pubsub_topic, m.request.waku_message) if m.HasField("request") else None
    response = PushResponse(m.response.is_success, m.response.info) if m.HasField("response") else None
    return PushRpc(m.request_id, request, response)


def _write_push_rpc(m: pb.PushRpc, v: PushRpc) -> None:
    m.request_id = v.request_id
    if v.request is not None:
        m.request.SetInParent()
        m.request.pubsub_topic = v.request.pubsub_topic
        m.request.waku_message = v.request.waku_message
    if v.response is not None:
        m.response.SetInParent()
        m.response.is_success = v.response.is_success
        m.response.info = v.response.info


def _read_metadata(m: pb.Metadata) -> Metadata:
    cluster_id = m.cluster_id if m.HasField("cluster_id") else None
    return Metadata(cluster_id, _entries(m.shards) or _entries(m.shards_unpacked))


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
    return PeersResponse(tuple([info.enr for info in _entries(response.peer_infos)]), response.status_code, desc)


def _write_peers_response(m: pb.PeerExchangeRpc, v: PeersResponse) -> None:
    m.response.SetInParent()
    for record in v.records:
        m.response.peer_infos.add().enr = record
    m.response.status_code = v.status_code
    if v.status_desc is not None:
        m.response.status_desc = v.status_desc


_CODECS = codecs_by_fields(
    [
        (FilterRequest, pb.FilterRequest),
        (FilterResponse, pb.FilterResponse),
        (FilterPush, pb.FilterPush),
        (LightpushRequest, pb.LightpushRequest),
        (LightpushResponse, pb.LightpushResponse),
        (StoreEntry, pb.StoreEntry),
        (StoreRequest, pb.StoreRequest),
        (StoreResponse, pb.StoreResponse),
    ],
    max_messages=MAX_ENTRIES,
    max_scalars=MAX_ENTRIES,
    keeps_unknown=False,
)
# These values are flatter than their messages.
_CODECS[PushRpc] = Codec(PushRpc, pb.PushRpc, _read_push_rpc, _write_push_rpc)
_CODECS[Metadata] = Codec(Metadata, pb.Metadata, _read_metadata, _write_metadata)
_CODECS[PeersRequest] = Codec(PeersRequest, pb.PeerExchangeRpc, _read_peers_request, _write_peers_request)
_CODECS[PeersResponse] = Codec(PeersResponse, pb.PeerExchangeRpc, _read_peers_response, _write_peers_response)

KINDS = tuple(_CODECS)
"""The classes that the table names, on their own or inside others."""
