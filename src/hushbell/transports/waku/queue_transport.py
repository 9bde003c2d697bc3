"""The receiving half of every transport on Waku: a queue, and the tasks that fill it."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from hushbell.ports.transport import ReceivedMessage, Route
from hushbell.waku.inbox.message_queue import MessageQueue


class QueueTransport:
    """
    Receives from a queue and runs tasks until it is closed.

    Args:
        queue: the messages that arrived.
        disconnect: leaves the network at the end.
    """

    def __init__(self, queue: MessageQueue, disconnect: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._queue = queue
        self._disconnect = disconnect
        self._tasks: list[asyncio.Task[None]] = []

    def set_route(self, route: Callable[[str], object]) -> None:
        """Receive only messages on content topics for which ``route`` returns a true value. It is a look-up."""
        self._queue.route = route

    async def receive(self, limit: int) -> Sequence[ReceivedMessage]:
        """Wait for at least one message and return up to ``limit``; none once closed."""
        return [
            ReceivedMessage(
                one.raw.pubsub_topic,
                one.raw.data,
                one.raw.decode(),
                one.route if isinstance(one.route, Route) else None,
            )
            for one in await self._queue.receive(limit)
        ]

    async def close(self) -> None:
        """Leave the network. Nothing more is received."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        await self._queue.close()
        await self._disconnect()

    def _run(self, *work: Coroutine[Any, Any, None]) -> None:
        self._tasks += [asyncio.create_task(each) for each in work]
