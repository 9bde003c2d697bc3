"""The whole gateway on given adapters: engine, front ends, housekeeping, start and graceful stop."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from hushbell.errors import HushbellError, StoreError
from hushbell.ports.clock import Clock
from hushbell.ports.http import HttpClient
from hushbell.ports.outbox import Outbox
from hushbell.ports.provider import Provider
from hushbell.runtime.delivery.engine import DeliveryEngine
from hushbell.runtime.delivery.webhooks import Webhooks
from hushbell.types import MILLIS_PER_DAY, Millis

HOUR = 3600.0
LOOK = 10.0  # seconds between looks at the files of credentials
FORGET = 2_000  # rows dropped in one transaction, so that forgetting holds up no answer
GRACE = 6.0  # seconds for attempts under way at a stop, of the 10 promised; what is left goes out after the next start
FRONT_GRACE = 1.0  # seconds for requests under way
LAST = 2.0  # seconds for outcomes to reach the disk

Close = Callable[[float], Awaitable[None]]
"""Takes no more requests, and lets those under way end within so many seconds."""

log = logging.getLogger(__name__)


class GatewayService:
    """``run`` returns after ``stop``."""

    def __init__(
        self,
        *,
        engine: DeliveryEngine,
        queue: Outbox,
        hooks: Webhooks,
        hook_http: HttpClient,
        fronts: Sequence[Close],
        clock: Clock,
        keep_days: int,
        files: Mapping[tuple[str, str], Sequence[Path]] | None = None,
    ) -> None:
        """``files``: where the credentials of each app's providers are, which are read again when they change."""
        self._engine = engine
        self._files = files or {}
        self._queue = queue
        self._hooks = hooks
        self._hook_http = hook_http
        self._fronts = fronts
        self._clock = clock
        self._keep_days = keep_days
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Serve until stopped; then finish what is under way, write it down and close everything."""
        loop = asyncio.get_running_loop()
        running = loop.create_task(self._engine.run())
        telling = loop.create_task(self._hooks.run())
        forgetting = loop.create_task(self._forget())
        watching = loop.create_task(self._watch())
        try:
            await self._stopping.wait()
        finally:
            forgetting.cancel()
            telling.cancel()
            watching.cancel()
            # Requests first: what is accepted until now is answered, and what comes later goes elsewhere.
            await asyncio.gather(*(close(FRONT_GRACE) for close in self._fronts), return_exceptions=True)
            self._engine.stop()
            await asyncio.wait([running], timeout=GRACE)
            await asyncio.gather(*(provider.close() for provider in self._providers()), return_exceptions=True)
            await self._hook_http.close()
            await asyncio.wait([running], timeout=LAST)
            running.cancel()
            await asyncio.gather(running, forgetting, telling, watching, return_exceptions=True)
            await self._queue.close()

    def stop(self) -> None:
        """Take no more requests; ``run`` finishes what was taken and returns."""
        self._stopping.set()

    def reload(self) -> None:
        """Read every credential again; a bad one is told, and the old one stays."""
        for provider in self._providers():
            _reload(provider)

    def _providers(self) -> Sequence[Provider]:
        return [provider for app in self._engine.apps.values() for provider in app.providers.values()]

    async def _watch(self) -> None:
        """Read credentials again soon after their files have changed."""
        seen = {key: [_stamp(path) for path in paths] for key, paths in self._files.items()}
        while True:
            await self._clock.sleep(LOOK)
            for (app, name), paths in self._files.items():
                stamps = [_stamp(path) for path in paths]
                if stamps != seen[app, name]:
                    seen[app, name] = stamps
                    _reload(self._engine.apps[app].providers[name])

    async def _forget(self) -> None:
        """Drop ends and dead tokens that are older than anybody asks for."""
        while True:
            before = Millis(self._clock.now() - self._keep_days * MILLIS_PER_DAY)
            try:
                while await self._queue.forget(before, FORGET):
                    await self._clock.sleep(0.05)
            except StoreError as error:
                log.error("old ends cannot be dropped: %s", error)  # noqa: TRY400  the text names the cause
            await self._clock.sleep(HOUR)


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
