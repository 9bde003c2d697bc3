"""
The real gorush and ours, asked the same: the recorded corpus, and further requests that are recorded in each run.

Compared are answers and what the providers receive. Each difference is intended, listed here, and has its reason; one
that is gone fails the test, too.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

import hushbell
from hushbell.testing.certificates import new_key, server_context

pytestmark = pytest.mark.interop

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
CORPUS = ROOT / "tests" / "vectors" / "gorush-corpus.json"
HOSTS = (
    "api.push.apple.com",
    "api.sandbox.push.apple.com",
    "fcm.googleapis.com",
    "oauth2.googleapis.com",
    "oauth-login.cloud.huawei.com",
    "push-api.cloud.huawei.com",
)
PROFILES = {
    "async": "sync: false",
    "sync": "sync: true",
    "masked": 'sync: true, feedback_hook_url: "http://127.0.0.1:18099/hook", feedback_header: ["x-one:1", "x-bad:a:b"]',
}

EXACT = "integers stay exact; gorush sends them through a 64-bit float"
SAID = "what can never be sent is said in the logs; gorush is silent"
SILENT = "a silent push says that it is one (push type background, priority 5); Apple drops others"
INTENDED = {
    "duplicate-list": "fields of an overwritten list do not leak into the new one",
    "token-empty-string": SAID + ", and an empty token is not sent",
    "ios-all-fields": "the caller's apns-id can only name one push; two tokens get one each. " + EXACT,
    "ios-silent": SILENT,
    "ios-data-bigint": EXACT,
    "ios-to-ignored": "`to` is a token on every platform",
    "ios-header-injection": SAID,
    "android-topic-and-condition": SAID,
    "android-all-fields": "fractions of seconds are kept",
    "android-bad-color": SAID,
    "android-501-tokens": "one request per token has no limit of 500",
    "grpc-ios": "an empty sound is left out",
    "grpc-ios-development": "an empty sound is left out",
    "grpc-android-topic": "empty blocks are left out",
    "sync-android-500": "after QUOTA_EXCEEDED the project rests for a minute, as Google asks; the push waits",
    "sync-android-bad-color": SAID,
    "sync-android-topic-and-condition": SAID,
    "sync-ios-all-fields": EXACT,
    "sync-android-all-fields": EXACT + "; sent when the project's rest is over, together with the push before it",
}
INTENDED_MORE: dict[str, str] = {}


@pytest.fixture(scope="session")
def gorush() -> Path:
    """Build gorush once for a checkout; about 90 s cold, seconds warm."""
    if shutil.which("go") is None:
        pytest.skip("the real gorush needs Go 1.25 or later: install the package golang")
    binary = ROOT / "build" / "gorush"
    binary.parent.mkdir(exist_ok=True)
    command = ["go", "build", "-mod=readonly", "-o", str(binary), "github.com/appleboy/gorush"]
    built = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=False, timeout=1200)
    assert built.returncode == 0, built.stderr
    return binary


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates and credentials that both programs use."""
    folder = tmp_path_factory.mktemp("gorush")
    server_context(folder)
    pem = (folder / "server.pem").read_bytes()
    at = pem.index(b"-----BEGIN PRIVATE KEY")
    account_key = rsa.generate_private_key(65537, 2048)
    account = {
        "type": "service_account",
        "project_id": "demo-project",
        "private_key_id": "k",
        "private_key": account_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
        "client_email": "a@demo-project.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": "https://oauth2.googleapis.com/token",
    }
    for name, content in (
        ("cert.pem", pem[:at]),
        ("key.pem", pem[at:]),
        ("AuthKey.p8", new_key()[1]),
        ("account.json", json.dumps(account).encode()),
        ("hosts", "".join(f"127.0.0.1 {host}\n" for host in ("localhost", *HOSTS)).encode()),
    ):
        (folder / name).touch(0o600)
        (folder / name).write_bytes(content)
    for profile, core in PROFILES.items():
        (folder / f"{profile}.yml").write_text(configuration(folder, profile, core))
    return folder


def configuration(folder: Path, profile: str, core: str) -> str:
    others = str(profile != "masked").lower()
    return f"""
core: {{address: "127.0.0.1", port: "8288", worker_num: 2, {core}}}
grpc: {{enabled: true, port: "8290"}}
ios: {{enabled: true, key_path: "{folder}/AuthKey.p8", key_id: KEYID12345, team_id: TEAMID1234, production: true}}
android: {{enabled: {others}, key_path: "{folder}/account.json"}}
huawei: {{enabled: {others}, appid: "100000001", appsecret: huaweisecret}}
log: {{hide_token: {str(profile != "sync").lower()}, access_log: /dev/null, error_log: /dev/null}}
"""


def replay(files: Path, tls: str, profile: str, *options: str) -> list[str]:
    """Return the command that asks whoever listens on the ports of the configuration."""
    return [
        sys.executable, str(HERE / "replay.py"), "--base", "http://127.0.0.1:8288", "--grpc", "127.0.0.1:8290",
        "--profile", profile, "--providers", tls, "--cert", str(files / "cert.pem"), "--key", str(files / "key.pem"),
        "--extra-ok", "--provider-extra-ok", *options,
    ]  # fmt: skip


def differences(output: str) -> dict[str, str]:
    """Return the cases that differ, with what differs."""
    found: dict[str, str] = {}
    name = ""
    for line in output.splitlines():
        if line.startswith("FAIL "):
            name = line.split()[1]
            found[name] = ""
        elif line.startswith("      ") and name:
            found[name] += line.strip() + "; "
    return found


def beside_gorush(gorush: Path, files: Path, profile: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the replay with the real gorush, in a network where the providers' names lead to the replay's stand-in."""
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-n", "-m", "true"], check=False).returncode:
        pytest.skip("gorush has no setting for its providers' addresses: needs unshare -n -m (root, Linux)")
    # The Huawei token is fetched at start: the stand-in listens first, and waits until gorush does.
    script = f"""
set -e
ip link set lo up
mount --bind "{files}/hosts" /etc/hosts
{" ".join(f"'{part}'" for part in replay(files, "127.0.0.1:443", profile, *options, "--serve"))} & mock=$!
sleep 1
SSL_CERT_FILE="{files}/ca.pem" "{gorush}" -c "{files}/{profile}.yml" >/dev/null 2>&1 & gorush=$!
for n in $(seq 100); do
    '{sys.executable}' -c 'import socket; socket.create_connection(("127.0.0.1", 8288))' 2>/dev/null && break
    sleep 0.1
done
kill $mock; wait $mock || true
{" ".join(f"'{part}'" for part in replay(files, "127.0.0.1:443", profile, *options))} || true
kill -9 $gorush
"""
    return subprocess.run(
        ["unshare", "-n", "-m", "sh", "-c", script], capture_output=True, text=True, check=False, timeout=400
    )


@contextmanager
def ours(files: Path, profile: str, data: Path) -> Iterator[None]:
    """Run our gateway on what ``hushbell gateway import`` makes of gorush's configuration."""
    environment = {**os.environ, "PYTHONPATH": str(Path(hushbell.__file__).parents[1])}
    program = [sys.executable, "-m", "hushbell.cli", "gateway"]
    importing = [*program, "import", str(files / f"{profile}.yml"), "--secrets", str(data / "secrets")]
    made = subprocess.run(importing, env=environment, capture_output=True, text=True, check=True).stdout
    stand_in = f'connect = "127.0.0.1:8443"\nca_file = "{files}/ca.pem"\n'
    # One attempt, as gorush makes it: a second one would be taken for the next case's.
    made = made.replace('[[apps]]\nname = "default"\n', '[[apps]]\nname = "default"\nattempts = 1\n')
    for section in ("apns", "fcm", "huawei"):
        made = made.replace(f"[apps.{section}]\n", f"[apps.{section}]\n{stand_in}")
    made = made.replace("[apps.apns]\n", "[apps.apns]\nprobe = false\n")
    config = data / "hushbell.toml"
    config.write_text(made)
    command = [*program, "--config", str(config), "--data", str(data / "data")]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["ready"]
        try:
            yield
        finally:
            process.terminate()
            process.communicate(timeout=20)


def beside_ours(files: Path, profile: str, data: Path, *options: str) -> str:
    with ours(files, profile, data):
        time.sleep(0.1)
        command = replay(files, "127.0.0.1:8443", profile, *options)
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=400).stdout


@pytest.mark.parametrize("profile", PROFILES)
def test_the_corpus_is_what_the_real_gorush_does(gorush: Path, files: Path, profile: str) -> None:
    done = beside_gorush(gorush, files, profile, "--corpus", str(CORPUS))

    assert f"profile {profile}: " in done.stdout, done.stdout + done.stderr
    assert differences(done.stdout) == {}


@pytest.mark.parametrize("profile", PROFILES)
def test_ours_does_what_gorush_did_except_where_it_is_better(files: Path, profile: str, tmp_path: Path) -> None:
    output = beside_ours(files, profile, tmp_path, "--corpus", str(CORPUS))

    cases = {case["name"] for case in json.loads(CORPUS.read_bytes())["cases"] if case["profile"] == profile}
    assert f"profile {profile}: " in output
    found = differences(output)
    assert set(found) == set(INTENDED) & cases, found


def test_further_requests_get_the_same_from_both(gorush: Path, files: Path, tmp_path: Path) -> None:
    corpus = tmp_path / "more.json"
    recorded = beside_gorush(
        gorush, files, "async", "--record", "--cases", str(HERE / "more_cases.py"), "--corpus", str(corpus)
    )
    assert corpus.exists(), recorded.stdout + recorded.stderr

    output = beside_ours(files, "async", tmp_path, "--corpus", str(corpus))

    assert "profile async: " in output
    found = differences(output)
    assert set(found) == set(INTENDED_MORE), found
    cases = json.loads(corpus.read_bytes())["cases"]
    assert f"profile async: {len(cases) - len(found)} passed" in output
    assert sum(len(case["providers"]) for case in cases) > 50, "most of them reached a provider"
