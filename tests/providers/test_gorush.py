"""The client of gorush's HTTP API."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hushbell.config.gateway import ServerGorushSettings, Shape, Texts
from hushbell.core.delivery.outcome import Outcome, Scope, Verdict
from hushbell.core.push import Push
from hushbell.http.curl import CurlHttp
from hushbell.providers.gorush.adapter import GorushGateway
from hushbell.providers.gorush.outcome import logged_outcomes
from hushbell.providers.gorush.payload import body, own_item, quote, spec_items, status_item
from hushbell.testing.mock.server import MockProviders
from hushbell.types import (
    DeviceKey,
    DeviceToken,
    InstallationId,
    KeyHash,
    MessageId,
    Millis,
    NotificationId,
    NotificationType,
    TokenType,
)

MakePush = Callable[..., Push]
FCM = int(TokenType.FIREBASE)
TYPES = {
    "You have a new message": NotificationType.MESSAGE,
    "Someone mentioned you": NotificationType.MENTION,
    "Someone requested to join a community you are an admin of": NotificationType.REQUEST_TO_JOIN_COMMUNITY,
}


@pytest.fixture
async def gorush() -> AsyncIterator[MockProviders]:
    async with MockProviders() as mock:
        yield mock


@pytest.fixture
async def opened(gorush: MockProviders) -> AsyncIterator[Callable[..., GorushGateway]]:
    made: list[GorushGateway] = []

    def make(**changes: Any) -> GorushGateway:
        fields: dict[str, Any] = {"url": gorush.plain_url, "timeout": 2.0, "gather": 0.001}
        settings = ServerGorushSettings(**fields | changes)
        made.append(GorushGateway(settings, CurlHttp(settings.http)))
        return made[-1]

    yield make
    for gateway in made:
        await gateway.close()


Opened = Callable[..., GorushGateway]


def made(**changes: Any) -> Push:
    """Return a push for laws, which cannot use fixtures."""
    fields: dict[str, Any] = {
        "notification_id": NotificationId("n"),
        "request": MessageId(bytes(32)),
        "position": 0,
        "device": DeviceKey(KeyHash(bytes(64)), InstallationId("i")),
        "token_type": 1,
        "device_token": DeviceToken("t"),
        "apn_topic": "",
        "type": NotificationType.MESSAGE,
        "chat_id": b"c" * 64,
        "message": b"",
        "collapse_id": "",
        "created_at": Millis(0),
        "expires_at": Millis(0),
    }
    return Push(**fields | changes)


def read_back(notification: dict[str, Any], push: MakePush) -> Push:
    """Return the push that status-go must have had when it wrote the notification."""
    data = {key: bytes.fromhex(value[2:]) for key, value in notification["data"].items()}
    return push(
        device=DeviceKey(KeyHash(data["publicKey"]), InstallationId("any")),
        token_type=notification["platform"],
        device_token=DeviceToken(notification["tokens"][0]),
        apn_topic=notification["topic"],
        type=TYPES[notification["message"]],
        chat_id=data["chatId"],
        message=data["encryptedMessage"],
    )


async def test_g1_three_items_make_three_notifications(gorush: MockProviders, opened: Opened, push: MakePush) -> None:
    pushes = [
        push(1, device_token="token-1", apn_topic="", message=b"m1"),
        push(2, device_token="token-2", apn_topic="", token_type=FCM, message=b"m2"),
        push(3, device_token="token-3", apn_topic="", token_type=FCM, type=NotificationType.MENTION),
    ]

    await opened().deliver(pushes)

    [posted] = gorush.requests
    assert posted.request.path == "/api/push"
    assert posted.request.headers["content-type"] == "application/json"
    notes = posted.json["notifications"]
    assert [note["platform"] for note in notes] == [1, 2, 2]
    assert [note["tokens"] for note in notes] == [["token-1"], ["token-2"], ["token-3"]]
    assert [note["message"] for note in notes] == ["You have a new message"] * 2 + ["Someone mentioned you"]
    assert [note["topic"] for note in notes] == [""] * 3
    assert notes[0]["data"] == {
        "encryptedMessage": "0x" + b"m1".hex(),
        "chatId": "0x" + (b"c" * 64).hex(),
        "publicKey": "0x" + (b"\1" * 64).hex(),
    }


async def test_bodies_are_those_of_status_go_byte_for_byte(
    gorush: MockProviders, opened: Opened, push: MakePush, recorded_bodies: list[bytes]
) -> None:
    gateway = opened()
    for recorded in recorded_bodies:
        notes = json.loads(recorded)["notifications"]
        await gateway.deliver([read_back(note, push) for note in notes])

    assert len(recorded_bodies) > 10
    assert [posted.request.body for posted in gorush.requests] == recorded_bodies


@pytest.mark.parametrize(
    "string,written",
    [
        ("<&>", '"\\u003c\\u0026\\u003e"'),
        ('a"\\/', '"a\\"\\\\/"'),
        ("\u2028\u2029", '"\\u2028\\u2029"'),
        ("\n\r\t\b\f\0\x1f\x7f", '"\\n\\r\\t\\u0008\\u000c\\u0000\\u001f\x7f"'),
        ("\\b\\f", '"\\\\b\\\\f"'),
        ("é😀", '"é😀"'),
        ("\ud800x", '"\\ufffdx"'),
    ],
)
def test_strings_are_escaped_as_go_does(string: str, written: str) -> None:
    assert quote(string) == written


@given(st.text())
def test_whatever_a_token_holds_it_comes_back_as_it_was(token: str) -> None:
    assert json.loads(quote(token)) == token


@given(st.text(alphabet=st.characters(), max_size=50), st.text(max_size=50))
def test_a_hostile_registration_adds_no_field(token: str, topic: str) -> None:
    push = made(device_token=token, apn_topic=topic, device=DeviceKey(KeyHash(b""), InstallationId(token)))

    [note] = json.loads(body([status_item(push, Texts())]))["notifications"]
    [spec] = json.loads(body(item for item, _ in spec_items([push], Texts())))["notifications"]

    assert list(note) == ["tokens", "platform", "message", "topic", "data"]
    assert set(spec) <= {"tokens", "platform", "message", "topic", "data"}


async def test_more_than_a_hundred_items_are_split(gorush: MockProviders, opened: Opened, push: MakePush) -> None:
    pushes = [push(1, device_token=f"token-{n}") for n in range(250)]

    outcomes = await opened().deliver(pushes)

    sizes = sorted(len(posted.json["notifications"]) for posted in gorush.requests)
    assert sizes == [50, 100, 100]
    assert len(outcomes) == 250


async def test_the_specifications_shape_puts_tokens_side_by_side(
    gorush: MockProviders, opened: Opened, push: MakePush
) -> None:
    alike = [push(n, apn_topic="") for n in (1, 2)]

    await opened(shape=Shape.SPEC).deliver([alike[0], push(3, type=NotificationType.MENTION, apn_topic=""), alike[1]])

    [posted] = gorush.requests
    assert posted.json["notifications"][0] == {
        "tokens": [alike[0].device_token, alike[1].device_token],
        "platform": 1,
        "message": "You have a new message",
        "data": {
            "chat_id": "0x" + (b"c" * 64).hex(),
            "message": "0x",
            "installation_ids": ["phone-1", "phone-2"],
        },
    }
    assert len(posted.json["notifications"]) == 2


async def test_our_own_shape_gathers_requests_into_one_post(
    gorush: MockProviders, opened: Opened, push: MakePush
) -> None:
    gateway = opened(shape=Shape.OWN, gather=0.05)

    await asyncio.gather(*(gateway.deliver([push(n)]) for n in range(1, 8)))

    [posted] = gorush.requests
    assert [note["notif_id"] for note in posted.json["notifications"]] == [push(n).notification_id for n in range(1, 8)]


@given(st.integers(0, 1400))
def test_padded_data_has_few_sizes(length: int) -> None:
    push = made(message=b"m" * length)
    data = json.loads(own_item(push, Texts(), (512, 1024, 2048, 3584)))["data"]

    assert len(json.dumps(data, separators=(",", ":"))) in (512, 1024, 2048, 3584)


async def test_our_own_shape_reads_the_outcome_of_each_push(
    gorush: MockProviders, opened: Opened, push: MakePush
) -> None:
    logs = [
        {"type": "failed-push", "notif_id": push(2).notification_id, "error": "Unregistered", "timestamp": 5},
        {"type": "failed-push", "notif_id": push(3).notification_id, "error": "Requested entity was not found."},
        {"type": "failed-push", "notif_id": push(4).notification_id, "error": 'Post "https://…/token": EOF'},
    ]
    gorush.rule({"reply": {"body": json.dumps({"success": "ok", "counts": 4, "logs": logs})}})

    outcomes = await opened(shape=Shape.OWN).deliver([push(n) for n in (1, 2, 3, 4)])

    assert [outcome.verdict.name for outcome in outcomes] == ["ACCEPTED", "DEAD_TOKEN", "DEAD_TOKEN", "RETRY"]
    assert outcomes[1].since == 5
    assert outcomes[3].reason == "failed-push"


@given(
    st.binary()
    | st.recursive(
        st.none() | st.text(),
        lambda x: st.lists(x) | st.dictionaries(st.sampled_from(["logs", "notif_id", "type", "error", "timestamp"]), x),
    ).map(lambda x: json.dumps(x).encode())
)
def test_any_answer_is_read_without_an_error(answer: bytes) -> None:
    assert isinstance(logged_outcomes(answer), dict)


async def test_one_bad_item_loses_no_other(gorush: MockProviders, opened: Opened, push: MakePush) -> None:
    gorush.rule(*({"reply": {"status": status}, "times": 1} for status in (400, 200, 400, 200)))
    gateway = opened()

    outcomes = await gateway.deliver([push(n) for n in (1, 2, 3)])

    verdicts = sorted(outcome.verdict.name for outcome in outcomes)
    assert verdicts == ["ACCEPTED", "ACCEPTED", "INVALID"]
    assert [len(posted.json["notifications"]) for posted in gorush.requests] == [3, 1, 1, 1]


async def test_a_server_under_load_says_when_to_come_back(
    gorush: MockProviders, opened: Opened, push: MakePush
) -> None:
    gorush.rule({"reply": {"status": 429, "retry_after": 17}})

    outcomes = await opened().deliver([push(1)])

    assert outcomes == [Outcome(Verdict.RETRY, "HTTP 429", after=17.0, scope=Scope.PROVIDER)]


async def test_a_slash_at_the_end_of_the_url_is_no_second_one(
    gorush: MockProviders, opened: Opened, push: MakePush
) -> None:
    await opened(url=gorush.plain_url + "/").deliver([push(1)])

    assert gorush.requests[0].request.path == "/api/push"
