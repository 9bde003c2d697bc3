"""``POST /api/push``: what a client of gorush gets, and what it does not have to fear any more."""

import asyncio
from typing import Any

import pytest

from hushbell.core.delivery.outcome import Outcome, Verdict
from hushbell.errors import StoreUnavailable

Gateway = Any  # of conftest.py
IOS = {"platform": 1, "tokens": ["aa01"], "message": "hello"}
DEAD = Outcome(Verdict.DEAD_TOKEN, "Unregistered")


async def test_a_push_is_answered_when_it_is_stored_and_then_delivered(gateway: Gateway) -> None:
    answer = await gateway.push(IOS)

    assert answer.status == 200
    assert answer.body == b'{"counts":1,"logs":[],"success":"ok"}'
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert "1.2.3" in answer.headers["x-gorush-version"]
    await gateway.idle()
    assert gateway.apns.tokens == ["aa01"]
    assert b"hello" in gateway.apns.attempts[0].notification.message.body


@pytest.mark.parametrize(
    "body,message",
    [
        (b"", "Missing notifications field."),
        (b"{", "Missing notifications field."),
        (b'{"notifications":[]}', "Notifications field is empty."),
        (b'{"notifications":[' + b"{}," * 100 + b"{}]}", "Number of notifications(101) over limit(100)"),
        (b"[" * 100_000, "Missing notifications field."),
        (b'{"notifications":' * 5_000, "Missing notifications field."),
        (b'{"notifications":[{"tokens":[1],"platform":1}]}', "Missing notifications field."),
    ],
)
async def test_a_bad_body_gets_gorushs_words(gateway: Gateway, body: bytes, message: str) -> None:
    answer = await gateway.send("POST", "/api/push", body)

    assert (answer.status, answer.json) == (400, {"code": 400, "message": message})


async def test_platforms_go_to_their_providers_and_unknown_ones_are_dropped_without_a_word(gateway: Gateway) -> None:
    android = {"platform": 2, "tokens": ["ff01", "ff02"], "message": "hello"}

    answer = await gateway.push(IOS, android, {"platform": 3, "tokens": ["cc01"]}, {"platform": 9, "tokens": ["x"]})

    assert answer.json["counts"] == 3
    await gateway.idle()
    assert (gateway.apns.tokens, gateway.fcm.tokens) == (["aa01"], ["ff01", "ff02"])


async def test_ten_thousand_tokens_are_one_push_each(gateway: Gateway) -> None:
    answer = await gateway.push(IOS | {"tokens": [f"{number:08x}" for number in range(10_000)]})

    assert answer.json["counts"] == 10_000
    await gateway.idle()
    assert len(set(gateway.apns.tokens)) == 10_000


async def test_data_cannot_overwrite_aps(gateway: Gateway) -> None:
    answer = await gateway.push(IOS | {"data": {"aps": {"alert": "Mallory"}}})

    assert answer.status == 200
    (log,) = answer.json["logs"]
    assert log["type"] == "failed-push"
    await gateway.idle()
    assert not gateway.apns.attempts


async def test_a_synchronous_answer_names_what_failed(start: Any) -> None:
    gateway = await start(sync=True, hide_token=False)
    gateway.apns.script["dd01"].append(DEAD)

    answer = await gateway.push(IOS | {"tokens": ["aa01", "dd01"], "notif_id": "n-1"})

    (log,) = answer.json["logs"]
    assert log["token"] == "dd01"
    assert log | {"notif_id": "n-1", "error": "Unregistered", "platform": "ios", "token_dead": True} == log


async def test_tokens_are_masked_unless_told_otherwise(start: Any) -> None:
    gateway = await start(sync=True)
    token = bytes(range(100, 132)).hex()
    gateway.apns.script[token].append(DEAD)

    answer = await gateway.push(IOS | {"tokens": [token]})

    assert answer.json["logs"][0]["token"] == "*" * 10 + token[10:-10] + "*" * 10


async def test_a_synchronous_answer_does_not_wait_for_ever(start: Any) -> None:
    gateway = await start(sync=True, sync_timeout=0.01)
    gateway.apns.holds = True

    answer = await gateway.push(IOS)

    assert answer.json == {"counts": 1, "logs": [], "success": "ok"}
    gateway.apns.answer_all()
    await gateway.idle()


async def test_a_full_queue_says_when_to_come_back(gateway: Gateway) -> None:
    many = IOS | {"tokens": [f"{number:04x}" for number in range(11)]}

    answer = await gateway.push(many, headers={"X-Hushbell-App": "other"})

    assert (answer.status, answer.headers["retry-after"]) == (503, "5")
    assert not gateway.other.attempts


async def test_a_full_queue_can_be_told_in_gorushs_words(start: Any) -> None:
    gateway = await start(full="gorush")
    many = IOS | {"tokens": [f"{number:04x}" for number in range(11)]}

    answer = await gateway.push(many, headers={"X-Hushbell-App": "other"})

    assert answer.status == 200
    assert len(answer.json["logs"]) == 11
    assert answer.json["logs"][0]["error"] == "max capacity reached"


async def test_a_store_that_fails_is_no_success(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(batch: Any, done: Any) -> None:
        asyncio.get_running_loop().call_soon(done, StoreUnavailable("full"))

    monkeypatch.setattr(gateway.queue, "commit", fail)

    answer = await gateway.push(IOS)

    assert answer.status == 503
    assert not gateway.apns.attempts


async def test_app_id_names_an_app_of_ours_and_otherwise_nothing(gateway: Gateway) -> None:
    await gateway.push(IOS | {"app_id": "other"}, IOS | {"app_id": "100000001", "tokens": ["aa02"]})
    await gateway.idle()

    assert gateway.other.tokens == ["aa01"]
    assert gateway.apns.tokens == ["aa02"]


async def test_without_its_key_nothing_is_taken(start: Any, key: Any) -> None:
    gateway = await start(keys=(key(apps=("other",)),))

    assert (await gateway.push(IOS)).status == 401
    assert (await gateway.push(IOS, key="wrong")).status == 401
    assert (await gateway.push(IOS, headers={"Authorization": "Bearer " + "x" * 10_000})).status == 401
    assert (await gateway.push(IOS, headers={"Authorization": "Basic a2s6"})).status == 401
    allowed = await gateway.push(IOS, key="k" * 43)
    assert allowed.status == 200
    await gateway.idle()
    assert (gateway.apns.tokens, gateway.other.tokens) == ([], ["aa01"])


async def test_a_key_reaches_its_own_apps_only(start: Any, key: Any) -> None:
    gateway = await start(keys=(key(apps=("other",)),))

    by_header = await gateway.push(IOS, key="k" * 43, headers={"X-Hushbell-App": "chat"})
    by_field = await gateway.push(IOS | {"app_id": "chat"}, key="k" * 43)

    assert (by_header.status, by_field.status) == (403, 403)
    assert not gateway.apns.attempts


async def test_a_key_without_the_scope_may_not_send(start: Any, key: Any) -> None:
    gateway = await start(keys=(key(scopes=("read",)),))

    assert (await gateway.push(IOS, key="k" * 43)).status == 403
    assert (await gateway.send("GET", "/api/config", key="k" * 43)).status == 403
    assert (await gateway.send("GET", "/api/stat/app")).status == 401
    assert (await gateway.send("GET", "/healthz")).status == 200


async def test_a_key_has_its_rate(start: Any, key: Any) -> None:
    gateway = await start(keys=(key(per_minute=60, burst=2),))

    answers = [(await gateway.push(IOS, key="k" * 43)).status for _ in range(3)]
    gateway.clock.advance(1.0)
    answers.append((await gateway.push(IOS, key="k" * 43)).status)

    assert answers == [200, 200, 429, 200]
