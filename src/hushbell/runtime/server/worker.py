"""A worker process: opens and seals what its parent hands over, until its standard input ends."""

import pickle
import signal
import sys
from typing import BinaryIO

from hushbell.config.limits import Limits
from hushbell.core.server.envelopes import seal_reply
from hushbell.runtime.clock import system_random
from hushbell.runtime.server.sealer import open_envelope
from hushbell.runtime.server.worker_pool import LENGTH_BYTES, pack
from hushbell.types import KeyPair


def main() -> None:
    """Respond to requests in order. Signals are left to the parent, which closes the pipe at its end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    requests, responses = sys.stdin.buffer, sys.stdout.buffer
    first = _read(requests)
    if first is None:
        return
    server, limits = first
    while (request := _read(requests)) is not None:
        responses.write(pack(_response(request, server, limits)))
        responses.flush()


def _read(pipe: BinaryIO) -> tuple | None:  # type: ignore[type-arg]
    head = pipe.read(LENGTH_BYTES)
    if len(head) < LENGTH_BYTES:
        return None
    value: tuple = pickle.loads(pipe.read(int.from_bytes(head, "big")))  # type: ignore[type-arg]  # noqa: S301
    return value


def _response(request: tuple, server: KeyPair, limits: Limits) -> list[object]:  # type: ignore[type-arg]
    task, items, timestamp = request
    if task == "open":
        return [open_envelope(one, server, limits) for one in items]
    return [seal_reply(reply, server, timestamp, system_random) for reply in items]


if __name__ == "__main__":
    main()
