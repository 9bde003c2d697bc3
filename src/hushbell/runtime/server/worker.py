"""A worker process: opens and seals what its parent hands over, until its standard input ends."""

import pickle
import signal
import sys
from typing import BinaryIO

from hushbell.config.limits import Limits
from hushbell.core.server.envelopes import seal_reply
from hushbell.runtime.clock import system_random
from hushbell.runtime.server.sealer import open_one
from hushbell.runtime.server.worker_pool import FRAME, pack
from hushbell.types import KeyPair


def main() -> None:
    """Answer questions in order. Signals are the parent's affair: it closes the pipe when it is done."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    questions, answers = sys.stdin.buffer, sys.stdout.buffer
    first = _read(questions)
    if first is None:
        return
    server, limits = first
    while (question := _read(questions)) is not None:
        answers.write(pack(_answer(question, server, limits)))
        answers.flush()


def _read(pipe: BinaryIO) -> tuple | None:  # type: ignore[type-arg]
    head = pipe.read(FRAME)
    if len(head) < FRAME:
        return None
    value: tuple = pickle.loads(pipe.read(int.from_bytes(head, "big")))  # type: ignore[type-arg]  # noqa: S301
    return value


def _answer(question: tuple, server: KeyPair, limits: Limits) -> list[object]:  # type: ignore[type-arg]
    task, items, timestamp = question
    if task == "open":
        return [open_one(one, server, limits) for one in items]
    return [seal_reply(reply, server, timestamp, system_random) for reply in items]


if __name__ == "__main__":
    main()
