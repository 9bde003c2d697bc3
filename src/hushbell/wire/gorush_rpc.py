"""Requests and replies of gorush's gRPC service, as bytes (reference/gateway.md 1.4). Pure functions."""

from collections.abc import Sequence
from typing import Any

from google.protobuf import struct_pb2
from google.protobuf.message import DecodeError

from hushbell.errors import Undecodable
from hushbell.wire.pb import gorush_pb2

GORUSH = "proto.Gorush"
HEALTH = "proto.Health"
REFLECTIONS = ("grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection")
SERVICES = (*REFLECTIONS, GORUSH, HEALTH)

_NOT_FOUND = 5  # gRPC's code
_NEST = 64  # levels of ``data``
_ALERT = {
    "title": "title",
    "body": "body",
    "subtitle": "subtitle",
    "action": "action",
    "actionLocKey": "action-loc-key",
    "launchImage": "launch-image",
    "locKey": "loc-key",
    "titleLocKey": "title-loc-key",
    "locArgs": "loc-args",
    "titleLocArgs": "title-loc-args",
}
_FIELDS = {
    "platform": "platform",
    "message": "message",
    "title": "title",
    "topic": "topic",
    "badge": "badge",
    "category": "category",
    "sound": "sound",
    "contentAvailable": "content_available",
    "threadID": "thread-id",
    "mutableContent": "mutable_content",
    "image": "image",
    "ID": "notif_id",
    "pushType": "push_type",
    "development": "development",
}


def decode_request(data: bytes) -> dict[str, Any]:
    """
    Return a request's fields under the names that they have in gorush's JSON; what is not given is left out.

    Raises:
        Undecodable: no such message.
    """
    request = _parsed(gorush_pb2.NotificationRequest(), data)
    fields = {name: value for ours, name in _FIELDS.items() if (value := getattr(request, ours))}
    fields["tokens"] = list(request.tokens)
    # Unset is NORMAL on the wire, and gorush passes that on to Apple and Google.
    fields["priority"] = "high" if request.priority == gorush_pb2.NotificationRequest.HIGH else "normal"
    if request.HasField("alert"):
        alert = {name: value for ours, name in _ALERT.items() if (value := getattr(request.alert, ours))}
        fields["alert"] = {name: value if isinstance(value, str) else list(value) for name, value in alert.items()}
    if request.HasField("data"):
        fields["data"] = _plain(request.data, _NEST)
    if request.fcmOptions.analyticsLabel:
        fields["fcm_options"] = {"analytics_label": request.fcmOptions.analyticsLabel}
    return fields


def encode_reply(counts: int) -> bytes:
    """Return the reply to an accepted request."""
    return gorush_pb2.NotificationReply(success=True, counts=counts).SerializeToString()


def encode_serving() -> bytes:
    """Return the reply to a health check."""
    return gorush_pb2.HealthCheckResponse(status=gorush_pb2.HealthCheckResponse.SERVING).SerializeToString()


def reflect(data: bytes) -> bytes:
    """
    Return the reply to one request for reflection.

    Raises:
        Undecodable: no such message.
    """
    request = _parsed(gorush_pb2.ReflectionRequest(), data)
    reply = gorush_pb2.ReflectionReply(host=request.host, original=request)
    asked = request.WhichOneof("asked")
    if asked == "list_services":
        for name in SERVICES:
            reply.services.service.add(name=name)
    elif asked in ("file_by_filename", "file_containing_symbol"):
        files = _files(getattr(request, asked), by_name=asked == "file_by_filename")
        if files:
            reply.files.file.extend(files)
        else:
            reply.error.code, reply.error.message = _NOT_FOUND, "there is no such file or symbol"
    else:
        reply.error.code, reply.error.message = _NOT_FOUND, "there are no extensions"
    return reply.SerializeToString()


def _files(name: str, *, by_name: bool) -> Sequence[bytes]:
    known = (gorush_pb2.DESCRIPTOR, struct_pb2.DESCRIPTOR)
    if by_name:
        return [file.serialized_pb for file in known if file.name == name]
    symbols = (*gorush_pb2.DESCRIPTOR.message_types_by_name, *gorush_pb2.DESCRIPTOR.services_by_name)
    package, _, rest = name.partition(".")
    if package == gorush_pb2.DESCRIPTOR.package and rest.split(".")[0] in symbols:
        return [file.serialized_pb for file in known]
    return []


def _parsed(message: Any, data: bytes) -> Any:
    try:
        message.ParseFromString(data)
    except DecodeError:
        raise Undecodable("not the message of gorush's service that it claims to be") from None
    return message


def _plain(struct: struct_pb2.Struct, depth: int) -> dict[str, Any]:
    if not depth:
        raise Undecodable("data is nested too deeply")
    return {name: _value(value, depth - 1) for name, value in struct.fields.items()}


def _value(value: struct_pb2.Value, depth: int) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        return _plain(value.struct_value, depth)
    if kind == "list_value":
        if not depth:
            raise Undecodable("data is nested too deeply")
        return [_value(one, depth - 1) for one in value.list_value.values]
    if kind == "number_value":
        number = value.number_value
        return int(number) if number.is_integer() else number
    return None if kind in (None, "null_value") else getattr(value, kind)
