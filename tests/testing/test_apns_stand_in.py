"""The stand-in for Apple's push service refuses what Apple refuses."""

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from hushbell.testing.apns import Act, Answer, MockApns, parse_answer
from hushbell.testing.apns_rules import Judge
from hushbell.testing.certificates import new_key

NOW = 1_700_000_000
KEY, _ = new_key()
STRANGER, _ = new_key()
PATH = "/3/device/" + "ab" * 32
PAYLOAD = b'{"aps":{"alert":"x"}}'


def part(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def jwt(key: ec.EllipticCurvePrivateKey = KEY, **changes: Any) -> str:
    fields = {"alg": "ES256", "kid": "K", "iss": "T", "iat": NOW} | changes
    head = part(json.dumps({"alg": fields["alg"], "kid": fields["kid"]}).encode())
    text = f"{head}.{part(json.dumps({'iss': fields['iss'], 'iat': fields['iat']}).encode())}"
    r, s = decode_dss_signature(key.sign(text.encode(), ec.ECDSA(SHA256())))
    return f"bearer {text}.{part(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def refusal(path: str = PATH, payload: bytes = PAYLOAD, now: int = NOW, **headers: str) -> Answer | None:
    judge = Judge(KEY.public_key(), key_id="K", team_id="T", topics=frozenset({"app"}))
    given = {"authorization": jwt(), "apns-topic": "app"} | {name.replace("_", "-"): headers[name] for name in headers}
    return judge.refusal(path, given, payload, now * 1000)


def test_a_proper_push_is_taken() -> None:
    assert refusal(apns_id="123e4567-e89b-12d3-a456-426614174000", apns_collapse_id="x" * 64) is None


@pytest.mark.parametrize(
    "changes,status,reason",
    [
        ({"path": "/3/devices/ab"}, 404, "BadPath"),
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
        ({"payload": b""}, 400, "PayloadEmpty"),
        ({"payload": b"{}"}, 400, "BadRequest"),
        ({"payload": b"[" + PAYLOAD}, 400, "BadRequest"),
        ({"payload": PAYLOAD + b" " * 4096}, 413, "PayloadTooLarge"),
        ({"authorization": ""}, 403, "MissingProviderToken"),
        ({"authorization": "bearer a.b.c"}, 403, "InvalidProviderToken"),
        ({"authorization": jwt(STRANGER)}, 403, "InvalidProviderToken"),
        ({"authorization": jwt(kid="other")}, 403, "InvalidProviderToken"),
        ({"authorization": jwt(iss="other")}, 403, "InvalidProviderToken"),
        ({"authorization": jwt(alg="none")}, 403, "InvalidProviderToken"),
        ({"authorization": jwt(iat=NOW + 3601)}, 403, "InvalidProviderToken"),
        ({"now": NOW + 3601}, 403, "ExpiredProviderToken"),
    ],
)
def test_each_of_apples_checks_has_its_answer(changes: dict[str, Any], status: int, reason: str) -> None:
    answer = refusal(**changes)

    assert answer is not None
    assert (answer.status, answer.reason) == (status, reason)


def test_a_script_line_may_not_hold_unknown_words() -> None:
    assert parse_answer({"status": 410, "act": "close"}) == Answer(status=410, act=Act.CLOSE)
    wrongs: tuple[Any, ...] = ({"stauts": 1}, {"act": "explode"}, [], None)
    for wrong in wrongs:
        with pytest.raises(ValueError):
            parse_answer(wrong)


async def test_commands_change_what_it_says() -> None:
    async with MockApns() as mock:
        await mock.control({"rule": "ab", "answer": {"status": 410}})
        await mock.control({"script": [{"status": 500}, {}]})
        await mock.control({"do": "refuse"})
        await mock.control({"do": "listen"})

        assert mock.rules == {"ab": Answer(status=410)}
        assert list(mock.script) == [Answer(status=500), Answer()]
        with pytest.raises(ValueError):
            await mock.control({"do": "nothing"})


def test_as_a_process_it_says_when_it_is_ready_and_obeys(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hushbell.testing.apns", "--dir", str(tmp_path), "--log", str(tmp_path / "log")]
    source = str(Path(__file__).parents[2] / "src")

    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={"PYTHONPATH": source}, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        process.stdin.write('{"rule": "ab", "answer": {"status": 410}}\n{"do": "stats"}\nnonsense\n')
        process.stdin.flush()
        answers = [json.loads(process.stdout.readline()) for _ in range(3)]
        process.stdin.close()
        assert process.wait(10) == 0

    assert ready["ready"]
    assert Path(ready["ca_file"]).exists()
    assert "PRIVATE KEY" in Path(ready["key_file"]).read_text()
    assert answers[0] == {"done": True}
    assert answers[1]["pushes"] == 0
    assert "error" in answers[2]


def test_an_accepted_push_is_on_record_before_it_is_answered(tmp_path: Path) -> None:
    with (tmp_path / "log").open("ab", buffering=0) as log:
        mock = MockApns(directory=tmp_path, log=log, now=lambda: NOW * 1000)
        mock.judge = Judge(KEY.public_key(), key_id="K", team_id="T", topics=frozenset())

        answer = mock._judge(PATH, {"authorization": jwt(), "apns-topic": "app"} | ID, PAYLOAD)

    [line] = (tmp_path / "log").read_text().splitlines()
    assert answer.status == 200
    assert json.loads(line)["apns_id"] == ID["apns-id"]
    assert "authorization" not in line


ID = {"apns-id": "123e4567-e89b-12d3-a456-426614174000"}
