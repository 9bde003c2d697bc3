"""What gorush's fields mean, rule by rule (reference/gateway.md 1.3, 1.13 and 10)."""

import contextlib
import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hushbell.core.delivery.notification import Draft
from hushbell.core.gorush import responses
from hushbell.core.gorush.document import parse
from hushbell.core.gorush.drafts import count, drafts
from hushbell.core.gorush.platform import Platform
from hushbell.core.gorush.request import EMPTY, FIELDS, MISSING, notifications
from hushbell.errors import Undecodable

FIRST = {Platform.IOS: "aaaa0001", Platform.ANDROID: "ffff0001", Platform.HUAWEI: "cccc0001"}


def fields(platform: Platform, **given: Any) -> dict[str, Any]:
    asked = {"tokens": [FIRST[platform]], "platform": int(platform), **given}
    return dict(notifications(orjson.dumps({"notifications": [asked]}), 100)[0])


def only(platform: Platform, **given: Any) -> Draft:
    made, refused = drafts(fields(platform, **given))
    assert not refused
    assert len(made) == 1
    return made[0]


def body(platform: Platform, **given: Any) -> Any:
    return orjson.loads(only(platform, **given).message.body)


def headers(**given: Any) -> dict[str, str]:
    return dict(only(Platform.IOS, **given).message.headers)


def why(platform: Platform, **given: Any) -> str:
    made, refused = drafts(fields(platform, **given))
    assert not made
    return refused[0].reason


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"{",
        b"nonsense",
        b"[]",
        b"null",
        b'"x"',
        b"{}",
        b'{"notifications":{}}',
        b'{"notifications":[[]]}',
        b'{"notifications":[{"retry":1.0}]}',
        b'{"notifications":[{"retry":9223372036854775808}]}',
        b'{"notifications":[{"volume":"1"}]}',
        b'{"notifications":[{"volume":1e999}]}',
        b'{"notifications":[{"data":[]}]}',
        b'{"notifications":[{"tokens":[1]}]}',
        b'{"notifications":[{"alert":"words"}]}',
        b'{"notifications":[{"alert":{"loc-args":[1]}}]}',
        b'{"notifications":[{"url-args":"a"}]}',
        b'{"notifications":[{"production":1}]}',
        b'{"notifications":[{"android":{"ttl":"soon"}}]}',
        b'{"notifications":[{"android":{"ttl":3600}}]}',
        b'{"notifications":[{"android":{"data":{"n":1}}}]}',
        b'{"notifications":[{"android":{"notification":{"notification_priority":"HIGH"}}}]}',
        b'{"notifications":[{"android":{"notification":{"event_time":"2026-01-01"}}}]}',
        b'{"notifications":[{"android":{"notification":{"event_time":"2026-13-01T00:00:00.000000000Z"}}}]}',
        b'{"notifications":[{"android":{"notification":{"light_settings":{}}}}]}',
        b'{"notifications":[{"apns":{"payload":{"aps":{"badge":"1"}}}}]}',
        b'{"notifications":[{"apns":{"payload":{"aps":{"alert":5}}}}]}',
        b'{"notifications":[{"webpush":{"notification":{"silent":"no"}}}]}',
        b'{"notifications":[{"huawei_notification":{"click_action":[]}}]}',
        b'{"notifications":' + b"[" * 100_000,
    ],
)
def test_whatever_does_not_fit_a_field_is_the_same_400(document: bytes) -> None:
    with pytest.raises(Undecodable, match=f"^{MISSING}$"):
        notifications(document, 100)


def test_an_empty_list_and_too_long_a_list_have_their_own_400() -> None:
    with pytest.raises(Undecodable, match=f"^{EMPTY}$"):
        notifications(b'{"notifications":[]}', 100)
    with pytest.raises(Undecodable, match=r"^Number of notifications\(3\) over limit\(2\)$"):
        notifications(b'{"notifications":[{},{},{}]}', 2)


@pytest.mark.parametrize(
    "document, message",
    [
        (b'{"NOTIFICATIONS":[{"Message":"x"}]}', "x"),
        (b'{"notifications":[{"message":"x"}]}\0\xff trailing', "x"),
        (b' \n{"notifications":[{"message":"a\xff\xe2\x82b"}]}', "a\ufffd\ufffd\ufffdb"),
        (b'{"notifications":[{"message":"\\ud800"}]} ', "\ufffd"),
        (b'{"notifications":[{"message":"first","Message":"second"}]}', "second"),
        (b'{"notifications":[{"message":"first","message":null}]}', ""),
        (b'{"notifications":[{"message":"x","volume":1,"nobody":{"knows":[]}}]}', "x"),
        (b'{"notifications":[{"message":"x","data":{"n":123456789012345678901234567890}}]} ', "x"),
    ],
)
def test_json_is_read_as_forgivingly_as_by_go(document: bytes, message: str) -> None:
    assert notifications(document, 100)[0].get("message", "") == message


def test_a_long_number_costs_no_more_than_its_length() -> None:
    with pytest.raises(Undecodable):
        parse(b"1" * 1_000_000 + b" x")


@pytest.mark.parametrize(
    "given, aps",
    [
        ({}, {}),
        ({"message": "M"}, {"alert": "M"}),
        ({"message": "M", "alert": {}}, {"alert": "M"}),
        ({"message": "M", "title": "T"}, {"alert": {"body": "M", "title": "T"}}),
        ({"message": "M", "alert": {"loc-key": "K"}}, {"alert": {"body": "M", "loc-key": "K"}}),
        ({"message": "M", "alert": {"body": "B"}}, {"alert": {"body": "B"}}),
        ({"title": "T", "alert": {"title": "AT"}}, {"alert": {"title": "AT"}}),
        ({"alert": {"summary-arg-count": -1}}, {}),
        ({"badge": 0}, {"badge": 0}),
        ({"badge": -1}, {}),
        ({"sound": ""}, {"sound": ""}),
        ({"sound": None}, {}),
        ({"sound": {"Name": "n", "volume": "loud", "critical": 1}}, {"sound": {"name": "n", "critical": 1}}),
        ({"sound": "bell", "name": "n"}, {"sound": {"critical": 1, "name": "n", "volume": 1}}),
        ({"volume": 0.5}, {"sound": {"critical": 1, "name": "default", "volume": 0.5}}),
        ({"stale-date": -5, "timestamp": 5}, {"timestamp": 5}),
        ({"relevance-score": 0}, {"relevance-score": 0}),
        ({"content-state": {}}, {}),
    ],
)
def test_what_apple_gets(given: dict[str, Any], aps: dict[str, Any]) -> None:
    assert body(Platform.IOS, **given) == {"aps": aps}


@pytest.mark.parametrize(
    "given, expected",
    [
        ({"message": "M"}, {"apns-push-type": "alert"}),
        ({"content_available": True}, {"apns-push-type": "background", "apns-priority": "5"}),
        ({"content_available": True, "priority": "high"}, {"apns-push-type": "background", "apns-priority": "10"}),
        ({"content_available": True, "badge": 1}, {"apns-push-type": "alert"}),
        ({"content_available": True, "push_type": "voip"}, {"apns-push-type": "voip"}),
        ({"priority": "nornal"}, {"apns-push-type": "alert"}),
        ({"expiration": 0}, {"apns-push-type": "alert", "apns-expiration": "0"}),
        ({"expiration": -1}, {"apns-push-type": "alert", "apns-expiration": "0"}),
    ],
)
def test_which_headers_apple_gets(given: dict[str, Any], expected: dict[str, str]) -> None:
    assert headers(**given) == expected


@pytest.mark.parametrize(
    "given, route",
    [
        ({}, ""),
        ({"production": True}, "production"),
        ({"development": True}, "development"),
        ({"production": True, "development": True}, "production"),
        ({"production": False, "development": False}, ""),
    ],
)
def test_which_of_apples_environments_is_asked(given: dict[str, Any], route: str) -> None:
    assert only(Platform.IOS, **given).message.route == route


@pytest.mark.parametrize("value", ["a\r\nx: 1", "a\nb", "é", " a", "a ", "a" * 2000, "\x7f"])
@pytest.mark.parametrize("name", ["topic", "apns_id", "collapse_id", "push_type"])
def test_a_value_that_no_header_can_carry_is_refused(name: str, value: str) -> None:
    assert "header" in why(Platform.IOS, **{name: value})


def test_data_cannot_replace_the_notification() -> None:
    assert "aps" in why(Platform.IOS, data={"aps": {}})


@pytest.mark.parametrize(
    "given, message",
    [
        ({}, {}),
        ({"data": {"a": "x", "b": {"c": [1]}}}, {"data": {"a": "x", "b": '{"c":[1]}'}}),
        ({"notification": {}}, {"notification": {}}),
        ({"notification": {"title": "N"}, "message": "M"}, {"notification": {"title": "N", "body": "M"}}),
        ({"android": {}}, {"android": {}}),
        ({"android": {"ttl": "1.5s", "nobody": 1}}, {"android": {"ttl": "1.500000000s"}}),
        ({"android": {"priority": "normal"}, "priority": "high"}, {"android": {"priority": "normal"}}),
        ({"sound": "", "android": {}}, {"android": {}, "apns": {"payload": {"aps": {}}}}),
        ({"mutable_content": True}, {}),
        ({"apns": {"payload": {"k": 1}}}, {"apns": {"payload": {"k": 1, "aps": None}}}),
        (
            {"content_available": True, "data": {"k": 1}},
            {
                "data": {"k": "1"},
                "apns": {"headers": {"apns-priority": "5"}, "payload": {"aps": {"k": 1, "content-available": 1}}},
            },
        ),
        (
            {"webpush": {"notification": {"title": "W", "mine": 1}}},
            {"webpush": {"notification": {"title": "W", "mine": 1}}},
        ),
        (
            {"android": {"notification": {"notification_count": 0, "sticky": False}}},
            {"android": {"notification": {"notification_count": 0}}},
        ),
    ],
)
def test_what_google_gets(given: dict[str, Any], message: dict[str, Any]) -> None:
    assert body(Platform.ANDROID, **given) == message


@pytest.mark.parametrize(
    "given",
    [
        {"priority": "urgent"},
        {"android": {"ttl": "-1s"}},
        {"android": {"notification": {"color": "red"}}},
        {"android": {"notification": {"title_loc_args": ["x"]}}},
        {"android": {"notification": {"body_loc_args": ["x"]}}},
        {"android": {"notification": {"vibrate_timings": ["-1s"]}}},
        {"image": "no address"},
        {"webpush": {"notification": {"dir": "up"}}},
        {"webpush": {"notification": {}, "fcm_options": {"link": "http://example.org/"}}},
        {"apns": {"payload": {"aps": {"sound": {"volume": 2}}}}},
        {"apns": {"payload": {"aps": {"alert": {"loc-args": ["x"]}}}}},
        {"apns": {"payload": {"aps": {"sound": {"name": "x"}}}}, "sound": "y"},
        {"data": {"content-available": 1}, "content_available": True},
        {"topic": "news", "condition": "'a' in topics"},
    ],
)
def test_what_google_would_refuse_is_refused_with_a_reason(given: dict[str, Any]) -> None:
    assert why(Platform.ANDROID, **given)


def test_a_topic_is_a_push_of_its_own_and_a_malformed_one_harms_only_itself() -> None:
    made, refused = drafts(fields(Platform.ANDROID, topic="/topics/news"))
    assert [(one.target_kind, one.targets) for one in made] == [("topic", ("news",)), ("token", ("ffff0001",))]
    assert not refused

    made, refused = drafts(fields(Platform.ANDROID, topic="a b"))
    assert [one.target_kind for one in made] == ["token"]
    assert [one.token for one in refused] == ["a b"]


@pytest.mark.parametrize(
    "given",
    [
        {"huawei_collapse_key": 101},
        {"huawei_collapse_key": -2},
        {"huawei_ttl": "soon"},
        {"fast_app_target": 3},
        {"huawei_notification": {"style": 1}},
        {"huawei_notification": {"importance": "URGENT"}},
        {"huawei_notification": {"visibility": "NONE"}},
        {"huawei_notification": {"color": "red"}},
        {"huawei_notification": {"vibrate_config": ["1s"] * 11}},
        {"huawei_notification": {"light_settings": {"light_on_duration": "1s"}}},
        {"huawei_notification": {"click_action": {"type": 2}}},
        {"huawei_notification": {"click_action": {"type": 9}}},
    ],
)
def test_what_huawei_would_refuse_is_refused_with_a_reason(given: dict[str, Any]) -> None:
    assert why(Platform.HUAWEI, **given)


@pytest.mark.parametrize("token", ["", "a/b", "a?b", "a#b", "a b", "a\r\nb", "ä", "x" * 5000])
@pytest.mark.parametrize("platform", list(Platform))
def test_a_token_that_could_be_more_than_a_token_is_refused_and_the_others_go(platform: Platform, token: str) -> None:
    made, refused = drafts(fields(platform, tokens=[token, "good1"]))

    assert [one.targets for one in made] == [("good1",)]
    assert [one.token for one in refused] == [token]


@pytest.mark.parametrize(
    "platform, given, lifetime, expires",
    [
        (Platform.IOS, {"expiration": 1893456000}, None, 1893456000),
        (Platform.ANDROID, {"expiration": 1893456000}, None, None),
        (Platform.ANDROID, {"android": {"ttl": "60s"}}, 60.0, None),
        (Platform.ANDROID, {"android": {"ttl": "0s"}}, 0.0, None),
        (Platform.HUAWEI, {"huawei_ttl": "60s"}, 60.0, None),
        (Platform.HUAWEI, {}, None, None),
    ],
)
def test_how_long_a_push_may_live(
    platform: Platform, given: dict[str, Any], lifetime: float | None, expires: int | None
) -> None:
    draft = only(platform, **given)

    assert (draft.lifetime, draft.expires) == (lifetime, expires)


@pytest.mark.parametrize("retry, retries", [(0, None), (-1, None), (3, 3)])
def test_the_caller_can_lower_the_number_of_attempts(retry: int, retries: int | None) -> None:
    assert only(Platform.IOS, retry=retry).retries == retries


@pytest.mark.parametrize(
    "given, counts",
    [({}, 1), ({"to": "x"}, 1), ({"topic": "t"}, 2), ({"condition": "c"}, 1), ({"tokens": ["a", "b"]}, 2)],
)
def test_what_is_counted(given: dict[str, Any], counts: int) -> None:
    assert count(fields(Platform.ANDROID, **given)) == counts


@pytest.mark.parametrize(
    "token, masked",
    [
        ("", ""),
        ("abc", "***"),
        ("a" * 19, "*" * 19),
        ("0123456789X9876543210", "**********X**********"),
        ("abcdefghijabcdefghijX1234567890", "********************X**********"),
    ],
)
def test_tokens_are_masked_as_gorush_masks_them(token: str, masked: str) -> None:
    assert responses.masked(token) == masked


def test_words_are_hidden_on_demand() -> None:
    entry = responses.failed_push(
        Platform.IOS, "t" * 30, notif_id="", words="secret", error="Unregistered", hide_token=True, hide_words=True
    )

    assert "secret" not in str(entry)
    assert "notif_id" not in entry


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)
LIKELY = st.dictionaries(
    st.sampled_from([*FIELDS, "TOKENS", "nobody"]),
    st.sampled_from(["x", "", 1, 0, -1, True, False, None, 0.5, ["x"], [], {}, {"a": 1}]) | JSON,
    max_size=12,
)


@given(st.lists(LIKELY, max_size=3), st.sampled_from([1, 2, 3]))
def test_any_document_is_either_refused_or_made_into_json_for_a_provider(
    asked: list[dict[str, Any]], platform: int
) -> None:
    document = json.dumps({"notifications": [{"tokens": ["t1"], **one, "platform": platform} for one in asked]})
    found = []
    with contextlib.suppress(Undecodable):
        found = list(notifications(document.encode("utf-8", "surrogatepass"), 100))

    for one in found:
        made, refused = drafts(one)
        assert made or refused or not one.get("tokens")
        for draft in made:
            assert isinstance(orjson.loads(draft.message.body), dict)
