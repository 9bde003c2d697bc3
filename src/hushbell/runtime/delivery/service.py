"""The delivery engine with its housekeeping, and the whole gateway around it: start and graceful stop."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from pathlib import Path

from hushbell.errors import HushbellError, StoreError
from hushbell.ports.clock import Clock
from hushbell.ports.http import HttpClient
from hushbell.ports.outbox import Outbox
from hushbell.ports.provider import Provider
from hushbell.runtime.delivery.engine import DeliveryEngine
from hushbell.runtime.delivery.webhooks import Webhooks
from hushbell.types import MILLIS_PER_DAY, Millis

FORGET_INTERVAL = 3600.0  # seconds
WATCH_INTERVAL = 10.0  # seconds between looks at the files of credentials
MAX_FORGOTTEN = 2_000  # rows dropped in one transaction, so that forgetting holds up no answer
GRACE = 6.0  # seconds for attempts under way at a stop, of the 10 promised; what is left goes out after the next start
HTTP_GRACE = 1.0  # seconds for requests under way
OUTCOME_GRACE = 2.0  # seconds for outcomes to reach the disk

Close = Callable[[float], Awaitable[None]]
"""Takes no more requests, and lets those under way end within so many seconds."""

log = logging.getLogger(__name__)


class DeliveryService:
    """The engine under way, until ``close``: due attempts, credentials read again, old results dropped."""

    def __init__(
        self,
        *,
        engine: DeliveryEngine,
        outbox: Outbox,
        clock: Clock,
        keep_days: int,
        files: Mapping[tuple[str, str], Sequence[Path]] | None = None,
    ) -> None:
        """``files``: those that a provider of an app reads its credentials from, by app and provider."""
        self.engine = engine
        self._outbox = outbox
        self._clock = clock
        self._keep_days = keep_days
        self._files = files or {}
        self._running: asyncio.Task[None] | None = None
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, *others: Coroutine[None, None, None]) -> None:
        """Start the tasks, and others that end with them."""
        loop = asyncio.get_running_loop()
        self._running = loop.create_task(self.engine.run())
        self._tasks = [loop.create_task(each) for each in (self._forget(), self._watch(), *others)]

    async def close(self) -> None:
        """Begin no attempt, finish those under way, write down what came of them, close providers and outbox."""
        assert self._running is not None
        for task in self._tasks:
            task.cancel()
        self.engine.stop()
        await asyncio.wait([self._running], timeout=GRACE)
        await asyncio.gather(*(provider.close() for provider in self._providers()), return_exceptions=True)
        await asyncio.wait([self._running], timeout=OUTCOME_GRACE)
        self._running.cancel()
        await asyncio.gather(self._running, *self._tasks, return_exceptions=True)
        await self._outbox.close()

    def reload(self) -> None:
        """Read every credential again; a bad one is logged, and the old one stays."""
        for provider in self._providers():
            _reload(provider)

    def _providers(self) -> set[Provider]:
        return {provider for app in self.engine.apps.values() for provider in app.providers.values()}

    async def _watch(self) -> None:
        """Read credentials again soon after their files have changed."""
        known = {key: [_stamp(path) for path in paths] for key, paths in self._files.items()}
        while True:
            await self._clock.sleep(WATCH_INTERVAL)
            for (app, name), paths in self._files.items():
                stamps = [_stamp(path) for path in paths]
                if stamps != known[app, name]:
                    known[app, name] = stamps
                    _reload(self.engine.apps[app].providers[name])

    async def _forget(self) -> None:
        """Drop results and dead tokens that are older than anybody asks for."""
        while True:
            before = Millis(self._clock.now() - self._keep_days * MILLIS_PER_DAY)
            try:
                while await self._outbox.forget(before, MAX_FORGOTTEN):
                    await self._clock.sleep(0.05)
            except StoreError as error:
                log.error("old results cannot be dropped: %s", error)  # noqa: TRY400  the text names the cause
            await self._clock.sleep(FORGET_INTERVAL)


class GatewayService:
    """``run`` returns after ``stop``."""

    def __init__(
        self, *, delivery: DeliveryService, webhooks: Webhooks, webhook_http: HttpClient, servers: Sequence[Close]
    ) -> None:
        self._delivery = delivery
        self._webhooks = webhooks
        self._webhook_http = webhook_http
        self._servers = servers
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Serve until stopped; then finish what is under way, write it down and close everything."""
        self._delivery.start(self._webhooks.run())
        try:
            await self._stopping.wait()
        finally:
            # Requests first: what is accepted until now is answered, and what comes later goes elsewhere.
            await asyncio.gather(*(close(HTTP_GRACE) for close in self._servers), return_exceptions=True)
            await self._webhook_http.close()
            await self._delivery.close()

    def stop(self) -> None:
        """Take no more requests; ``run`` finishes what was taken and returns."""
        self._stopping.set()

    def reload(self) -> None:
        """Read every credential again; a bad one is logged, and the old one stays."""
        self._delivery.reload()


def _stamp(path: Path) -> tuple[int, int, int]:
    """Return what changes with a file; zeros while it is missing, as between two steps of whoever replaces it."""
    try:
        found = path.stat()
    except OSError:
        return 0, 0, 0
    return found.st_mtime_ns, found.st_ino, found.st_size


def _reload(provider: Provider) -> None:
    try:
        provider.reload()
    except HushbellError as error:
        log.error("the credential of %s stays the old one: %s", provider.name, error)  # noqa: TRY400
