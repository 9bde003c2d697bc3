"""What gorush counts, under gorush's names (reference/gateway.md 1.7), from the engine's numbers; and ours."""

import os
import platform
import resource
import socket
import sys
import threading
import time
from collections.abc import Mapping
from typing import Any

from hushbell.api.gorush.push import GorushPush
from hushbell.core.delivery.state import State
from hushbell.core.gorush.platform import NAMES, PROVIDERS, Platform
from hushbell.observability.metrics import Counters
from hushbell.ports.clock import Clock
from hushbell.ports.delivery import Delivery

_FAILED = (State.DEAD_TOKEN, State.FAILED, State.EXPIRED)
_OURS = {
    State.STORED: "push_attempts",
    State.RETRYING: "push_retries",
    State.ACCEPTED: "pushes_accepted",
    State.DEAD_TOKEN: "pushes_dead",
    State.FAILED: "pushes_refused",
    State.EXPIRED: "pushes_expired",
}


class Statistics:
    """Responses of the routes that return figures. None of them names an app, a token or a caller."""

    def __init__(self, delivery: Delivery, push: GorushPush, counters: Counters, clock: Clock, version: str) -> None:
        self._delivery = delivery
        self._push = push
        self._counters = counters
        self._clock = clock
        self._version = version
        self._started = clock.now()
        self.statuses: dict[int, int] = {}

    def app(self) -> dict[str, Any]:
        """Return ``/api/stat/app``."""
        return {
            "version": self._version,
            "busy_workers": self._busy(),
            "success_tasks": self._ended(),
            "failure_tasks": 0,
            "submitted_tasks": self._push.submitted,
            "total_count": self._push.total_count,
        } | {
            NAMES[one]: {"push_success": self._sum(one, State.ACCEPTED), "push_error": self._sum(one, *_FAILED)}
            for one in Platform
        }

    def go(self) -> dict[str, Any]:
        """Return ``/api/stat/go``: figures of a Python process under the names of a Go program."""
        used = resource.getrusage(resource.RUSAGE_SELF)
        memory = used.ru_maxrss * 1024
        zeros = (
            "cgo_call_num memory_lookups memory_mallocs memory_frees memory_stack heap_idle heap_released "
            "heap_objects gc_next gc_last gc_num gc_per_second gc_pause_per_second"
        )
        return {
            "time": self._clock.now() * 1_000_000,
            "go_version": f"python{platform.python_version()}",
            "go_os": sys.platform,
            "go_arch": platform.machine(),
            "cpu_num": os.cpu_count() or 1,
            "goroutine_num": threading.active_count(),
            "gomaxprocs": 1,
            "memory_alloc": memory,
            "memory_total_alloc": memory,
            "memory_sys": memory,
            "heap_alloc": memory,
            "heap_sys": memory,
            "heap_inuse": memory,
            "gc_pause": [],
        } | dict.fromkeys(zeros.split(), 0)

    def system(self) -> dict[str, Any]:
        """Return ``/sys/stats``."""
        seconds = (self._clock.now() - self._started) / 1000
        statuses = {str(status): number for status, number in sorted(self.statuses.items())}
        count = sum(self.statuses.values())
        return {
            "pid": os.getpid(),
            "hostname": socket.gethostname(),
            "uptime": f"{seconds:.3f}s",
            "uptime_sec": seconds,
            "time": time.strftime("%Y-%m-%d %H:%M:%S +0000 UTC", time.gmtime(self._clock.now() / 1000)),
            "unixtime": self._clock.now() // 1000,
            "status_code_count": {},
            "total_status_code_count": statuses,
            "count": 0,
            "total_count": count,
            "total_response_time": "0s",
            "total_response_time_sec": 0.0,
            "total_response_size": 0,
            "average_response_size": 0,
            "average_response_time": "0s",
            "average_response_time_sec": 0.0,
            "total_metrics_counts": {},
            "average_metrics_timers": {},
        }

    def metrics(self) -> bytes:
        """Return the text that Prometheus reads: gorush's names and ours."""
        lines = []
        for name, kind, helped, value in self._gorush():
            lines.append(f"# HELP {name} {helped}\n# TYPE {name} {kind}\n{name} {value}\n")
        self._update_counters()
        return ("".join(lines) + self._counters.exposition()).encode()

    def _gorush(self) -> list[tuple[str, str, str, int]]:
        rows = [("gorush_total_push_count", "counter", "Number of push count", self._push.total_count)]
        for one, good, bad in (
            (Platform.IOS, "success", "error"),
            (Platform.ANDROID, "success", "fail"),
            (Platform.HUAWEI, "success", "fail"),
        ):
            name = NAMES[one]
            accepted, failed = self._sum(one, State.ACCEPTED), self._sum(one, *_FAILED)
            rows.append((f"gorush_{name}_{good}", "counter", f"Number of {name} success count", accepted))
            rows.append((f"gorush_{name}_{bad}", "counter", f"Number of {name} {bad} count", failed))
        return [
            *rows,
            ("gorush_busy_workers", "gauge", "Length of busy workers", self._busy()),
            ("gorush_success_tasks", "counter", "Length of success tasks", self._ended()),
            ("gorush_failure_tasks", "counter", "Length of failure tasks", 0),
            ("gorush_submitted_tasks", "counter", "Length of submitted tasks", self._push.submitted),
        ]

    def _update_counters(self) -> None:
        """Copy the engine's figures into the counters."""
        queues = self._delivery.queue_statuses
        for state, name in _OURS.items():
            counter = self._counters.counter(name, f"{name.replace('_', ' ').capitalize()}.")
            counter.add(sum(queue.counts[state] for queue in queues) - counter.value)
        gauges: Mapping[str, float] = self._delivery.gauges
        for name, value in gauges.items():
            self._counters.gauge(name, f"{name.replace('_', ' ').capitalize()}.").put(value)
        self._counters.gauge("attempts_under_way", "Attempts under way.").put(self._busy())
        self._counters.gauge("lanes_paused", "Apps and providers that rest.").put(sum(one.is_paused for one in queues))
        ends = [queue.credential_expires_at for queue in queues if queue.credential_expires_at is not None]
        if ends:
            left = (min(ends) - self._clock.now()) / 1000
            self._counters.gauge("credential_expires_in_seconds", "Until the first credential ends.").put(left)

    def _busy(self) -> int:
        return sum(queue.in_flight for queue in self._delivery.queue_statuses)

    def _ended(self) -> int:
        return int(self._delivery.gauges["queue_notifications_ended"])

    def _sum(self, one: Platform, *states: State) -> int:
        name = PROVIDERS[one]
        return sum(
            queue.counts[state] for queue in self._delivery.queue_statuses if queue.provider == name for state in states
        )
