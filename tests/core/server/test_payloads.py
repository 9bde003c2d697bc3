"""What a push of the server looks like to each provider."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hushbell.config.gateway import Shape, Texts
from hushbell.core.delivery.notification import Message, Notification
from hushbell.core.delivery.push_ids import push_id
from hushbell.core.server.payloads import MAX_PAYLOAD, decode_device, encode_device, quote, renderer
from hushbell.core.server.push_body import PushBody, decode_push_body, encode_push_body
from hushbell.errors import StoreCorrupt
from hushbell.types import DeviceKey, InstallationId, KeyHash, Millis, NotificationType, TokenType

NOW = Millis(1_700_000_000_000)
DEVICE = DeviceKey(KeyHash(b"\1" * 64), InstallationId("c6ae4fde-bb65-11ea-b3de-0242ac130004"))
TEXT = "You have a new message"
TYPES = {
    TEXT: NotificationType.MESSAGE,
    "Someone mentioned you": NotificationType.MENTION,
    "Someone requested to join a community you are an admin of": NotificationType.REQUEST_TO_JOIN_COMMUNITY,
}
PROVIDERS = ("apns", "fcm", "huawei", "webpush", "unifiedpush", "pushy", "sns", "gorush", "hushbell", "other")
VECTORS = Path(__file__).parents[2] / "vectors" / "status-go"
DATA = {"encryptedMessage": "0x6d", "chatId": "0x" + (b"c" * 64).hex(), "publicKey": "0x" + DEVICE.key_hash.hex()}


def push(**changes: Any) -> PushBody:
    fields: dict[str, Any] = {
        "device": DEVICE,
        "token_type": int(TokenType.APN),
        "apn_topic": "im.status.ethereum",
        "type": NotificationType.MESSAGE,
        "chat_id": b"c" * 64,
        "message": b"m",
        "created_at": NOW,
    }
    return PushBody(**fields | changes)


def stored(body: PushBody, token: str = "ab" * 32) -> Notification:
    """Return a push as the outbox keeps it."""
    message = Message("apns", encode_push_body(body))
    return Notification(bytes(16), "server", "token", (token,), message, Millis(NOW + 86_400_000), collapse_id="c" * 64)


def rendered(provider: str, body: PushBody, *, token: str = "ab" * 32, **how: Any) -> Notification:
    return renderer(provider, Texts(), **how)(stored(body, token))


def written(provider: str, body: PushBody, **how: Any) -> Any:
    return json.loads(rendered(provider, body, **how).message.body)


bodies = st.builds(
    PushBody,
    st.builds(DeviceKey, st.binary(max_size=64), st.text()),
    st.integers(0, 2**31 - 1),
    st.text(),
    st.sampled_from(NotificationType),
    st.binary(),
    st.binary(),
    st.integers(0, 2**60),
)


@given(bodies)
def test_a_push_comes_back_from_its_bytes(body: PushBody) -> None:
    assert decode_push_body(encode_push_body(body)) == body


@given(st.binary(max_size=100) | st.builds(lambda body, at: encode_push_body(body)[:at], bodies, st.integers(0, 60)))
def test_bytes_that_are_no_push_are_a_corrupt_store(body: bytes) -> None:
    try:
        decoded = decode_push_body(body)
    except StoreCorrupt:
        return
    assert encode_push_body(decoded) == body


def test_the_text_of_a_push_shows_no_secret() -> None:
    assert repr(push()) == "PushBody(token_type=1, type=<NotificationType.MESSAGE: 1>)"


@given(st.builds(DeviceKey, st.binary(max_size=64), st.text()), st.integers(0, 2**60))
def test_a_device_comes_back_from_the_reference(device: DeviceKey, at: int) -> None:
    assert decode_device(encode_device(device, Millis(at))) == (device, at)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_rendered_push_keeps_its_queue_and_names_its_device(provider: str) -> None:
    notification = rendered(provider, push())

    assert notification.message.provider == "apns"
    assert decode_device(notification.reference) == (DEVICE, NOW)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_message_that_does_not_fit_is_left_out(provider: str) -> None:
    body = rendered(provider, push(message=b"m" * 3000)).message.body

    assert (b"6d6d" in body) is (provider in ("gorush", "hushbell")), "a gorush decides itself"


def test_apple_gets_an_alert_with_the_data_of_status() -> None:
    notification = rendered("apns", push())

    assert json.loads(notification.message.body) == {"aps": {"alert": TEXT, "mutable-content": 1}, **DATA}
    assert notification.message.headers == (
        ("apns-topic", "im.status.ethereum"),
        ("apns-push-type", "alert"),
        ("apns-priority", "10"),
        ("apns-expiration", "1700086400"),
    )


def test_a_registration_without_a_topic_leaves_it_to_the_app() -> None:
    assert "apns-topic" not in dict(rendered("apns", push(apn_topic="")).message.headers)


@pytest.mark.parametrize("topic", ["a\r\nb: c", "a b", "é", "x" * 256])
def test_a_topic_that_is_no_bundle_id_reaches_no_header(topic: str) -> None:
    assert dict(rendered("apns", push(apn_topic=topic)).message.headers)["apns-topic"] == "not.a.topic"


@pytest.mark.parametrize("chat", [0, 64, 1500, 1900])
def test_no_payload_is_larger_than_apple_takes(chat: int) -> None:
    made = [rendered("apns", push(message=b"m" * n, chat_id=b"c" * chat)) for n in range(0, 2500, 7)]

    assert all(len(one.message.body) <= MAX_PAYLOAD for one in made)


def test_google_shows_the_text_and_replaces_an_earlier_push_for_the_same_message() -> None:
    assert written("fcm", push(token_type=2)) == {
        "data": DATA,
        "notification": {"body": TEXT},
        "android": {"priority": "high", "ttl": "86400s", "notification": {"tag": "c" * 64}},
    }


def test_huawei_shows_the_text_as_it_does_for_gorush() -> None:
    message = written("huawei", push())

    assert json.loads(message["data"]) == DATA
    assert message["android"]["notification"]["body"] == TEXT
    assert (message["android"]["urgency"], message["android"]["ttl"]) == ("HIGH", "86400s")


@pytest.mark.parametrize("provider", ["webpush", "unifiedpush"])
def test_a_subscription_gets_the_text_and_the_data(provider: str) -> None:
    notification = rendered(provider, push())

    assert json.loads(notification.message.body) == {"message": TEXT, **DATA}
    assert notification.message.headers == (("topic", "c" * 32), ("urgency", "high"))


def test_pushy_and_providers_of_others_get_the_text_and_the_data() -> None:
    assert written("pushy", push()) == {"data": {"message": TEXT, **DATA}, "notification": {"body": TEXT}}
    assert written("other", push()) == {"message": TEXT, **DATA}


def test_amazon_gets_what_apple_and_google_get() -> None:
    message = written("sns", push())

    assert json.loads(message["APNS"]) == json.loads(message["APNS_SANDBOX"]) == written("apns", push())
    assert json.loads(message["GCM"]) == {"fcmV1Message": {"message": written("fcm", push())}}
    assert message["default"] == TEXT
    assert dict(rendered("sns", push()).message.headers)["AWS.SNS.MOBILE.APNS.COLLAPSE_ID"] == "c" * 64


def recorded() -> list[tuple[str, dict[str, Any]]]:
    """Return the items of what status-go posted, as written and as read."""
    found: list[tuple[str, dict[str, Any]]] = []
    for file in sorted(VECTORS.glob("t*.json")):
        for step in json.loads(file.read_text())["steps"]:
            if step.get("kind") == "http":
                body = bytes.fromhex(step["body_hex"]).decode()
                items = json.loads(body)["notifications"]
                assert body.startswith('{"notifications":[')
                written_items = body.removeprefix('{"notifications":[').removesuffix("]}").split(',{"tokens"')
                found += zip([written_items[0], *(f'{{"tokens"{one}' for one in written_items[1:])], items, strict=True)
    return found


def test_items_are_those_of_status_go_byte_for_byte() -> None:
    items = recorded()

    assert len(items) > 10
    for text, item in items:
        data = {key: bytes.fromhex(value[2:]) for key, value in item["data"].items()}
        body = push(
            device=DeviceKey(KeyHash(data["publicKey"]), InstallationId("any")),
            token_type=item["platform"],
            apn_topic=item["topic"],
            type=TYPES[item["message"]],
            chat_id=data["chatId"],
            message=data["encryptedMessage"],
        )
        assert rendered("gorush", body, token=item["tokens"][0]).message.body.decode() == text


def test_our_own_item_has_ids_a_collapse_id_and_an_end() -> None:
    item = written("gorush", push(), shape=Shape.OWN)

    name = push_id(bytes(16), 0)
    assert item == {
        "tokens": ["ab" * 32],
        "platform": 1,
        "message": TEXT,
        "topic": "im.status.ethereum",
        "notif_id": name,
        "apns_id": name,
        "collapse_id": "c" * 64,
        "expiration": 1_700_086_400,
        "push_type": "alert",
        "priority": "high",
        "mutable_content": True,
        "data": DATA,
    }


@pytest.mark.parametrize("length", range(0, 1600, 13))
def test_padded_data_has_few_sizes(length: int) -> None:
    item = written("gorush", push(message=b"m" * length), shape=Shape.OWN, sizes=(512, 1024, 3584))

    assert len(json.dumps(item["data"], separators=(",", ":"))) in (512, 1024, 3584)


def test_the_specifications_item_names_the_installation() -> None:
    assert written("gorush", push(apn_topic="", token_type=2), shape=Shape.SPEC) == {
        "tokens": ["ab" * 32],
        "platform": 2,
        "message": TEXT,
        "data": {"chat_id": DATA["chatId"], "message": "0x6d", "installation_ids": [DEVICE.installation_id]},
    }


@pytest.mark.parametrize("shape", Shape)
@given(token=st.text(alphabet=st.characters(), max_size=50), topic=st.text(max_size=50))
def test_a_hostile_registration_adds_no_field(shape: Shape, token: str, topic: str) -> None:
    known = set(written("gorush", push(), shape=shape))

    item = written("gorush", push(apn_topic=topic), token=token, shape=shape)

    assert set(item) <= known
    assert item["tokens"] == [token]


@pytest.mark.parametrize(
    "text,expected",
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
def test_strings_are_escaped_as_go_does(text: str, expected: str) -> None:
    assert quote(text) == expected


@given(st.text())
def test_whatever_a_token_holds_it_comes_back_as_it_was(token: str) -> None:
    assert json.loads(quote(token)) == token
