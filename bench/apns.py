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
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import uvloop

from hushbell.config.gateway import HttpSettings
from hushbell.core.delivery.push_ids import push_id
from hushbell.http.client import fetch
from hushbell.http.curl import CurlHttp
from hushbell.http.h2.client import H2Client
from hushbell.ports.http import HttpClient, HttpFailure, HttpRequest, HttpResponse, RequestItem, RequestTemplate
from hushbell.ports.provider import ACCEPTED, Attempt, Message, Notification, Outcome, ProviderContext
from hushbell.providers.apns.provider import PRODUCTION, ApnsProvider
from hushbell.providers.apns.settings import ApnsSettings
from hushbell.testing.child_processes import kill_with_parent
from hushbell.testing.clock import FakeClock
from hushbell.types import Millis

PUSHES = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
Send = Callable[[Sequence[Any]], Awaitable[None]]
BODY = json.dumps(
    {"aps": {"alert": "You have a new message", "mutable-content": 1}, "chatId": "0x" + "00" * 64}
).encode()
HEADERS = (("apns-topic", "im.status.ethereum"), ("apns-push-type", "alert"), ("apns-priority", "10"))


def notification(number: int) -> Notification:
    """Return a push with a collapse id of its own, as the push server's are."""
    message = Message("apns", BODY, headers=HEADERS)
    ident, targets, collapse_id = number.to_bytes(16, "big"), (f"{number:064x}",), f"{number:064x}"
    return Notification(ident, "app", "token", targets, message, Millis(2**41), collapse_id=collapse_id)


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


class Countdown:
    """A handler that fails for anything but 200, and asks for the next item with each response."""

    def __init__(self, count: int, submit_next: Callable[["Countdown"], None] = lambda _: None) -> None:
        self.done = asyncio.get_running_loop().create_future()
        self._left = count
        self._submit_next = submit_next

    def on_response(self, _key: object, result: HttpResponse | HttpFailure) -> None:
        """Count one response."""
        self._count(is_good=isinstance(result, HttpResponse) and result.status == 200)
        self._submit_next(self)

    def on_outcome(self, _index: int, outcome: Outcome) -> None:
        """Count one outcome."""
        self._count(is_good=outcome is ACCEPTED)

    def _count(self, *, is_good: bool) -> None:
        self._left -= 1
        if not is_good and not self.done.done():
            self.done.set_exception(RuntimeError("a push was not accepted"))
        elif not self._left:
            self.done.set_result(None)


CLIENTS: dict[str, Callable[[HttpSettings], HttpClient]] = {"apns": H2Client, "apns_curl": CurlHttp}


@dataclass(frozen=True, slots=True)
class Bench:
    """One HTTP client, alone and under the provider."""

    prefix: str
    http: HttpClient
    apns: ApnsProvider
    template: RequestTemplate
    figures: dict[str, Figure]

    async def run(self, notes: Sequence[Notification]) -> None:
        """Measure everything."""
        await self._deliver(notes[:1])  # connects
        await self._add("client_c100", self._fetch, notes, callers=100)
        await self._measure_posts(notes, under_way=100)
        await self._add("client_batch100", self._submit, notes, callers=2, batch=100)
        await self._add("gateway_c1", self._deliver, notes[: PUSHES // 4], callers=1)
        await self._add("gateway_c16", self._deliver, notes, callers=16)
        await self._add("gateway_batch100", self._deliver, notes, callers=2, batch=100)
        await self._add("gateway", self._deliver, notes, callers=128)
        await self.apns.close()

    async def _add(self, name: str, send: Send, items: Sequence[Any], *, callers: int, batch: int = 1) -> None:
        self._keep(await measure(f"{self.prefix}_{name}", send, items, callers=callers, batch=batch))

    def _keep(self, figure: Figure) -> None:
        self.figures[figure.name] = figure

    async def _deliver(self, notes: Sequence[Notification]) -> None:
        handler = Countdown(len(notes))
        self.apns.send([Attempt(note, (0,), handler.on_outcome) for note in notes])
        await handler.done

    def _items(self, notes: Iterable[Notification], handler: Countdown) -> list[RequestItem]:
        return [(handler, None, note.targets[0], (push_id(note.ident, 0), note.collapse_id), BODY) for note in notes]

    async def _submit(self, notes: Sequence[Notification]) -> None:
        handler = Countdown(len(notes))
        self.http.submit(self.template, self._items(notes, handler))
        await handler.done

    async def _fetch(self, notes: Sequence[Notification]) -> None:
        template, headers = self.template, self.template.headers
        for note in notes:
            varying = (("apns-id", push_id(note.ident, 0)), ("apns-collapse-id", note.collapse_id))
            request = HttpRequest(template.url + note.targets[0], (*headers, *varying), BODY, template.timeout)
            result = await fetch(self.http, request)
            assert isinstance(result, HttpResponse)
            assert result.status == 200

    async def _measure_posts(self, notes: Sequence[Notification], *, under_way: int) -> None:
        """The same through a handler that submits the next request with each response."""
        left = iter(notes)

        def submit_next(handler: Countdown) -> None:
            if (note := next(left, None)) is not None:
                self.http.submit(self.template, self._items((note,), handler))

        handler = Countdown(len(notes), submit_next)
        wall, cpu = time.perf_counter(), time.process_time()
        for _ in range(under_way):
            submit_next(handler)
        await handler.done
        count, name = len(notes), f"{self.prefix}_client_post"
        self._keep(Figure(name, (time.process_time() - cpu) / count, count / (time.perf_counter() - wall)))


async def main(ready: dict[str, Any]) -> None:
    http_settings = HttpSettings(connect=ready["connect"], ca_file=ready["ca_file"], connections=1, streams=1000)
    settings = ApnsSettings(
        key_file=ready["key_file"],
        key_id=ready["key_id"],
        team_id=ready["team_id"],
        sizes=(1024, 2048, 4096),
        http=http_settings,
    )
    clock = FakeClock(Millis(time.time_ns() // 1_000_000))
    figures: dict[str, Figure] = {}
    notes = [notification(number) for number in range(PUSHES)]
    for prefix, made in CLIENTS.items():
        http = made(http_settings)
        context = ProviderContext(clock=clock, random=bytes, open_http=lambda *_, http=http, **_more: http)
        apns = ApnsProvider(settings, context)
        assert apns.signer is not None
        bearer = ("authorization", "bearer " + apns.signer.token(clock.now()))
        template = RequestTemplate(
            f"https://{PRODUCTION}/3/device/", (bearer, *HEADERS), settings.timeout, ("apns-id", "apns-collapse-id")
        )
        await Bench(prefix, http, apns, template, figures).run(notes)
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
