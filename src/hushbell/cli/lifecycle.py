"""What every long-running command does: one at a time on its data, a ready line, a graceful stop."""

import asyncio
import fcntl
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from hushbell.errors import ConfigError, TransportError

log = logging.getLogger(__name__)


def stop_on_signals(stop: Callable[[], object]) -> None:
    """Have SIGTERM and SIGINT call ``stop``; a second signal leaves at once."""
    loop = asyncio.get_running_loop()
    seen: list[int] = []

    def signalled(number: int) -> None:
        if seen:
            # Everything acknowledged is on disk already, so leaving at once loses nothing.
            os._exit(1)
        seen.append(number)
        notify("STOPPING=1")
        stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, signalled, number)


def cannot_listen(where: str, error: OSError) -> TransportError:
    """Return what to say of an address that cannot be had."""
    return TransportError(f"cannot listen on {where}: {os.strerror(error.errno) if error.errno else error}")


def say_ready(facts: Mapping[str, object]) -> None:
    """Print the ready line, and tell systemd."""
    sys.stdout.write(json.dumps({"ready": True} | dict(facts)) + "\n")
    sys.stdout.flush()
    notify("READY=1")


def notify(state: str) -> None:
    """Tell systemd, where it started us (sd_notify)."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notifying:
        try:
            notifying.connect("\0" + address[1:] if address.startswith("@") else address)
            notifying.sendall(state.encode())
        except OSError as error:
            log.warning("systemd cannot be told %s: %s", state, error.strerror)


class only_one:  # noqa: N801  reads as what it is: with only_one(folder)
    """Holds the lock of a data folder: two servers on the same data would answer everything twice."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> None:
        self._file = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._file)
            raise ConfigError(f"server.data: another hushbell is using {self._folder}; stop it first") from error

    def __exit__(self, *_: object) -> None:
        os.close(self._file)
