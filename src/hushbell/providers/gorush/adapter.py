"""A gateway elsewhere that speaks gorush's HTTP API."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from hushbell.config.gateway import ServerGorushSettings, Shape, Texts
from hushbell.core.push import Push
from hushbell.http.client import fetch
from hushbell.ports.gateway import ACCEPTED, Outcome
from hushbell.ports.http import HttpClient, HttpFailure, HttpRequest, HttpResponse
from hushbell.providers.gorush.outcome import logged_outcomes, outcome
from hushbell.providers.gorush.payload import ITEMS, body, own_item, spec_items, status_item
from hushbell.providers.responses import failure

HEADERS = (("Content-Type", "application/json"),)


@dataclass(frozen=True, slots=True)
class _Item:
    """One notification of a POST and the pushes it stands for."""

    json: str
    positions: tuple[int, ...]


class GorushGateway:
    """
    Posts to ``<url>/api/push``. A 2xx is all that gorush ever says about most pushes: it holds them in memory.

    A POST that is refused as a whole (400, 413) is repeated item by item, so that one bad item loses no other.
    """

    def __init__(self, settings: ServerGorushSettings, http: HttpClient, texts: Texts | None = None) -> None:
        self._url = settings.url.rstrip("/") + "/api/push"
        self._settings = settings
        self._texts = texts or Texts()
        self._http = http
        self._gathered: list[tuple[Push, asyncio.Future[Outcome]]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None

    async def deliver(self, pushes: Sequence[Push]) -> Sequence[Outcome]:
        """Attempt the pushes of one request and return one outcome each, in order."""
        if not pushes:
            return []
        if self._settings.shape is not Shape.OWN or self._settings.gather <= 0:
            return await self._post(pushes)
        return await asyncio.gather(*self._gather(pushes))

    async def close(self) -> None:
        """Let go of connections. Calls under way end with UNKNOWN."""
        self._flush()
        await self._http.close()
        await asyncio.gather(*self._tasks)

    # Many requests in one POST.

    def _gather(self, pushes: Sequence[Push]) -> list[asyncio.Future[Outcome]]:
        loop = asyncio.get_running_loop()
        futures: list[asyncio.Future[Outcome]] = [loop.create_future() for _ in pushes]
        self._gathered.extend(zip(pushes, futures, strict=True))
        if len(self._gathered) >= ITEMS:
            self._flush()
        elif self._timer is None:
            self._timer = loop.call_later(self._settings.gather, self._flush)
        return futures

    def _flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._gathered:
            gathered, self._gathered = self._gathered, []
            task = asyncio.get_running_loop().create_task(self._post_gathered(gathered))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _post_gathered(self, gathered: list[tuple[Push, asyncio.Future[Outcome]]]) -> None:
        outcomes = await self._post([push for push, _ in gathered])
        for (_, future), result in zip(gathered, outcomes, strict=True):
            if not future.done():
                future.set_result(result)

    # One POST for up to ITEMS items.

    async def _post(self, pushes: Sequence[Push]) -> list[Outcome]:
        items = self._items(pushes)
        chunks = [items[start : start + ITEMS] for start in range(0, len(items), ITEMS)]
        answers = await asyncio.gather(*(fetch(self._http, self._request(chunk)) for chunk in chunks))
        outcomes: list[Outcome] = [ACCEPTED] * len(pushes)
        again: list[_Item] = []
        for chunk, answer in zip(chunks, answers, strict=True):
            if len(chunk) > 1 and isinstance(answer, HttpResponse) and answer.status in (400, 413):
                again.extend(chunk)
            else:
                self._settle(outcomes, pushes, chunk, answer)
        if again:
            singles = await asyncio.gather(*(fetch(self._http, self._request([item])) for item in again))
            for item, answer in zip(again, singles, strict=True):
                self._settle(outcomes, pushes, [item], answer)
        return outcomes

    def _items(self, pushes: Sequence[Push]) -> list[_Item]:
        if self._settings.shape is Shape.SPEC:
            return [_Item(item, tuple(positions)) for item, positions in spec_items(pushes, self._texts)]
        if self._settings.shape is Shape.OWN:
            written = [own_item(push, self._texts, self._settings.sizes) for push in pushes]
        else:
            written = [status_item(push, self._texts) for push in pushes]
        return [_Item(item, (position,)) for position, item in enumerate(written)]

    def _request(self, items: Sequence[_Item]) -> HttpRequest:
        return HttpRequest(self._url, HEADERS, body(item.json for item in items), self._settings.timeout)

    def _settle(
        self,
        outcomes: list[Outcome],
        pushes: Sequence[Push],
        chunk: Sequence[_Item],
        answer: HttpResponse | HttpFailure,
    ) -> None:
        """Write down what the answer means for each push of the chunk."""
        whole = failure(answer) if isinstance(answer, HttpFailure) else outcome(answer)
        own = self._settings.shape is Shape.OWN and isinstance(answer, HttpResponse) and whole is ACCEPTED
        logged = logged_outcomes(answer.body) if own and isinstance(answer, HttpResponse) else {}
        for item in chunk:
            for position in item.positions:
                outcomes[position] = logged.get(pushes[position].notification_id, whole)
