"""
Child processes that end with the process that started them, however that ends.

The first call of :func:`kill_with_parent` starts a watchdog: this file, run by a Python of its own, in a session of its
own. It reads the ids of child processes from a pipe. The pipe ends when the parent ends, also by SIGKILL; the watchdog
then kills the children that are left and ends. It needs nothing of Linux alone.
"""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path


def kill_with_parent(pid: int) -> None:
    """Have a child process killed when this process has ended."""
    os.write(_watchdog(os.getpid()), b"%d\n" % pid)


@cache
def _watchdog(parent: int) -> int:
    """Start the watchdog of this process and return the pipe to it. A forked process has another ``parent``."""
    del parent
    reader, writer = os.pipe()
    null = os.open(os.devnull, os.O_WRONLY)
    actions = [(os.POSIX_SPAWN_DUP2, fd, number) for number, fd in enumerate((reader, null, null))]
    os.posix_spawn(
        sys.executable, [sys.executable, "-I", "-S", __file__], os.environ, file_actions=actions, setsid=True
    )
    os.close(reader)
    os.close(null)
    return writer


def _started_at(pid: int) -> str:
    """Return when a process was started, in a unit of the system, or "" if there is none. It identifies the process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        if Path("/proc/self/stat").exists():
            return ""
    command = ["ps", "-o", "lstart=", "-p", str(pid)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()  # noqa: S603 - ours


def _watch() -> None:
    """Read process ids until the pipe ends, then kill the processes that are left."""
    started = {int(line): _started_at(int(line)) for line in sys.stdin}
    for pid, moment in started.items():
        if moment and _started_at(pid) == moment:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    _watch()
