"""gorush's gRPC service: the same queue, the same keys."""

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from grpc import aio

from hushbell.api.gorush.grpc import GrpcServer
from hushbell.errors import Undecodable
from hushbell.wire import gorush_rpc
from hushbell.wire.pb import gorush_pb2

Start = Any  # of conftest.py


@pytest.fixture
async def called(start: Start) -> AsyncIterator[Any]:
    """Starts a gateway and returns it with a function that calls it."""
    opened: list[Any] = []

    async def starting(**options: Any) -> tuple[Any, Any]:
        gateway = await start(**options)
        server = GrpcServer(gateway.api.push, gateway.api.keys, max_message=1_000_000)
        port = await server.listen("127.0.0.1", 0)
        channel = aio.insecure_channel(f"127.0.0.1:{port}")
        opened.append((server, channel))

        async def call(path: str, data: bytes, key: str = "") -> bytes:
            metadata = (("authorization", f"Bearer {key}"),) if key else ()
            answer: bytes = await channel.unary_unary(path)(data, metadata=metadata)
            return answer

        return gateway, call

    yield starting
    for server, channel in opened:
        await channel.close()
        await server.close(0.0)


def request(**fields: Any) -> bytes:
    made: dict[str, Any] = {"platform": 1, "tokens": ["aa01"], "message": "hello"} | fields
    return gorush_pb2.NotificationRequest(**made).SerializeToString()


async def test_a_call_is_answered_when_the_push_is_stored_and_it_is_delivered(called: Any) -> None:
    gateway, call = await called()

    reply = await call("/proto.Gorush/Send", request(tokens=["aa01", "aa02"], badge=3, pushType="alert"))

    assert gorush_pb2.NotificationReply.FromString(reply) == gorush_pb2.NotificationReply(success=True, counts=2)
    await gateway.idle()
    assert gateway.apns.tokens == ["aa01", "aa02"]
    message = gateway.apns.attempts[0].notification.message
    assert message.body == b'{"aps":{"alert":"hello","badge":3}}'
    assert ("apns-priority", "5") in message.headers


async def test_every_field_reaches_the_same_place_as_over_http(called: Any) -> None:
    gateway, call = await called()
    made = gorush_pb2.NotificationRequest(
        platform=1, tokens=["aa01"], topic="im.example", title="T", priority=gorush_pb2.NotificationRequest.HIGH
    )
    made.alert.subtitle, made.alert.locKey = "S", "K"
    made.alert.locArgs.extend(["a", "b"])
    made.data.update({"n": 1, "f": 1.5, "deep": {"list": [True, None, "x"]}})

    await call("/proto.Gorush/Send", made.SerializeToString())

    assert gorush_rpc.decode_request(made.SerializeToString()) == {
        "platform": 1,
        "tokens": ["aa01"],
        "topic": "im.example",
        "title": "T",
        "priority": "high",
        "alert": {"subtitle": "S", "loc-key": "K", "loc-args": ["a", "b"]},
        "data": {"n": 1, "f": 1.5, "deep": {"list": [True, None, "x"]}},
    }
    await gateway.idle()
    assert gateway.apns.tokens == ["aa01"]


async def test_keys_are_asked_for_here_too(called: Any, key: Any) -> None:
    gateway, call = await called(keys=(key(apps=("other",), per_minute=60, burst=1),))

    with pytest.raises(aio.AioRpcError) as refused:
        await call("/proto.Gorush/Send", request())
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
    await call("/proto.Gorush/Send", request(), key="k" * 43)
    with pytest.raises(aio.AioRpcError) as limited:
        await call("/proto.Gorush/Send", request(), key="k" * 43)
    assert limited.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    await gateway.idle()
    assert gateway.other.tokens == ["aa01"]


@pytest.mark.parametrize(
    "path,data,code,words",
    [
        ("/proto.Gorush/Send", b"\xff\xff\xff", grpc.StatusCode.INTERNAL, "cannot parse invalid wire-format data"),
        ("/proto.Gorush/Nope", b"", grpc.StatusCode.UNIMPLEMENTED, "unknown method Nope for service proto.Gorush"),
        ("/other.Service/Nope", b"", grpc.StatusCode.UNIMPLEMENTED, "unknown service other.Service"),
    ],
)
async def test_what_cannot_be_called_is_refused_in_gorushs_words(
    called: Any, path: str, data: bytes, code: grpc.StatusCode, words: str
) -> None:
    _, call = await called()

    with pytest.raises(aio.AioRpcError) as refused:
        await call(path, data)

    assert refused.value.code() is code
    assert words in (refused.value.details() or "")


async def test_health_and_reflection(called: Any) -> None:
    _, call = await called()

    serving = await call("/proto.Health/Check", b"")
    reply = gorush_pb2.ReflectionReply.FromString(gorush_rpc.reflect(b"\x22\x0cproto.Gorush"))

    assert gorush_pb2.HealthCheckResponse.FromString(serving).status == gorush_pb2.HealthCheckResponse.SERVING
    assert gorush_pb2.DESCRIPTOR.serialized_pb in reply.files.file
    unknown = gorush_pb2.ReflectionReply.FromString(gorush_rpc.reflect(b"\x22\x05other"))
    assert unknown.error.code == 5


def test_data_nested_too_deeply_is_refused() -> None:
    made = gorush_pb2.NotificationRequest()
    inner = made.data
    for _ in range(80):
        inner = inner.fields["x"].struct_value
    inner.fields["x"].string_value = "y"

    with pytest.raises(Undecodable):
        gorush_rpc.decode_request(made.SerializeToString())
