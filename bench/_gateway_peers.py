"""The gateways that are measured, ours and the real gorush, and the rig between which they stand."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from _rig import REPOSITORY, cpu_seconds, environment
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from hushbell.testing.certificates import new_key, server_context
from hushbell.testing.child_processes import kill_with_parent

BUILD = REPOSITORY / "build"
RIG = Path(__file__).parent / "gateway_rig"
GORUSH = REPOSITORY / "tests" / "interop" / "gorush"
HOSTS = (
    "api.push.apple.com",
    "api.sandbox.push.apple.com",
    "fcm.googleapis.com",
    "oauth2.googleapis.com",
    "oauth-login.cloud.huawei.com",
    "push-api.cloud.huawei.com",
)
KEY = "b" * 43
TLS = "127.0.0.1:443"
INSIDE = "HUSHBELL_BENCH_INSIDE"
PATIENCE = 60.0


def enter_namespace() -> bool:
    """
    Begin again in a network of our own, where providers' names lead to the rig; whether that worked.

    gorush has no setting for the addresses of its providers.
    """
    if os.environ.get(INSIDE):
        return os.environ[INSIDE] == "1"
    if shutil.which("unshare") and subprocess.run(["unshare", "-n", "-m", "true"], check=False).returncode == 0:
        hosts = BUILD / "bench-hosts"
        hosts.parent.mkdir(exist_ok=True)
        hosts.write_text("127.0.0.1 localhost\n" + "".join(f"127.0.0.1 {name}\n" for name in HOSTS))
        script = f'ip link set lo up && mount --bind "{hosts}" /etc/hosts && exec "$@"'
        command = ["unshare", "-n", "-m", "sh", "-c", script, "sh", sys.executable, *sys.argv]
        os.execvpe("unshare", command, os.environ | {INSIDE: "1"})
    os.environ[INSIDE] = "0"
    return False


def build(name: str, folder: Path, package: str = ".") -> Path | None:
    """Build a Go program once; None if there is no Go, or it does not build."""
    binary = BUILD / name
    if shutil.which("go") is None:
        return binary if binary.exists() else None
    BUILD.mkdir(exist_ok=True)
    built = subprocess.run(["go", "build", "-mod=readonly", "-o", str(binary), package], cwd=folder, check=False)
    return binary if built.returncode == 0 else None


def pinned(core: int, command: list[str]) -> list[str]:
    """Return the command, kept to one core where the machine has several."""
    cores = sorted(os.sched_getaffinity(0))
    return ["taskset", "-c", str(cores[core % len(cores)]), *command] if shutil.which("taskset") else command


def peak_bytes(pid: int) -> int:
    """Return the most memory that a process held in RAM, shared pages included."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


class Rig:
    """The provider and the publisher."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @property
    def cpu(self) -> float:
        """Return the seconds of processor time it has used."""
        return cpu_seconds(self._process.pid)

    async def do(self, what: str, **options: Any) -> dict[str, Any]:
        """Run one command."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": what} | options).encode() + b"\n")
        line = await self._process.stdout.readline()
        found: dict[str, Any] = json.loads(line)
        if "error" in found:
            raise RuntimeError(found["error"])
        return found


@dataclass(slots=True)
class Files:
    """Keys, certificates and credentials of one run."""

    folder: Path

    def make(self) -> "Files":
        """Write them."""
        server_context(self.folder)
        pem = (self.folder / "server.pem").read_bytes()
        at = pem.index(b"-----BEGIN PRIVATE KEY")
        self.write("cert.pem", pem[:at])
        self.write("key.pem", pem[at:])
        self.write("AuthKey.p8", new_key()[1])
        account_key = rsa.generate_private_key(65537, 2048)
        account = {
            "type": "service_account",
            "project_id": "demo-project",
            "private_key_id": "rig",
            "private_key": account_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
            "client_email": "rig@demo-project.iam.gserviceaccount.com",
            "client_id": "1",
            "token_uri": "https://oauth2.googleapis.com/token",
        }
        self.write("account.json", json.dumps(account).encode())
        return self

    def write(self, name: str, content: bytes) -> Path:
        """Write a file for nobody else."""
        path = self.folder / name
        path.touch(0o600)
        path.write_bytes(content)
        return path


@asynccontextmanager
async def open_rig(binary: Path, files: Files, address: str) -> AsyncIterator[Rig]:
    """Start the rig."""
    command = [
        str(binary),
        "-tls",
        address,
        "-cert",
        str(files.folder / "cert.pem"),
        "-key",
        str(files.folder / "key.pem"),
    ]
    process = await asyncio.create_subprocess_exec(
        *pinned(1, command), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    kill_with_parent(process.pid)
    assert process.stdout is not None
    await process.stdout.readline()
    try:
        yield Rig(process)
    finally:
        process.kill()
        await process.wait()


class Peer:
    """A gateway process."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, address: str, key: str) -> None:
        self.name = name
        self.process = process
        self.address = address
        self.key = key

    @property
    def cpu(self) -> float:
        """Return the seconds of processor time it has used."""
        return cpu_seconds(self.process.pid)

    @property
    def memory(self) -> int:
        """Return the most bytes that it held in RAM at once."""
        return peak_bytes(self.process.pid)

    async def end(self, number: int) -> int:
        """Send a signal and return the exit status."""
        self.process.send_signal(number)
        return await asyncio.wait_for(self.process.wait(), PATIENCE)


OURS = """
[gateway]
listen = "127.0.0.1:{port}"
sync = {sync}
[[keys]]
name = "rig"
sha256 = "{digest}"
scopes = ["send", "read", "operate"]
per_minute = 600000000
burst = 10000000
"""
APP = """
[[apps]]
name = "{name}"
queue = {queue}
{feedback}
[apps.apns]
key_file = "{folder}/AuthKey.p8"
key_id = "KEYID12345"
team_id = "TEAMID1234"
connect = "{tls}"
ca_file = "{folder}/ca.pem"
[apps.fcm]
credentials_file = "{folder}/account.json"
connect = "{tls}"
ca_file = "{folder}/ca.pem"
"""


@asynccontextmanager
async def ours(
    files: Files, data: Path, *, tls: str, sync: bool = True, apps: int = 1, queue: int = 1_000_000, hook: str = ""
) -> AsyncIterator[Peer]:
    """Start our gateway: durable queue, keys, rates, states and metrics on."""
    text = OURS.format(port=8288, sync=str(sync).lower(), digest=sha256(KEY.encode()).hexdigest())
    feedback = f'feedback_url = "{hook}"' if hook else ""
    for number in range(apps):
        text += APP.format(name=f"app{number}", queue=queue, feedback=feedback, folder=files.folder, tls=tls)
    config = files.write("hushbell.toml", text.encode())
    command = [sys.executable, "-m", "hushbell.cli", "gateway", "--config", str(config), "--data", str(data)]
    process = await asyncio.create_subprocess_exec(
        *pinned(0, command),
        env=environment(),
        stdout=asyncio.subprocess.PIPE,
        stderr=(data.parent / "ours.log").open("ab"),
    )
    kill_with_parent(process.pid)
    assert process.stdout is not None
    async with _ending(process):
        ready = json.loads(await asyncio.wait_for(process.stdout.readline(), PATIENCE))
        yield Peer("ours", process, ready["http"].removeprefix("http://"), KEY)


YML = """
core: {{address: "127.0.0.1", port: "8289", sync: {sync}, worker_num: {workers}, queue_num: {queue},
  max_notification: 100, feedback_hook_url: "{hook}"}}
ios: {{enabled: true, key_path: "{folder}/AuthKey.p8", key_id: KEYID12345, team_id: TEAMID1234, production: true}}
android: {{enabled: true, key_path: "{folder}/account.json"}}
log: {{access_log: /dev/null, error_log: /dev/null, access_level: error}}
"""


@asynccontextmanager
async def gorush(
    binary: Path, files: Files, *, sync: bool = True, workers: int = 2, queue: int = 8192, hook: str = ""
) -> AsyncIterator[Peer]:
    """Start the real gorush; only within the namespace."""
    text = YML.format(folder=files.folder, sync=str(sync).lower(), workers=workers, queue=queue, hook=hook)
    config = files.write("gorush.yml", text.encode())
    variables = os.environ | {"SSL_CERT_FILE": str(files.folder / "ca.pem")}
    process = await asyncio.create_subprocess_exec(
        *pinned(0, [str(binary), "-c", str(config)]),
        env=variables,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    kill_with_parent(process.pid)
    async with _ending(process):
        for _ in range(int(PATIENCE * 20)):
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", 8289)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                break
        yield Peer("gorush", process, "127.0.0.1:8289", "")


@asynccontextmanager
async def _ending(process: asyncio.subprocess.Process) -> AsyncIterator[None]:
    try:
        yield
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
            await process.wait()
