"""Apple's checks have their reasons."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from hushbell.testing.certificates import Authority, new_key
from hushbell.testing.mock.apns import KEY_ID, TEAM_ID, MockApns
from hushbell.testing.mock.http import Fault, Request
from hushbell.testing.mock.rules import RecordedPush, ScriptedReply

NOW = 1_700_000_000  # seconds
STRANGER, _ = new_key()
PATH = "/3/device/" + "ab" * 32
PAYLOAD = b'{"aps":{"alert":"x"}}'
APNS_ID = "123e4567-e89b-12d3-a456-426614174000"


@pytest.fixture(scope="module")
def mock(tmp_path_factory: pytest.TempPathFactory) -> MockApns:
    folder = tmp_path_factory.mktemp("apns")
    made = MockApns(folder, Authority(folder))
    made.topics = frozenset({"app"})
    return made


def part(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def jwt(key: ec.EllipticCurvePrivateKey, **changes: Any) -> str:
    fields = {"alg": "ES256", "kid": KEY_ID, "iss": TEAM_ID, "iat": NOW} | changes
    head = part(json.dumps({"alg": fields["alg"], "kid": fields["kid"]}).encode())
    text = f"{head}.{part(json.dumps({'iss': fields['iss'], 'iat': fields['iat']}).encode())}"
    r, s = decode_dss_signature(key.sign(text.encode(), ec.ECDSA(SHA256())))
    return f"bearer {text}.{part(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def check(mock: MockApns, **changes: Any) -> tuple[RecordedPush, ScriptedReply | None]:
    """Send a good push with these changes; names in lower case are headers."""
    request = {"method": "POST", "path": PATH, "body": PAYLOAD, "is_certified": False, "is_http2": True}
    given = {name: changes.pop(name) for name in request if name in changes}
    now = changes.pop("now", NOW)
    headers = {"authorization": jwt(mock.key), "apns-topic": "app"}
    headers |= {name.replace("_", "-"): value for name, value in changes.items()}
    return mock.check(Request(**request | given, headers=headers, connection=1, stream=1), now * 1000)  # type: ignore[arg-type]


def test_a_good_push_is_accepted(mock: MockApns) -> None:
    push, refusal = check(mock, apns_id=APNS_ID, apns_collapse_id="x" * 64)

    assert refusal is None
    assert (push.token, push.apns_id, push.collapse, push.jwt_iat) == ("ab" * 32, APNS_ID, "x" * 64, NOW)


@pytest.mark.parametrize(
    "changes,status,reason",
    [
        ({"method": "GET"}, 405, "MethodNotAllowed"),
        ({"duplicate": "yes"}, 400, "DuplicateHeaders"),
        ({"path": "/3/devices/ab"}, 404, "BadPath"),
        ({"path": "/3/device/ab?c"}, 404, "BadPath"),
        ({"path": "/3/device/xy"}, 400, "BadDeviceToken"),
        ({"path": "/3/device/"}, 400, "MissingDeviceToken"),
        ({"path": "/3/device/abc"}, 400, "BadDeviceToken"),
        ({"apns_topic": ""}, 400, "MissingTopic"),
        ({"apns_topic": "other"}, 400, "DeviceTokenNotForTopic"),
        ({"apns_id": "1"}, 400, "BadMessageId"),
        ({"apns_expiration": "soon"}, 400, "BadExpirationDate"),
        ({"apns_priority": "9"}, 400, "BadPriority"),
        ({"apns_collapse_id": "x" * 65}, 400, "BadCollapseId"),
        ({"apns_push_type": "loud"}, 400, "InvalidPushType"),
        ({"body": b""}, 400, "PayloadEmpty"),
        ({"body": b"{}"}, 400, "BadRequest"),
        ({"body": b"[" + PAYLOAD}, 400, "BadRequest"),
        ({"body": PAYLOAD + b" " * 4096}, 413, "PayloadTooLarge"),
        ({"authorization": ""}, 403, "MissingProviderToken"),
        ({"authorization": "bearer a.b.c"}, 403, "InvalidProviderToken"),
        ({"authorization": jwt(STRANGER)}, 403, "InvalidProviderToken"),
        ({"now": NOW + 3601}, 403, "ExpiredProviderToken"),
        ({"is_certified": True, "apns_topic": "", "apns_priority": "9"}, 400, "BadPriority"),
    ],
)
def test_each_of_apples_checks_has_its_reason(
    mock: MockApns, changes: dict[str, Any], status: int, reason: str
) -> None:
    assert check(mock, **changes)[1] == ScriptedReply(status=status, reason=reason)


@pytest.mark.parametrize("changes", [{"kid": "other"}, {"iss": "other"}, {"alg": "none"}, {"iat": NOW + 3601}])
def test_a_provider_token_of_another_team_key_or_time_is_refused(mock: MockApns, changes: dict[str, Any]) -> None:
    _, refusal = check(mock, authorization=jwt(mock.key, **changes))

    assert refusal == ScriptedReply(status=403, reason="InvalidProviderToken")


def test_a_certificate_replaces_provider_token_and_topic(mock: MockApns) -> None:
    assert check(mock, is_certified=True, authorization="", apns_topic="")[1] is None


def test_http_1_is_cut_off_as_apple_does(mock: MockApns) -> None:
    assert check(mock, is_http2=False)[1] == ScriptedReply(fault=Fault.CLOSE)


@pytest.mark.parametrize(
    "reply,status,body",
    [
        (ScriptedReply(), 200, None),
        (ScriptedReply(status=410, timestamp=7), 410, {"reason": "Unregistered", "timestamp": 7}),
        (ScriptedReply(status=400, reason="BadTopic"), 400, {"reason": "BadTopic"}),
        (ScriptedReply(status=599), 599, None),
    ],
)
def test_a_reply_is_written_as_apple_does(
    mock: MockApns, reply: ScriptedReply, status: int, body: dict[str, Any] | None
) -> None:
    request = Request("POST", PATH, {}, PAYLOAD, 1, 1)

    response = mock.respond(request, RecordedPush("apns", apns_id=APNS_ID), reply)

    assert (response.status, response.headers) == (status, (("apns-id", APNS_ID),))
    assert (json.loads(response.body) if response.body else None) == body


def test_a_key_file_can_be_read_by_its_owner_alone(mock: MockApns) -> None:
    assert "PRIVATE KEY" in mock.key_file.read_text()
    assert mock.key_file.stat().st_mode & 0o777 == 0o600


def test_the_keys_of_two_mocks_differ(tmp_path: Path, mock: MockApns) -> None:
    other = MockApns(tmp_path, Authority(tmp_path))

    assert check(other, authorization=jwt(mock.key))[1] == ScriptedReply(status=403, reason="InvalidProviderToken")
