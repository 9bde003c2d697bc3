"""Our own API: what it accepts, what it tells, and how it names what is wrong."""

import asyncio
import base64
import json
import uuid
from typing import Any

import pytest

from hushbell.core.delivery.outcome import Outcome, Verdict
from hushbell.core.delivery.push_ids import push_id

Gateway = Any  # of conftest.py
DEAD = Outcome(Verdict.DEAD_TOKEN, "Unregistered")
LATER = Outcome(Verdict.RETRY, "TooManyRequests", after=60.0)
NOTE = {"provider": "apns", "tokens": ["aa01"], "payload": {"aps": {"alert": "hello"}}}


async def send(gateway: Gateway, *notes: Any, **options: Any) -> Any:
    return await gateway.send("POST", "/v1/notifications", {"notifications": list(notes)}, **options)


async def test_a_notification_is_accepted_delivered_and_its_end_can_be_asked_for(gateway: Gateway) -> None:
    answer = await send(gateway, NOTE | {"id": "mine", "headers": {"apns-topic": "im.example"}, "ttl": 60})

    assert answer.status == 202
    (told,) = answer.json["notifications"]
    assert (answer.json["app"], told["pushes"], told["name"]) == ("chat", 1, "mine")
    await gateway.idle()
    (attempt,) = gateway.apns.attempts
    assert json.loads(attempt.notification.message.body) == NOTE["payload"]
    assert attempt.notification.message.headers == (("apns-topic", "im.example"),)
    state = (await gateway.send("GET", f"/v1/notifications/{told['id']}")).json
    assert state["state"] == "bridge_transmitted"
    (push,) = state["pushes"]
    assert push["id"] == push_id(bytes.fromhex(told["id"]), 0)
    assert str(uuid.UUID(push["id"])) == push["id"]


async def test_an_open_notification_tells_how_far_each_push_is(gateway: Gateway) -> None:
    gateway.apns.script["bb02"].append(LATER)
    answer = await send(gateway, NOTE, NOTE | {"tokens": ["bb01", "bb02"]})
    while len(gateway.apns.attempts) < 3:  # noqa: ASYNC110
        await asyncio.sleep(0.001)
    await asyncio.sleep(0.01)
    ident = answer.json["notifications"][1]["id"]

    state = (await gateway.send("GET", f"/v1/notifications/{ident}?tokens=true")).json

    assert state["state"] == "int_transmitted"
    assert state["counts"] == {"bridge_transmitted": 1, "int_transmitted": 1}
    assert [push["token"] for push in state["pushes"]] == ["bb01", "bb02"]


async def test_a_message_in_common_words_becomes_each_platforms_payload(gateway: Gateway) -> None:
    said = {"title": "T", "body": "B", "data": {"k": "v"}, "collapse_key": "c", "priority": "high"}

    await send(
        gateway, NOTE | {"payload": None, "message": said}, {"provider": "fcm", "topic": "news", "message": said}
    )
    await gateway.idle()

    apns = gateway.apns.attempts[0].notification
    assert json.loads(apns.message.body) == {"aps": {"alert": {"title": "T", "body": "B"}}, "k": "v"}
    assert ("apns-collapse-id", "c") in apns.message.headers
    fcm = gateway.fcm.attempts[0].notification
    assert (fcm.target_kind, fcm.targets) == ("topic", ("news",))
    assert json.loads(fcm.message.body)["notification"] == {"title": "T", "body": "B"}
    assert json.loads(fcm.message.body)["android"]["collapse_key"] == "c"


async def test_text_and_binary_travel_as_they_are(gateway: Gateway) -> None:
    binary = base64.b64encode(bytes(range(256))).decode()

    await send(gateway, NOTE | {"payload": None, "text": "grüße"}, NOTE | {"payload": None, "binary": binary})
    await gateway.idle()

    bodies = [attempt.notification.message.body for attempt in gateway.apns.attempts]
    assert bodies == ["grüße".encode(), bytes(range(256))]


@pytest.mark.parametrize(
    "note,field",
    [
        ("text", "notifications[0]"),
        ({}, "notifications[0].provider"),
        (NOTE | {"provider": "huawei"}, "notifications[0].provider"),
        (NOTE | {"tokens": "aa01"}, "notifications[0].tokens"),
        (NOTE | {"tokens": []}, "notifications[0].tokens"),
        (NOTE | {"tokens": ["aa01", ""]}, "notifications[0].tokens[1]"),
        (NOTE | {"tokens": ["a" * 4097]}, "notifications[0].tokens[0]"),
        (NOTE | {"tokens": ["a"] * 10_001}, "notifications[0].tokens"),
        (NOTE | {"topic": "news"}, "notifications[0].tokens"),
        (NOTE | {"text": "x"}, "notifications[0].payload"),
        (NOTE | {"payload": None}, "notifications[0].payload"),
        (NOTE | {"payload": "x"}, "notifications[0].payload"),
        (NOTE | {"payload": None, "binary": "*"}, "notifications[0].binary"),
        (NOTE | {"headers": {"a b": "x"}}, "notifications[0].headers.a b"),
        (NOTE | {"headers": {"a": "x\r\nevil: 1"}}, "notifications[0].headers.a"),
        (NOTE | {"ttl": -1}, "notifications[0].ttl"),
        (NOTE | {"ttl": True}, "notifications[0].ttl"),
        (NOTE | {"retries": 1.5}, "notifications[0].retries"),
        (NOTE | {"colour": "red"}, "notifications[0].colour"),
        (NOTE | {"payload": None, "message": {"titel": "x"}}, "notifications[0].message.titel"),
        (NOTE | {"payload": None, "message": {"badge": "1"}}, "notifications[0].message.badge"),
    ],
)
async def test_a_wrong_field_is_named_and_nothing_is_accepted(gateway: Gateway, note: Any, field: str) -> None:
    answer = await send(gateway, note)

    assert answer.status == 422
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json
    assert (problem["field"], problem["status"]) == (field, 422)
    assert not gateway.apns.attempts


async def test_what_the_provider_could_never_deliver_is_named_as_the_request_has_it(gateway: Gateway) -> None:
    answer = await send(gateway, NOTE, NOTE | {"payload": None, "text": ""})

    assert (answer.status, answer.json["field"]) == (422, "notifications[1].message.body")


@pytest.mark.parametrize("body", [b"", b"{", b"[" * 100_000, b'{"notifications": 1e999}', b"\xff"])
async def test_what_is_no_json_is_said_so(gateway: Gateway, body: bytes) -> None:
    assert (await gateway.send("POST", "/v1/notifications", body)).status in (400, 422)


async def test_the_same_key_gets_the_same_answer_and_sends_once(gateway: Gateway) -> None:
    headers = {"Idempotency-Key": "order-17"}

    answers = await asyncio.gather(*(send(gateway, NOTE, headers=headers) for _ in range(5)))
    await gateway.idle()
    again = await send(gateway, NOTE, headers=headers)
    other = await send(gateway, NOTE | {"tokens": ["bb"]}, headers=headers)

    assert {answer.body for answer in answers} == {again.body}
    assert again.headers["idempotency-replayed"] == "true"
    assert other.status == 409
    assert gateway.apns.tokens == ["aa01"]


async def test_states_are_told_to_callers_of_the_app_only(start: Any, key: Any) -> None:
    gateway = await start(keys=(key("a" * 43, apps=("chat",)), key("b" * 43, apps=("other",))))
    ident = (await send(gateway, NOTE, key="a" * 43)).json["notifications"][0]["id"]

    assert (await gateway.send("GET", f"/v1/notifications/{ident}", key="a" * 43)).status == 200
    assert (await gateway.send("GET", f"/v1/notifications/{ident}", key="b" * 43)).status == 404
    for unknown in ("0" * 32, "xyz", "%00"):
        assert (await gateway.send("GET", f"/v1/notifications/{unknown}", key="a" * 43)).status == 404


async def test_dead_tokens_are_listed_from_a_cursor_and_masked_without_the_scope(start: Any, key: Any) -> None:
    gateway = await start(
        keys=(key("a" * 43, scopes=("send", "read")), key("b" * 43, scopes=("read", "tokens"))),
    )
    tokens = [f"dd{number:062x}" for number in range(3)]
    for token in tokens:
        gateway.apns.script[token].append(DEAD)
    await send(gateway, NOTE | {"tokens": tokens}, key="a" * 43)
    await gateway.idle()

    masked = (await gateway.send("GET", "/v1/dead-tokens?limit=2", key="a" * 43)).json
    rest = (await gateway.send("GET", f"/v1/dead-tokens?since={masked['cursor']}", key="b" * 43)).json

    assert [one["reason"] for one in masked["tokens"]] == ["Unregistered"] * 2
    assert not {one["token"] for one in masked["tokens"]} & set(tokens)
    assert masked["more"]
    assert [one["token"] for one in rest["tokens"]] == tokens[2:]
    assert not rest["more"]
    wrong = await gateway.send("GET", "/v1/dead-tokens?since=x", key="a" * 43)
    assert (wrong.status, wrong.json["field"]) == (400, "since")


async def test_webhooks_are_made_listed_and_dropped(gateway: Gateway) -> None:
    made = await gateway.send("POST", "/v1/webhooks", {"url": "https://hook.example/x", "events": ["not_delivered"]})
    assert made.status == 201
    assert len(bytes.fromhex(made.json["secret"])) == 32

    (listed,) = (await gateway.send("GET", "/v1/webhooks")).json["webhooks"]
    assert listed == {key: value for key, value in made.json.items() if key != "secret"}

    assert (await gateway.send("DELETE", f"/v1/webhooks/{listed['name']}")).status == 204
    assert (await gateway.send("DELETE", f"/v1/webhooks/{listed['name']}")).status == 404
    assert (await gateway.send("GET", "/v1/webhooks")).json == {"webhooks": []}


@pytest.mark.parametrize(
    "body,field",
    [
        ({}, "url"),
        ({"url": "ftp://x"}, "url"),
        ({"url": "https://x", "events": ["all"]}, "events[0]"),
        ({"url": "https://x", "shape": "xml"}, "shape"),
        ({"url": "https://x", "secret": "mine"}, "secret"),
    ],
)
async def test_a_wrong_webhook_is_refused_by_field(gateway: Gateway, body: Any, field: str) -> None:
    answer = await gateway.send("POST", "/v1/webhooks", body)

    assert (answer.status, answer.json["field"]) == (422, field)


@pytest.mark.parametrize(
    "method,path,status",
    [
        ("GET", "/v1", 404),
        ("GET", "/v1/nope", 404),
        ("PUT", "/v1/notifications", 405),
        ("GET", "/v1/notifications/", 404),
    ],
)
async def test_unknown_paths_and_methods_are_problems(gateway: Gateway, method: str, path: str, status: int) -> None:
    answer = await gateway.send(method, path)

    assert answer.status == status
    assert answer.json["status"] == status


async def test_keys_and_rates_hold_here_too(start: Any, key: Any) -> None:
    gateway = await start(keys=(key(scopes=("send",), per_minute=60, burst=1),))

    assert (await send(gateway, NOTE)).status == 401
    assert (await send(gateway, NOTE, key="k" * 43)).status == 202
    limited = await send(gateway, NOTE, key="k" * 43)
    assert (limited.status, limited.headers["retry-after"]) == (429, "1")
    assert (await gateway.send("GET", "/v1/dead-tokens", key="k" * 43)).status == 403
    assert (await gateway.send("GET", "/v1/openapi.json")).status == 200


async def test_a_full_queue_is_a_503(gateway: Gateway) -> None:
    body = {"app": "other", "notifications": [NOTE | {"tokens": [str(n) for n in range(11)]}]}

    answer = await gateway.send("POST", "/v1/notifications", body)

    assert (answer.status, answer.headers["retry-after"]) == (503, "5")


async def test_the_document_names_every_route(gateway: Gateway) -> None:
    document = (await gateway.send("GET", "/v1/openapi.json")).json

    served = {
        (route.path, method.lower()) for route in gateway.api._v1.routes for method in route.methods if method != "HEAD"
    }
    assert served == {(path, method) for path, methods in document["paths"].items() for method in methods}
    assert document["openapi"].startswith("3.1")
