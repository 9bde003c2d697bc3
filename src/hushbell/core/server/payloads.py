"""
The server's pushes as payloads of their way out.

A push is an alert with one of three fixed texts. Its data are those that a Status app gets from status-go through
gorush: ``encryptedMessage``, ``chatId`` and ``publicKey`` (the recipient's key hash), each "0x" and hex digits. A
message that does not fit is left out: the phone rings and fetches it.
"""

import re
from collections.abc import Callable, Mapping
from functools import partial
from json.encoder import encode_basestring, encode_basestring_ascii

import orjson

from hushbell.config.gateway import Shape, Texts
from hushbell.core.delivery.notification import Notification
from hushbell.core.delivery.push_ids import push_id
from hushbell.core.gorush import huawei
from hushbell.core.server.push_body import PushBody, decode_push_body
from hushbell.crypto.web_push import MAX_PLAINTEXT as MAX_WEB_PUSH
from hushbell.types import DeviceKey, InstallationId, KeyHash, Millis, NotificationType, TokenType

MAX_PAYLOAD = 4096  # bytes; the limit of Apple, Google, Huawei and Pushy alike

QUEUES: Mapping[int, str] = {TokenType.APN: "apns", TokenType.FIREBASE: "fcm", 3: "webpush", 4: "huawei"}
"""The queue of each token type. It has the name of its usual provider, whichever provider serves it."""
OTHER_QUEUE = "unknown"  # of token types that no provider serves

Render = Callable[[Notification], Notification]
"""Makes of a notification as the outbox keeps it one that its provider understands. Raises StoreCorrupt."""

Headers = tuple[tuple[str, str], ...]
_Write = Callable[[Notification, PushBody, str], tuple[bytes, Headers]]

_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,255}", re.ASCII)
_NO_TOPIC = "not.a.topic"  # for a registration's topic that no header can carry; Apple refuses it
_PADDING = len(',"padding":""')
# Go escapes what browsers might misread, and writes two control characters the long way (encoding/json, Go 1.21).
_GO = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
_GO_TABLE = str.maketrans(_GO | {chr(code): "\\ufffd" for code in range(0xD800, 0xE000)})
_LONG = {"\b": "\\u0008", "\f": "\\u000c"}


def renderer(provider: str, texts: Texts, *, shape: Shape = Shape.STATUS, sizes: tuple[int, ...] = ()) -> Render:
    """
    Return what renders the pushes of one queue.

    Args:
        provider: name of the provider that serves the queue.
        texts: what a person reads when the app does not replace it.
        shape: of the items for a gorush.
        sizes: bytes of the data in the shape "own"; () means no padding. Other providers pad at the attempt.
    """
    write = _WRITERS.get(provider, _other)
    if provider == "hushbell":  # which says in its response what became of each name
        shape = Shape.OWN
    if write is _gorush and shape is Shape.SPEC:
        write = _gorush_spec
    elif write is _gorush and shape is Shape.OWN:
        write = partial(_gorush_own, sizes=sizes)

    def render(notification: Notification) -> Notification:
        push = decode_push_body(notification.message.body)
        body, headers = write(notification, push, alert_text(push, texts))
        message = notification.message._replace(body=body, headers=headers, form="")
        return notification._replace(message=message, reference=encode_device(push.device, push.created_at))

    return render


def alert_text(push: PushBody, texts: Texts) -> str:
    """Return the text of a push, chosen as status-go does (reference/status-go.md 6.5)."""
    if push.type == NotificationType.MESSAGE:
        return texts.message
    if push.type == NotificationType.REQUEST_TO_JOIN_COMMUNITY:
        return texts.join
    return texts.mention


def encode_device(device: DeviceKey, created_at: Millis) -> str:
    """Return the reference of a push: whose device it is for, and when it was made."""
    return f"{created_at}:{device.key_hash.hex()}:{device.installation_id}"


def decode_device(reference: str) -> tuple[DeviceKey, Millis]:
    """Return the device of a push, and when the push was made, from its reference."""
    created_at, key_hash, installation_id = reference.split(":", 2)
    return DeviceKey(KeyHash(bytes.fromhex(key_hash)), InstallationId(installation_id)), Millis(int(created_at))


def quote(text: str) -> str:
    """Return a JSON string exactly as Go's encoding/json writes it. Halves of surrogate pairs become U+FFFD."""
    plain = encode_basestring(text)
    if "\\b" in plain or "\\f" in plain:
        plain = '"' + "".join(_LONG.get(char) or encode_basestring(char)[1:-1] for char in text) + '"'
    return plain.translate(_GO_TABLE)


def _apns(notification: Notification, push: PushBody, text: str) -> tuple[bytes, Headers]:
    headers: Headers = (
        ("apns-push-type", "alert"),
        ("apns-priority", "10"),
        ("apns-expiration", str(notification.expires_at // 1000)),
    )
    if push.apn_topic:
        topic = push.apn_topic if _TOPIC.fullmatch(push.apn_topic) else _NO_TOPIC
        headers = (("apns-topic", topic), *headers)
    return _apns_payload(push, text), headers


def _apns_payload(push: PushBody, text: str) -> bytes:
    """Return the JSON for Apple. It is over the limit only if the chat id alone is."""
    start = f'{{"aps":{{"alert":{encode_basestring_ascii(text)},"mutable-content":1}}'
    payload = f"{start},{_data(push)}}}"
    if len(payload) > MAX_PAYLOAD:
        payload = f"{start},{_data(push._replace(message=b''))}}}"
    return payload.encode()


def _fcm(notification: Notification, push: PushBody, text: str) -> tuple[bytes, Headers]:
    """A displayed message. The tag replaces an earlier one on the screen; of collapse keys FCM keeps only four."""
    shown = {"body": text}
    android = {
        "priority": "high",
        "ttl": f"{_lifetime(notification, push)}s",
        "notification": {"tag": notification.collapse_id},
    }
    limited = _fitting(push, lambda data: orjson.dumps({"data": data, "notification": shown}))
    return limited[:-1] + b',"android":' + orjson.dumps(android) + b"}", ()


def _huawei(notification: Notification, push: PushBody, text: str) -> tuple[bytes, Headers]:
    def write(data: dict[str, str]) -> bytes:
        fields = {"message": text, "priority": "high", "huawei_ttl": f"{_lifetime(notification, push)}s"}
        message = huawei.message({**fields, "huawei_data": orjson.dumps(data).decode()})
        assert not isinstance(message, str), message
        return message.body

    return _fitting(push, write), ()


def _pushy(_: Notification, push: PushBody, text: str) -> tuple[bytes, Headers]:
    limited = _fitting(push, lambda data: orjson.dumps({"message": text, **data}))
    return b'{"data":' + limited + b',"notification":' + orjson.dumps({"body": text}) + b"}", ()


def _web_push(notification: Notification, push: PushBody, text: str) -> tuple[bytes, Headers]:
    """The plaintext, and a topic of 32 characters as RFC 8030 allows."""
    body = _fitting(push, lambda data: orjson.dumps({"message": text, **data}), limit=MAX_WEB_PUSH)
    headers: Headers = (("urgency", "high"),)
    if notification.collapse_id:
        headers = (("topic", notification.collapse_id[:32]), *headers)
    return body, headers


def _sns(notification: Notification, push: PushBody, text: str) -> tuple[bytes, Headers]:
    apns = _apns_payload(push, text).decode()
    fcm, _ = _fcm(notification, push, text)
    gcm = orjson.dumps({"fcmV1Message": {"message": orjson.loads(fcm)}}).decode()
    body = orjson.dumps({"default": text, "APNS": apns, "APNS_SANDBOX": apns, "GCM": gcm})
    names = {"PUSH_TYPE": "alert", "PRIORITY": "10", "COLLAPSE_ID": notification.collapse_id}
    return body, tuple((f"AWS.SNS.MOBILE.APNS.{name}", value) for name, value in names.items() if value)


def _other(_: Notification, push: PushBody, text: str) -> tuple[bytes, Headers]:
    """The text and the data as one object, for providers of other packages."""
    return _fitting(push, lambda data: orjson.dumps({"message": text, **data})), ()


def _gorush(notification: Notification, push: PushBody, text: str) -> tuple[bytes, Headers]:
    """One item, byte for byte as status-go writes it (reference/status-go.md 6.5)."""
    return f'{_gorush_item(notification, push, text)},"data":{{{_data(push)}}}}}'.encode(), ()


def _gorush_own(
    notification: Notification, push: PushBody, text: str, *, sizes: tuple[int, ...]
) -> tuple[bytes, Headers]:
    """
    One item with everything that gorush can use, its data padded to one of the sizes.

    Keys of status-go come first and mean the same, so that apps need not care who wrote them.
    """
    data = _data(push)
    if sizes:
        length = len(data) + _PADDING + 2  # the braces
        size = min((size for size in sizes if size >= length), default=length)
        data += f',"padding":"{"0" * (size - length)}"'
    name = quote(push_id(notification.ident, 0))
    item = (
        f'{_gorush_item(notification, push, text)},"notif_id":{name},"apns_id":{name}'
        f',"collapse_id":{quote(notification.collapse_id)},"expiration":{notification.expires_at // 1000}'
        f',"push_type":"alert","priority":"high","mutable_content":true,"data":{{{data}}}}}'
    )
    return item.encode(), ()


def _gorush_spec(notification: Notification, push: PushBody, text: str) -> tuple[bytes, Headers]:
    """
    One item as spec 16 shows it; the provider puts the tokens of items that are alike side by side.

    Bytes are written as 0x and hex digits, as status-go writes them: the specification leaves that open. ``topic`` is
    added where a registration names one, because Apple refuses a push without it.
    """
    topic = f',"topic":{quote(push.apn_topic)}' if push.apn_topic else ""
    item = (
        f'{{"tokens":[{quote(notification.targets[0])}],"platform":{_platform(push)},"message":{quote(text)}{topic}'
        f',"data":{{"chat_id":"0x{push.chat_id.hex()}","message":"0x{push.message.hex()}"'
        f',"installation_ids":[{quote(push.device.installation_id)}]}}}}'
    )
    return item.encode(), ()


def _gorush_item(notification: Notification, push: PushBody, text: str) -> str:
    return (
        f'{{"tokens":[{quote(notification.targets[0])}],"platform":{_platform(push)}'
        f',"message":{quote(text)},"topic":{quote(push.apn_topic)}'
    )


def _platform(push: PushBody) -> int:
    """Return gorush's number of a token type; 0 is none of its platforms."""
    return {1: 1, 2: 2, 4: 3}.get(push.token_type, 0)


def _data(push: PushBody) -> str:
    """Return the members of the data object, in status-go's order."""
    return (
        f'"encryptedMessage":"0x{push.message.hex()}","chatId":"0x{push.chat_id.hex()}"'
        f',"publicKey":"0x{push.device.key_hash.hex()}"'
    )


def _fitting(push: PushBody, write: Callable[[dict[str, str]], bytes], *, limit: int = MAX_PAYLOAD) -> bytes:
    """Return what ``write`` makes of the data, without the message if it is over the limit with it."""
    data = {
        "encryptedMessage": f"0x{push.message.hex()}",
        "chatId": f"0x{push.chat_id.hex()}",
        "publicKey": f"0x{push.device.key_hash.hex()}",
    }
    body = write(data)
    return body if len(body) <= limit else write({**data, "encryptedMessage": "0x"})


def _lifetime(notification: Notification, push: PushBody) -> int:
    """Return how long a push is worth delivering, in seconds from its beginning."""
    return max(0, (notification.expires_at - push.created_at) // 1000)


_WRITERS: Mapping[str, _Write] = {
    "apns": _apns,
    "fcm": _fcm,
    "huawei": _huawei,
    "webpush": _web_push,
    "unifiedpush": _web_push,
    "pushy": _pushy,
    "sns": _sns,
    "gorush": _gorush,
    "hushbell": _gorush,
}
