"""From the fields of notifications to what is pushed, platform by platform."""

import re
from collections.abc import Callable, Collection, Sequence

from hushbell.core.delivery.notification import Draft, Message
from hushbell.core.gorush import android, huawei, ios
from hushbell.core.gorush.platform import Fields, Platform, Refusal

# Device tokens enter URLs and logs of providers: nothing but what tokens are made of.
_TOKEN = re.compile(r"[A-Za-z0-9_:.~%=+\-]{1,4096}", re.ASCII)

_MESSAGE: dict[int, Callable[[Fields], Message | str]] = {
    Platform.IOS: ios.message,
    Platform.ANDROID: android.message,
    Platform.HUAWEI: huawei.message,
}


_IOS = Platform.IOS
_PLATFORM = {int(platform): platform for platform in Platform}  # faster than asking the enumeration


def count(fields: Fields) -> int:
    """Return what gorush counts: the tokens, and one for a topic. ``to`` and ``condition`` are not in it."""
    return len(fields.get("tokens", ())) + ("topic" in fields)


def enabled(fields: Fields, platforms: Collection[int]) -> bool:
    """Whether a notification is for one of these platforms. The others are dropped without a word, as gorush does."""
    return fields.get("platform", 0) in platforms


def drafts(fields: Fields) -> tuple[Sequence[Draft], Sequence[Refusal]]:
    """Return what to push for a notification of a known platform, and the targets that cannot be."""
    platform = _PLATFORM[fields["platform"]]
    tokens = _tokens(fields)
    topics = _topics(fields, platform)
    message = _MESSAGE[platform](fields)
    if len(topics) > 1:
        message = "topic and condition: give one of them"
    if isinstance(message, str):
        targets = [*(value for _, value in topics[:1]), *tokens]
        return (), [_refusal(fields, platform, target, message) for target in targets]
    if topics or not all(map(_TOKEN.fullmatch, tokens)):
        return _sorted_out(fields, message, tokens, topics)
    return [_draft(fields, platform, "token", tuple(tokens), message)] if tokens else (), ()


def _sorted_out(
    fields: Fields, message: Message, tokens: list[str], topics: list[tuple[str, str]]
) -> tuple[Sequence[Draft], Sequence[Refusal]]:
    """Part what can be pushed to from what cannot, so that one target harms no other."""
    platform = Platform(fields["platform"])
    bad = {token: _wrong(token) for token in tokens if not _TOKEN.fullmatch(token)}
    bad.update({value: "malformed topic name" for kind, value in topics if kind == "topic" and not _topic_fits(value)})
    groups: list[tuple[str, tuple[str, ...]]] = [(kind, (value,)) for kind, value in topics if value not in bad]
    good = tuple(token for token in tokens if token not in bad)
    if good:
        groups.append(("token", good))
    made = [_draft(fields, platform, kind, group, message) for kind, group in groups]
    return made, [_refusal(fields, platform, target, why) for target, why in bad.items()]


def _tokens(fields: Fields) -> list[str]:
    tokens: list[str] = fields.get("tokens", [])
    return [*tokens, fields["to"]] if "to" in fields else tokens


def _topics(fields: Fields, platform: Platform) -> list[tuple[str, str]]:
    """Apple's topic is the app, not a target."""
    if platform is _IOS:
        return []
    return [(kind, fields[kind]) for kind in ("topic", "condition") if kind in fields]


def _topic_fits(topic: str) -> bool:
    return android.TOPIC.fullmatch(topic) is not None


def _wrong(token: str) -> str:
    return "BadDeviceToken" if token else "MissingDeviceToken"


def _draft(fields: Fields, platform: Platform, kind: str, targets: tuple[str, ...], message: Message) -> Draft:
    retry = fields.get("retry", 0)
    return Draft(
        kind,
        targets if kind != "topic" else tuple(one.removeprefix("/topics/") for one in targets),
        message,
        fields.get("notif_id", ""),
        retry if retry > 0 else None,
        fields.get("expiration") if platform is _IOS else None,
        None if platform is _IOS else _lifetime(fields, platform),
    )


def _lifetime(fields: Fields, platform: Platform) -> float | None:
    if platform is Platform.ANDROID:
        return android.lifetime(fields)
    return huawei.lifetime(fields) if platform is Platform.HUAWEI else None


def _refusal(fields: Fields, platform: Platform, token: str, reason: str) -> Refusal:
    return Refusal(
        platform=platform,
        token=token,
        notif_id=fields.get("notif_id", ""),
        words=fields.get("message", ""),
        reason=reason,
    )
