"""The life of a long-running command: the lock of its data folder, the ready line, the stop by signals."""

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
    """Have SIGTERM and SIGINT call ``stop``; a second signal ends the process at once."""
    loop = asyncio.get_running_loop()
    signals: list[int] = []

    def on_signal(number: int) -> None:
        if signals:
            # Everything acknowledged is on the disk already.
            os._exit(1)
        signals.append(number)
        notify_systemd("STOPPING=1")
        stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)


def listen_error(where: str, error: OSError) -> TransportError:
    """Return the error for an address that cannot be listened on."""
    return TransportError(f"cannot listen on {where}: {os.strerror(error.errno) if error.errno else error}")


def print_ready(facts: Mapping[str, object]) -> None:
    """Print the ready line, and notify systemd."""
    sys.stdout.write(json.dumps({"ready": True} | dict(facts)) + "\n")
    sys.stdout.flush()
    notify_systemd("READY=1")


def notify_systemd(state: str) -> None:
    """Send a state to systemd, if it started the process (sd_notify)."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notifier:
        try:
            notifier.connect("\0" + address[1:] if address.startswith("@") else address)
            notifier.sendall(state.encode())
        except OSError as error:
            log.warning("systemd cannot be notified of %s: %s", state, error.strerror)


class DataFolderLock:
    """The lock of a data folder: two servers on the same data would respond twice to each request."""

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
