"""
What a push to Apple costs this process, over TLS on one connection: the HTTP client alone and the whole gateway.

The mock runs in another process, so its cost is not in the figures; but it is slower than Apple, and an event
loop that gets its answers one by one works more for each. Ends with lines ``name value unit``.
"""

import asyncio
import json
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvloop

from hushbell.config.gateway import HttpSettings, ServerApnsSettings, Texts
from hushbell.core.delivery.outcome import ACCEPTED
from hushbell.core.push import Push
from hushbell.http.client import fetch, submit_request
from hushbell.http.curl import CurlHttp
from hushbell.http.h2.client import H2Client
from hushbell.ports.http import HttpClient, HttpFailure, HttpRequest, HttpResponse
from hushbell.providers.apns.adapter import PRODUCTION, Apns, App, request
from hushbell.providers.apns.token import TokenSigner
from hushbell.testing.child_processes import kill_with_parent
from hushbell.testing.clock import FakeClock
from hushbell.types import (
    DeviceKey,
    DeviceToken,
    InstallationId,
    KeyHash,
    MessageId,
    Millis,
    NotificationId,
    NotificationType,
)

PUSHES = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
Send = Callable[[Sequence[Any]], Awaitable[None]]


def push(number: int) -> Push:
    return Push(
        notification_id=NotificationId(str(uuid.UUID(int=number))),
        request=MessageId(bytes(32)),
        position=0,
        device=DeviceKey(KeyHash(bytes(64)), InstallationId("phone")),
        token_type=1,
        device_token=DeviceToken(f"{number:064x}"),
        apn_topic="im.status.ethereum",
        type=NotificationType.MESSAGE,
        chat_id=bytes(64),
        message=b"",
        collapse_id=f"{number:064x}",
        created_at=Millis(0),
        expires_at=Millis(time.time_ns() // 1_000_000 + 86_400_000),
    )


@dataclass(frozen=True, slots=True)
class Figure:
    """What was measured."""

    name: str
    cpu: float  # seconds a push
    per_second: float

    def tell(self) -> None:
        """Print it."""
        print(f"{self.name}_cpu {self.cpu * 1e6:.1f} us")
        print(f"{self.name} {self.per_second:.0f} pushes/s")


async def measure(name: str, send: Send, items: Sequence[Any], *, callers: int, batch: int = 1) -> Figure:
    batches = iter([items[start : start + batch] for start in range(0, len(items), batch)])

    async def caller() -> None:
        for some in batches:
            await send(some)

    wall, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(caller() for _ in range(callers)))
    return Figure(name, (time.process_time() - cpu) / len(items), len(items) / (time.perf_counter() - wall))


async def measure_posts(name: str, http: HttpClient, requests: Sequence[HttpRequest], *, under_way: int) -> Figure:
    """The same through callbacks, each of which posts the next request."""
    left, done = iter(requests), asyncio.get_running_loop().create_future()
    missing = len(requests)

    class Handler:
        def on_response(self, _key: object, answer: HttpResponse | HttpFailure) -> None:
            nonlocal missing
            assert isinstance(answer, HttpResponse)
            assert answer.status == 200
            missing -= 1
            if not missing:
                done.set_result(None)
            elif (request := next(left, None)) is not None:
                submit_request(http, request, self)

    handler = Handler()

    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(under_way):
        submit_request(http, next(left), handler)
    await done
    return Figure(name, (time.process_time() - cpu) / len(requests), len(requests) / (time.perf_counter() - wall))


CLIENTS: dict[str, Callable[[HttpSettings], HttpClient]] = {"apns": H2Client, "apns_curl": CurlHttp}


@dataclass(frozen=True, slots=True)
class Bench:
    """One HTTP client, alone and under the provider."""

    prefix: str
    http: HttpClient
    apns: Apns
    figures: dict[str, Figure]

    async def run(self, pushes: Sequence[Push], requests: Sequence[HttpRequest]) -> None:
        """Measure everything."""
        await self._deliver(pushes[:1])  # connects
        await self._add("client_c100", self._send, requests, callers=100)
        self._keep(await measure_posts(f"{self.prefix}_client_post", self.http, requests, under_way=100))
        await self._add("client_batch100", self._send, requests, callers=2, batch=100)
        await self._add("gateway_c1", self._deliver, pushes[: PUSHES // 4], callers=1)
        await self._add("gateway_c16", self._deliver, pushes, callers=16)
        await self._add("gateway_batch100", self._deliver, pushes, callers=2, batch=100)
        await self._add("gateway", self._deliver, pushes, callers=128)
        await self.apns.close()

    async def _add(self, name: str, send: Send, items: Sequence[Any], *, callers: int, batch: int = 1) -> None:
        self._keep(await measure(f"{self.prefix}_{name}", send, items, callers=callers, batch=batch))

    def _keep(self, figure: Figure) -> None:
        self.figures[figure.name] = figure

    async def _deliver(self, pushes: Sequence[Push]) -> None:
        assert await self.apns.deliver(pushes) == [ACCEPTED] * len(pushes)

    async def _send(self, requests: Sequence[HttpRequest]) -> None:
        results = await asyncio.gather(*(fetch(self.http, request) for request in requests))
        assert all(isinstance(one, HttpResponse) and one.status == 200 for one in results)


async def main(ready: dict[str, Any]) -> None:
    http_settings = HttpSettings(connect=ready["connect"], ca_file=ready["ca_file"], connections=1, streams=1000)
    settings = ServerApnsSettings(
        key_file=ready["key_file"], key_id=ready["key_id"], team_id=ready["team_id"], http=http_settings
    )
    clock = FakeClock(Millis(time.time_ns() // 1_000_000))
    signer = TokenSigner(
        Path(settings.key_file).read_bytes(),  # noqa: ASYNC240 - before the clock starts
        key_id=settings.key_id,
        team_id=settings.team_id,
    )
    figures: dict[str, Figure] = {}
    pushes = [push(number) for number in range(PUSHES)]
    for prefix, made in CLIENTS.items():
        http = made(http_settings)
        bench = Bench(prefix, http, Apns(settings, http, signer, clock), figures)
        app = App(host=PRODUCTION, topic="", texts=Texts(), sizes=settings.sizes, timeout=settings.timeout)
        await bench.run(pushes, [request(one, app, signer.token(clock.now())) for one in pushes])
    for figure in figures.values():
        figure.tell()
    for name in ("client_post", "client_c100", "client_batch100", "gateway"):
        ratio = figures[f"apns_curl_{name}"].cpu / figures[f"apns_{name}"].cpu
        print(f"ratio_to_curl{'' if name == 'gateway' else '_' + name} {ratio:.2f} x")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        command = [sys.executable, "-m", "hushbell.cli", "mock-providers", "--dir", directory, "--keep", "0"]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as mock:
            kill_with_parent(mock.pid)
            assert mock.stdout is not None
            ready = json.loads(mock.stdout.readline())
            uvloop.run(main(ready | ready["apns"]))
            mock.terminate()
