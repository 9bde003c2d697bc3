"""What the real gorush did with 146 requests, case by case: the same answer, the same pushes."""

import base64
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest

from hushbell.core.delivery.notification import Draft
from hushbell.core.gorush import responses
from hushbell.core.gorush.drafts import count, drafts, enabled
from hushbell.core.gorush.platform import PLATFORMS, Platform, Refusal
from hushbell.core.gorush.request import notifications
from hushbell.errors import Undecodable

CORPUS = json.loads((Path(__file__).parents[2] / "vectors" / "gorush-corpus.json").read_bytes())
PUSHES = [
    case
    for case in CORPUS["cases"]
    if case.get("request", {}).get("path") == "/api/push" and case["request"]["method"] == "POST"
]

# Where we do better on purpose, and why.
BETTER = {
    "duplicate-list": "fields of an overwritten list do not leak into the new one",
    "token-empty-string": "an empty token is refused without asking Apple",
    "ios-message-plus-subtitle": "the message keeps its words beside a subtitle",
    "ios-silent": "a silent push is sent as one",
    "ios-data-bigint": "integers stay exact",
    "ios-expiration-zero": "0 has a meaning for Apple",
    "ios-to-ignored": "`to` is a token on every platform",
    "android-all-fields": "fractions of seconds are kept",
    "sync-ios-all-fields": "integers stay exact",
    "sync-android-all-fields": "integers and fractions of seconds stay exact",
    "android-501-tokens": "a list of tokens has no limit of its own",
}


def body(request: dict[str, Any]) -> bytes:
    if "json" in request:
        return orjson.dumps(request["json"])
    if "text" in request:
        return str(request["text"]).encode()
    if "base64" in request:
        return base64.b64decode(request["base64"])
    return _generated(request["generate"])


def _generated(rule: dict[str, Any]) -> bytes:
    base, prefix = rule["notification"], rule.get("prefix", "")
    if rule["kind"] == "big_message":
        return orjson.dumps({"notifications": [{**base, "message": "m" * rule["bytes"]}]})
    tokens = [f"{prefix}{number:04d}" for number in range(rule["count"])]
    if rule["kind"] == "tokens":
        return orjson.dumps({"notifications": [{**base, "tokens": tokens}]})
    return orjson.dumps({"notifications": [{**base, "tokens": [token]} for token in tokens]})


def run(case: dict[str, Any]) -> tuple[int, bytes, list[Draft], list[Refusal]]:
    platforms = {Platform.IOS} if case["profile"] == "masked" else set(Platform)
    try:
        asked = notifications(body(case["request"]), 100)
    except Undecodable as why:
        return 400, responses.refused(400, str(why)), [], []
    asked = [fields for fields in asked if enabled(fields, platforms)]
    made = [drafts(fields) for fields in asked]
    pushes = [draft for group, _ in made for draft in group]
    refusals = [refusal for _, group in made for refusal in group]
    return 200, responses.accepted(sum(map(count, asked))), pushes, refusals


def requests(pushes: Sequence[Draft]) -> list[str]:
    """Return what the providers receive, in an order of its own."""
    found = []
    for push in pushes:
        message = orjson.loads(push.message.body)
        if PLATFORMS[push.message.provider] is Platform.IOS:
            found += [_canonical(f"/3/device/{token}", message, dict(push.message.headers)) for token in push.targets]
        elif PLATFORMS[push.message.provider] is Platform.ANDROID:
            path = "/v1/projects/demo-project/messages:send"
            found += [_canonical(path, {"message": {**message, push.target_kind: token}}, {}) for token in push.targets]
        else:
            target = (
                {"token": list(push.targets)} if push.target_kind == "token" else {push.target_kind: push.targets[0]}
            )
            path = "/v1/100000001/messages:send"
            found.append(_canonical(path, {"validate_only": False, "message": {**message, **target}}, {}))
    return sorted(found)


def recorded(case: dict[str, Any]) -> list[str]:
    return sorted(
        _canonical(one["path"], one["json"], {k: v for k, v in one["headers"].items() if k.startswith("apns-")})
        for one in case["providers"]
        if one["provider"] in ("apns", "fcm", "hms") and one["path"] != "/oauth2/v3/token"
    )


def _canonical(path: str, message: Any, headers: dict[str, str]) -> str:
    return json.dumps([path, message, headers], sort_keys=True)


@pytest.mark.parametrize("case", PUSHES, ids=[case["name"] for case in PUSHES])
def test_a_request_is_answered_and_sent_on_as_by_the_real_gorush(case: dict[str, Any]) -> None:
    status, answer, pushes, refusals = run(case)

    response = case["response"]
    assert status == response["status"] or response["status"] == 307
    if status == 400:
        assert answer == response["body"]["exact"].encode()
    elif response["status"] == 200:
        assert orjson.loads(answer)["counts"] == response["body"]["value"]["counts"]
    sent = requests(pushes)
    # Of many requests alike the corpus keeps the first.
    same = (sent[:1] if case.get("providers_summary") else sent) == recorded(case)
    if case["name"] in BETTER:
        assert not same, "no longer a difference"
    else:
        assert same
    sent_nothing = "nothing is sent" in case.get("quirk", "") and case["response"]["body"]["value"]["counts"]
    assert bool(refusals) == bool(sent_nothing and case["name"] not in BETTER) or case["name"] in (
        "token-empty-string",
        "ios-header-injection",
    )


def test_every_difference_names_a_case_that_the_corpus_calls_a_quirk() -> None:
    quirks = {case["name"] for case in PUSHES if "quirk" in case}

    assert BETTER.keys() <= quirks


@pytest.mark.parametrize(
    "case",
    [case for case in PUSHES if case["profile"] in ("sync", "masked") and case["response"]["body"]["value"]["logs"]],
    ids=lambda case: str(case["name"]),
)
def test_log_entries_are_those_of_the_real_gorush(case: dict[str, Any]) -> None:
    _, _, pushes, _ = run(case)
    expected = case["response"]["body"]["value"]["logs"]

    entries = [
        responses.failed_push(
            PLATFORMS[push.message.provider],
            push.targets[0],
            notif_id=push.reference,
            words=json.loads(body(case["request"]))["notifications"][at].get("message", ""),
            error=expected[at]["error"],
            hide_token=case["profile"] == "masked",
            hide_words=False,
        )
        for at, push in enumerate(pushes)
    ]

    assert entries == expected
    assert re.search("fail", entries[0]["type"])
