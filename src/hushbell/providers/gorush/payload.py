"""The bodies that gorush takes, in three shapes. Pure functions."""

from collections.abc import Iterable, Sequence
from json.encoder import encode_basestring

from hushbell.config.gateway import Texts
from hushbell.core.push import Push
from hushbell.providers.texts import size_above, text

ITEMS = 100  # gorush's default limit of notifications in one POST
TOKENS = 500  # Google's limit of tokens in one notification

_PADDING = len(',"padding":""')
# Go escapes what browsers might misread, and writes two control characters the long way (encoding/json, Go 1.21).
_GO = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
_GO_TABLE = str.maketrans(_GO | {chr(code): "\\ufffd" for code in range(0xD800, 0xE000)})


def quote(string: str) -> str:
    """Return a JSON string exactly as Go's encoding/json writes it. Halves of surrogate pairs become U+FFFD."""
    plain = encode_basestring(string)
    if "\\b" in plain or "\\f" in plain:
        plain = '"' + "".join(_LONG.get(char) or encode_basestring(char)[1:-1] for char in string) + '"'
    return plain.translate(_GO_TABLE)


_LONG = {"\b": "\\u0008", "\f": "\\u000c"}


def status_item(push: Push, texts: Texts) -> str:
    """Return one notification as status-go writes it (reference/status-go.md 6.5)."""
    return _open_item(push, texts) + f',"data":{{{_data(push)}}}}}'


def own_item(push: Push, texts: Texts, sizes: Sequence[int]) -> str:
    """
    Return one notification with everything gorush can use, its data padded to one of the sizes.

    Keys of status-go come first and mean the same, so that apps need not care who wrote them.
    """
    data = _data(push)
    if sizes:
        length = len(data) + _PADDING + 2  # the braces
        data += f',"padding":"{"0" * (size_above(length, sizes) - length)}"'
    return (
        f'{_open_item(push, texts)},"notif_id":{quote(push.notification_id)},"apns_id":{quote(push.notification_id)}'
        f',"collapse_id":{quote(push.collapse_id)},"expiration":{push.expires_at // 1000}'
        f',"push_type":"alert","priority":"high","mutable_content":true,"data":{{{data}}}}}'
    )


def spec_items(pushes: Sequence[Push], texts: Texts) -> list[tuple[str, list[int]]]:
    """
    Return notifications in the shape spec 16 shows, each with the positions of its pushes.

    Tokens that get the same words and data share one notification. Bytes are written as 0x and hex digits,
    as status-go writes them: the specification leaves that open. ``topic`` is added where a registration names
    one, because Apple refuses a push without it.
    """
    groups: dict[tuple[int, str, str, bytes, bytes], list[int]] = {}
    for position, push in enumerate(pushes):
        key = (push.token_type, push.apn_topic, text(push, texts), push.chat_id, push.message)
        groups.setdefault(key, []).append(position)
    return [
        (_spec_item([pushes[position] for position in part], texts), part)
        for positions in groups.values()
        for part in _parts(positions, TOKENS)
    ]


def body(items: Iterable[str]) -> bytes:
    """Return the body of one POST."""
    return f'{{"notifications":[{",".join(items)}]}}'.encode()


def _open_item(push: Push, texts: Texts) -> str:
    return (
        f'{{"tokens":[{quote(push.device_token)}],"platform":{_platform(push)}'
        f',"message":{quote(text(push, texts))},"topic":{quote(push.apn_topic)}'
    )


def _data(push: Push) -> str:
    return (
        f'"encryptedMessage":"0x{push.message.hex()}","chatId":"0x{push.chat_id.hex()}"'
        f',"publicKey":"0x{push.device.owner.hex()}"'
    )


def _spec_item(pushes: Sequence[Push], texts: Texts) -> str:
    first = pushes[0]
    tokens = ",".join(quote(push.device_token) for push in pushes)
    installations = ",".join(quote(push.device.installation_id) for push in pushes)
    topic = f',"topic":{quote(first.apn_topic)}' if first.apn_topic else ""
    return (
        f'{{"tokens":[{tokens}],"platform":{_platform(first)},"message":{quote(text(first, texts))}{topic}'
        f',"data":{{"chat_id":"0x{first.chat_id.hex()}","message":"0x{first.message.hex()}"'
        f',"installation_ids":[{installations}]}}}}'
    )


def _platform(push: Push) -> int:
    return push.token_type if push.token_type in (1, 2) else 0


def _parts(positions: list[int], size: int) -> list[list[int]]:
    return [positions[start : start + size] for start in range(0, len(positions), size)]
