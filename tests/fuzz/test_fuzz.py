"""Every parser of hostile bytes, fuzzed from status-go's own messages for HUSHBELL_FUZZ_SECONDS each (default 10)."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from hushbell import wire
from hushbell.testing.child_processes import kill_with_parent
from hushbell.waku.relay.rpc import Control, control_frames, message_frame, topic_tail
from hushbell.waku.wire.codecs import encode
from hushbell.waku.wire.services import (
    FilterPush,
    FilterRequest,
    LightpushRequest,
    Metadata,
    PeersResponse,
    PushRequest,
    PushRpc,
    StoreEntry,
    StoreRequest,
    StoreResponse,
)

pytestmark = pytest.mark.fuzz

HERE = Path(__file__).parent
VECTORS = HERE.parent / "vectors"
SECONDS = int(os.environ.get("HUSHBELL_FUZZ_SECONDS", "10"))
START = 60  # seconds for the imports and the first look at the corpus
MEMORY = 1024  # MiB
LONGEST = 64 * 1024  # bytes of an input; what larger ones cost is measured elsewhere
OWN = ("decode", "frame", "segment", "unwrap", "whole", "rules", "bus", "answers", "http2", "settings")
SERVICES = ("messages", "queries", "answers", "filters", "pushes", "records")
LIBP2P = ("noise", "records", "upgrade", "negotiation", "yamux", "mplex", "names", "connection")
RELAY = ("rpc", "history")
PROVIDERS = ("answers", "addresses", "subscriptions", "paddings", "mock")
TARGETS = (
    *OWN,
    *(f"waku_relay.{name}" for name in RELAY),
    *(f"waku_services.{name}" for name in SERVICES),
    *(f"libp2p_parsers.{name}" for name in LIBP2P),
    *(f"push_providers.{name}" for name in PROVIDERS),
)
SHARD, TOPIC = "/waku/2/rs/16/32", "/waku/1/0x69bc8983/rfc26"
MESSAGE = wire.encode(wire.WakuMessage(payload=b"a", content_topic=TOPIC, timestamp=11, meta=b"b", ephemeral=True))
ASKED = (
    FilterRequest("a", 1, SHARD, (TOPIC, "/b")),
    FilterRequest("a", 3),
    StoreRequest("a", True, SHARD, (TOPIC[:4], TOPIC[:5]), 1, 9, forward=True, limit=3),
    StoreRequest("a", message_hashes=(bytes(32),), cursor=bytes(32)),
    StoreRequest("a", True, limit=3),
    LightpushRequest("a", SHARD, MESSAGE),
    PushRpc("a", PushRequest(SHARD, MESSAGE)),
    Metadata(16, (32, 64)),
)
ANSWERED = (
    FilterPush(MESSAGE, SHARD),
    StoreResponse("a", 200, "OK", (StoreEntry(None, MESSAGE, SHARD), StoreEntry(bytes(32))), bytes(32)),
    PeersResponse((b"a",), 200),
)
LINES = b"\x17\x13/multistream/1.0.0\n\x03/a\n"  # a piece's length comes first
YAMUX = b"\x0b\0\1\0\1" + bytes(3) + b"\3" + bytes(4) + b"\x0d" + bytes(7) + b"\3\0\0\0\2hi"
OPENING = b"\x23\0\0\0\1\0\0\0\1\0\0\0\x18\x13/multistream/1.0.0\n\x03/a\n"
RPC = message_frame(MESSAGE, topic_tail(SHARD)) + b"".join(
    control_frames(
        Control([(True, SHARD), (False, "/a")], [(SHARD, [bytes(32)])], [bytes(32)], [SHARD], [("/a", 60)]), 2
    )
)
WORDS: dict[str, tuple[bytes, ...]] = {
    "bus": (b'{"pubsub_topic": "/waku/2/rs/16/32", "waku_message": "0a01ff"}\n',),
    "answers": (
        b"\x36\1100   " + b'{"reason": "Unregistered", "timestamp": 1700000000000}',
        b"\x64\0100   " + b'{"logs": [{"type": "failed-push", "notif_id": "a", "error": "BadDeviceToken"}]}',
    ),
    "http2": (
        b"\xff\0\0\1\1\5\0\0\0\1\x88" + b"\0\0\x14\1\4\0\0\0\3\x08\x03410\0\7apns-id\4abcd" + b"\0\0\2\0\1\0\0\0\3{}",
        b"\5\0\0\6\4\0\0\0\0\0\0\4\0\0\0\5\0" + b"\0\0\4\x08\0\0\0\0\5\0\0\x10\0" + b"\0\0\x08\6\0\0\0\0\0" + bytes(8),
        b"\xff\0\0\x08\7\0\0\0\0\0\0\0\0\3\0\0\0\0" + b"\0\0\4\3\0\0\0\0\1\0\0\0\7",
        b"\xff\0\0\1\1\0\0\0\0\1\x88" + b"\0\0\x0e\x09\4\0\0\0\1\0\7apns-id\4abcd",
    ),
    "libp2p_parsers.noise": (b"\x0a\x02ab\x12\x02cd\x22\x04\x12\x02/y", b"\x21\0\x20" + bytes(32)),
    "libp2p_parsers.records": (b"\x13\0\x12" + bytes(18),),
    "libp2p_parsers.upgrade": (LINES, LINES + b"\x20" + bytes(33)),
    "libp2p_parsers.negotiation": (LINES, b"\x05\x03ls\n\x03na\n"),
    "libp2p_parsers.yamux": (YAMUX,),
    "libp2p_parsers.mplex": (b"\x0a\x08\x011\x0a\x02hi\x0c\0\x0e\0", b"\x06\0\0\2\2hi\1\0"),
    "libp2p_parsers.names": (
        bytes.fromhex("047f00000106ea60dd03"),
        bytes.fromhex("08011220" + "1e" * 32),
        b"/dns4/a.b/tcp/443/tls/sni/c.d/ws",
        b"12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA",
        b"\x0a\x02ab\x12\x08\x04\x7f\0\0\1\6\xea\x60\x1a\2/a\x22\2xx\x2a\1v\x32\1a",
    ),
    "libp2p_parsers.connection": (
        b"\0" + OPENING,
        b"\0" + OPENING + YAMUX,
        b"\xff\x1c\0\0\2\x17\x13/multistream/1.0.0\n",
    ),
    "push_providers.answers": (
        b"\x30\1100   " + b'{"error": {"details": [{"@type": "google.firebase.fcm.v1.FcmError", "errorCode": "a"}]}}',
        b"\x64\0100   " + b'{"code": "80100000", "msg": "{\\"illegal_tokens\\": [\\"a\\"]}"}',
        b"\x64\0100   " + b'{"success": true, "info": {"failed": ["a"]}}',
        b"\x2c\1100   " + b"<ErrorResponse><Error><Code>EndpointDisabled</Code></Error></ErrorResponse>",
        b"\x64\0100   " + b'{"access_token": "a", "expires_in": 3600}',
        b"\x64\0100   " + b'{"logs": [{"type": "failed-push", "notif_id": "a", "code": "b", "token_dead": true}]}',
    ),
    "push_providers.addresses": (b"https://[::ffff:127.0.0.1]:8443/a?b", b"0x7f.1/", b"\xfe\x80" + bytes(14)),
    "push_providers.subscriptions": (b'{"endpoint": "https://a.b/c", "keys": {"p256dh": "BAAA", "auth": "AAAA"}}',),
    "push_providers.paddings": (b'{"data": {"a": "b"}, "aps": {}}',),
    "push_providers.mock": (
        b"\0\0\4\1\4\0\0\0\1\x83\x87\x84\x41\0" + b"\0\0\2\0\1\0\0\0\1{}",
        b"\0\0\1\1\0\0\0\0\1\x83" + b"\0\0\1\x09\4\0\0\0\1\x84",
    ),
    "settings": (
        b'[server]\nworkers = 2\n[limits]\nenvelope = 1024\n[gateway]\nurl = "http://127.0.0.1:8088"\n',
        b"[1]",
    ),
    "waku_relay.rpc": tuple(bytes([cut]) + RPC for cut in (0, 3, 255)),
    "waku_relay.history": (
        b"\0\0\1\0" + b"\xc0" + bytes([len(RPC)]) + RPC + b"\x81" + bytes([len(MESSAGE)]) + MESSAGE + b"\x20\0",
        b"\1\0\xa1" + bytes([len(MESSAGE)]) + MESSAGE + b"\x20\5\x41\0",
    ),
    "waku_services.messages": (*map(encode, ASKED), *map(encode, ANSWERED)),
    "waku_services.queries": tuple(encode(one) for one in ASKED if isinstance(one, StoreRequest)),
    "waku_services.answers": tuple(encode(one) for one in ANSWERED if isinstance(one, StoreResponse)),
    "waku_services.filters": tuple(
        bytes([len(encode(one))]) + encode(one) for one in ASKED if isinstance(one, FilterRequest)
    ),
    "waku_services.pushes": (MESSAGE,),
    "waku_services.records": (
        bytes.fromhex(
            "f884b8407098ad865b00a582051940cb9cf36836572411a47278783077011599ed5cd16b76f2635f4e234738f30813a89eb9137e3e3d"
            "f5266e3a1f11df72ecf1145ccb9c01826964827634826970847f00000189736563703235366b31a103ca634cae0d49acb401d8a4c6b6"
            "fe8c55b70d115bf400769cc1400f3258cd31388375647082765f"
        ),
    ),
}


def messages(value: Any) -> Iterator[bytes]:
    """Every binary value of a vector file."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from messages(one)
    elif isinstance(value, str) and 20 <= len(value) <= 4096:
        try:
            yield bytes.fromhex(value)
        except ValueError:
            return


def seed(target: str, corpus: Path) -> None:
    if target in WORDS:
        found = set(WORDS[target])
    else:
        found = {
            message for path in VECTORS.rglob("*.json") for message in messages(json.loads(path.read_text("utf-8")))
        }
    corpus.mkdir()
    for number, message in enumerate(sorted(found)):
        start = bytes([number % 10]) if target == "whole" else b""
        (corpus / str(number)).write_bytes(start + message)


Runs = dict[str, "Future[tuple[int, list[str], str]]"]


@pytest.fixture(scope="session")
def runs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    """Start every target that is asked for, as many at a time as there are processors."""
    params = [item.callspec.params for item in request.session.items if hasattr(item, "callspec")]
    asked = [one["target"] for one in params if one.get("target") in TARGETS]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield {target: pool.submit(run, target, tmp_path_factory.mktemp("fuzz")) for target in asked}


def run(target: str, folder: Path) -> tuple[int, list[str], str]:
    """Fuzz one target; return its exit code, the inputs it found, and what it said last."""
    seed(target, folder / "corpus")
    options = [
        f"-max_total_time={SECONDS}",
        f"-rss_limit_mb={MEMORY}",
        f"-max_len={LONGEST}",
        "-timeout=10",
        f"-artifact_prefix={folder}/found-",
        "-print_final_stats=1",
    ]
    command = [sys.executable, str(HERE / "run.py"), target, *options, str(folder / "corpus")]

    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace"
    ) as process:
        kill_with_parent(process.pid)
        try:
            output, errors = process.communicate(timeout=SECONDS + START)
        except subprocess.TimeoutExpired:
            process.kill()
            raise

    found = [f"{path.name}: {path.read_bytes().hex()}" for path in folder.glob("found-*")]
    return process.returncode, found, output[-3000:] + errors[-3000:]


@pytest.mark.parametrize("target", TARGETS)
def test_hostile_bytes_end_in_a_value_or_an_error_of_ours(target: str, runs: Runs) -> None:
    code, found, said = runs[target].result()

    assert (code, found) == (0, []), said
