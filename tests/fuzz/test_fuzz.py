"""Every parser of hostile bytes, fuzzed from status-go's own messages for HUSHBELL_FUZZ_SECONDS each (default 10)."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.fuzz

HERE = Path(__file__).parent
VECTORS = HERE.parent / "vectors"
SECONDS = int(os.environ.get("HUSHBELL_FUZZ_SECONDS", "10"))
START = 60  # seconds for the imports and the first look at the corpus
MEMORY = 1024  # MiB
LONGEST = 64 * 1024  # bytes of an input; what larger ones cost is measured elsewhere
TARGETS = ("decode", "frame", "segment", "unwrap", "whole", "rules", "bus", "answers", "http2", "settings")
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
    "settings": (
        b'[server]\nworkers = 2\n[limits]\nenvelope = 1024\n[gateway]\nurl = "http://127.0.0.1:8088"\n',
        b"[1]",
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


@pytest.mark.parametrize("target", TARGETS)
def test_hostile_bytes_end_in_a_value_or_an_error_of_ours(target: str, tmp_path: Path) -> None:
    seed(target, tmp_path / "corpus")
    options = [
        f"-max_total_time={SECONDS}",
        f"-rss_limit_mb={MEMORY}",
        f"-max_len={LONGEST}",
        "-timeout=10",
        f"-artifact_prefix={tmp_path}/found-",
        "-print_final_stats=1",
    ]
    command = [sys.executable, str(HERE / "run.py"), target, *options, str(tmp_path / "corpus")]

    done = subprocess.run(
        command, capture_output=True, text=True, errors="replace", timeout=SECONDS + START, check=False
    )

    found = [f"{path.name}: {path.read_bytes().hex()}" for path in tmp_path.glob("found-*")]
    assert (done.returncode, found) == (0, []), done.stdout[-3000:] + done.stderr[-3000:]
