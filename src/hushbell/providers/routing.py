"""Each push to the provider of its token type."""

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial

from hushbell.core.push import Push
from hushbell.ports.gateway import Done, EagerGateway, Gateway, Outcome, Scope, Verdict

NO_PROVIDER = Outcome(Verdict.MISCONFIGURED, "no provider for this token type", scope=Scope.APP)


class Router:
    """A gateway made of gateways, by token type (the wire's numbers)."""

    def __init__(self, providers: Mapping[int, Gateway]) -> None:
        self._providers = dict(providers)
        self._tasks: set[asyncio.Task[None]] = set()

    async def deliver(self, pushes: Sequence[Push]) -> Sequence[Outcome]:
        """Attempt the pushes of one request and return one outcome each, in order."""
        outcomes = [NO_PROVIDER] * len(pushes)
        places: dict[int, list[int]] = {}
        for place, push in enumerate(pushes):
            if push.token_type in self._providers:
                places.setdefault(push.token_type, []).append(place)
        if len(places) == 1:
            await self._deliver(*places.popitem(), pushes, outcomes)
        else:
            await asyncio.gather(*(self._deliver(kind, at, pushes, outcomes) for kind, at in places.items()))
        return outcomes

    def attempt(self, pushes: Sequence[Push], done: Done) -> None:
        """Attempt pushes in their order; each outcome is told when it is known."""
        places: dict[int, list[int]] = {}
        for place, push in enumerate(pushes):
            if push.token_type in self._providers:
                places.setdefault(push.token_type, []).append(place)
            else:
                done(place, NO_PROVIDER)
        for kind, some in places.items():
            if len(some) == len(pushes):
                self._begin(self._providers[kind], pushes, done)
            else:
                self._begin(self._providers[kind], [pushes[place] for place in some], partial(_told, some, done))

    async def close(self) -> None:
        """Let go of connections. Calls under way end with UNKNOWN."""
        await asyncio.gather(*(provider.close() for provider in self._providers.values()))

    def _begin(self, provider: Gateway, pushes: Sequence[Push], done: Done) -> None:
        if isinstance(provider, EagerGateway):
            provider.attempt(pushes, done)
            return
        task = asyncio.get_running_loop().create_task(_wait(provider, pushes, done))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _deliver(self, kind: int, places: list[int], pushes: Sequence[Push], outcomes: list[Outcome]) -> None:
        results = await self._providers[kind].deliver([pushes[place] for place in places])
        for place, result in zip(places, results, strict=True):
            outcomes[place] = result


async def _wait(provider: Gateway, pushes: Sequence[Push], done: Done) -> None:
    for place, outcome in enumerate(await provider.deliver(pushes)):
        done(place, outcome)


def _told(places: Sequence[int], done: Done, place: int, outcome: Outcome) -> None:
    done(places[place], outcome)
