"""``hushbell gateway import``, ``hushbell push`` and ``hushbell keys api`` as an operator meets them."""

import base64
import json
import stat
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from hushbell.cli import run
from hushbell.config.loader import Source, load
from hushbell.providers.registry import SETTINGS
from hushbell.testing.mock.server import MockProviders

GORUSH = """
core:
  address: "127.0.0.1"
  port: 9000
  sync: true
  max_notification: 50
  feedback_hook_url: "http://127.0.0.1:1/hook"
  feedback_header: ["x-one:1"]
  ssl: true
grpc: {enabled: true, port: "9001"}
api: {push_uri: /push}
android:
  credential: '{"type": "service_account"}'
  max_retry: 2
huawei: {enabled: true, appid: "1", appsecret: "hush"}
ios:
  enabled: true
  key_base64: "CERTIFICATE"
  key_type: p12
  password: "secret"
  production: true
queue: {engine: redis}
log: {hide_token: false}
""".replace("CERTIFICATE", base64.b64encode(b"certificate").decode())


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gorush.yml").write_text(GORUSH)
    return tmp_path


def test_a_gorush_configuration_becomes_ours(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["gateway", "import", "gorush.yml", "--output", "hushbell.toml"]) == 0

    settings = load(Source("hushbell.toml", (folder / "hushbell.toml").read_text()), providers=SETTINGS)
    gateway, (app,) = settings.gateway, settings.apps
    assert (gateway.listen, gateway.grpc, gateway.sync) == ("127.0.0.1:9000", "127.0.0.1:9001", True)
    assert (gateway.notifications, gateway.hide_token, gateway.paths.push) == (50, False, "/push")
    assert (app.attempts, app.feedback_url, app.feedback_headers) == (3, "http://127.0.0.1:1/hook", ("x-one:1",))
    providers: dict[str, Any] = dict(app.providers)
    apns, fcm, huawei = (providers[name] for name in ("apns", "fcm", "huawei"))
    assert apns.route == "production"
    assert Path(apns.certificate_file).read_bytes() == b"certificate"
    assert Path(apns.password_file).read_bytes() == b"secret"
    assert json.loads(Path(fcm.credentials_file).read_text()) == {"type": "service_account"}
    assert Path(huawei.secret_file).read_bytes() == b"hush"
    told = capsys.readouterr().err
    assert "core.ssl" in told
    assert "queue.engine" in told


def test_secrets_go_to_files_that_nobody_else_may_read(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["gateway", "import", "gorush.yml"]) == 0

    printed = capsys.readouterr()
    for secret in ('hush"', "service_account", base64.b64encode(b"certificate").decode()):
        assert secret not in printed.out + printed.err
    modes = {stat.S_IMODE(file.stat().st_mode) for file in (folder / "hushbell-secrets").iterdir()}
    assert modes == {0o600}


def test_gorushs_variables_go_before_its_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GORUSH_CORE_PORT", "7777")
    monkeypatch.setenv("GORUSH_IOS_ENABLED", "false")

    assert run(["gateway", "import", "gorush.yml", "--output", "hushbell.toml"]) == 0

    settings = load(Source("hushbell.toml", (folder / "hushbell.toml").read_text()), providers=SETTINGS)
    assert settings.gateway.listen == "127.0.0.1:7777"
    assert "apns" not in settings.apps[0].providers


def test_an_empty_configuration_is_gorushs_default(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "gorush.yml").write_text("")

    assert run(["gateway", "import", "gorush.yml"]) == 0

    printed = capsys.readouterr()
    assert load(Source("x", printed.out)).gateway.anonymous
    assert "[[keys]]" in printed.err


@pytest.mark.parametrize("text", ["[1, 2", "- a\n- b", "core: [1]", "ios: {enabled: true, key_base64: '*'}", "&a [*a]"])
def test_what_is_no_configuration_is_said_so(folder: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "gorush.yml").write_text(text)

    status = run(["gateway", "import", "gorush.yml"])

    assert status in (0, 2)
    assert "Traceback" not in capsys.readouterr().err


async def test_a_push_from_the_shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import asyncio

    async with MockProviders(directory=tmp_path) as mock:
        key = mock.gorush.key_file
        given = ["push", "--url", mock.plain_url, "--key-file", str(key), "--app", "chat"]
        given += ["--ios", "-t", "ab", "-m", "hi"]
        assert await asyncio.to_thread(run, [*given, "--topic", "im.example", "--data", '{"k": 1}']) == 0
        mock.rule({"reply": {"reason": "Unregistered"}})
        assert await asyncio.to_thread(run, given) == 1
        mock.rule({"reply": {"status": 503}})
        assert await asyncio.to_thread(run, given) == 75
        mock.rule({"reply": {"status": 401}})
        assert await asyncio.to_thread(run, given) == 1

    assert mock.requests[0].json["notifications"] == [
        {"platform": 1, "tokens": ["ab"], "topic": "im.example", "message": "hi", "data": {"k": 1}}
    ]
    headers, secret = mock.requests[0].request.headers, key.read_text().strip()
    assert headers["authorization"] == f"Bearer {secret}"
    assert headers["x-hushbell-app"] == "chat"
    assert secret not in capsys.readouterr().out


def test_a_push_that_says_too_little_or_goes_nowhere(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["push", "--message", "x"]) == 2
    assert run(["push", "--ios", "--message", "x"]) == 2
    assert run(["push", "--ios", "-t", "ab", "--data", "[]"]) == 2
    assert run(["push", "--ios", "-t", "ab", "--url", "file:///etc/passwd"]) == 2
    assert run(["push", "--ping", "--url", "http://127.0.0.1:9"]) == 75


def test_an_api_key_is_made_once_and_only_its_hash_is_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "backend.key"

    assert run(["keys", "api", "--name", "backend", "--file", str(path)]) == 0

    key = path.read_bytes().strip()
    assert len(base64.urlsafe_b64decode(key + b"=")) == 32
    printed = capsys.readouterr().out
    assert key.decode() not in printed
    (made,) = load(Source("x", printed)).keys
    assert made.sha256 == sha256(key).hexdigest()
    assert run(["keys", "api", "--name", "backend", "--file", str(path)]) == 2
