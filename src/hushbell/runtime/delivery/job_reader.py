"""Jobs that are on the disk alone are read into memory when their provider queue has room."""

import asyncio
import logging
from collections.abc import Callable

from hushbell.core.delivery.job import DamagedJob, JobOnDisk
from hushbell.errors import StoreError
from hushbell.ports.outbox import Outbox
from hushbell.runtime.delivery.provider_queue import ProviderQueue

MAX_STEPS = 16  # of one read
JOBS_PER_STEP = 4
MAX_PUSHES = 128  # after which one read ends, so that other queues can go on

log = logging.getLogger(__name__)


class JobReader:
    """Reads the jobs of a queue in the order of their numbers, one read a queue at a time."""

    def __init__(
        self,
        outbox: Outbox,
        on_found: Callable[[ProviderQueue, JobOnDisk | DamagedJob], None],
        on_missing: Callable[[ProviderQueue, int], None],
    ) -> None:
        """``on_found`` gets each row; ``on_missing`` the number of a job that is neither open nor damaged."""
        self._outbox = outbox
        self._on_found = on_found
        self._on_missing = on_missing
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def is_idle(self) -> bool:
        """Whether no read is under way."""
        return not self._tasks

    def begin(self, queue: ProviderQueue, done: Callable[[ProviderQueue], None]) -> None:
        """Read some jobs that ``queue`` left on the disk, then call ``done``."""
        queue.is_reading = True
        task = asyncio.get_running_loop().create_task(self._read(queue, done))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _read(self, queue: ProviderQueue, done: Callable[[ProviderQueue], None]) -> None:
        pushes = 0
        try:
            for _ in range(MAX_STEPS):
                numbers = queue.on_disk.pop_first(JOBS_PER_STEP)
                if not numbers:
                    return
                try:
                    found = await self._outbox.read(numbers)
                except StoreError as error:
                    log.error("the queue cannot be read: %s", error)  # noqa: TRY400  the text names the cause
                    queue.on_disk.give_back(numbers)
                    queue.pause_for_store()
                    return
                for row in found:
                    self._on_found(queue, row)
                    pushes += row.job.pushes if isinstance(row, JobOnDisk) else 0
                if len(found) < len(numbers):
                    for number in set(numbers).difference([row.number for row in found]):
                        self._on_missing(queue, number)
                if pushes >= MAX_PUSHES:
                    return
        finally:
            queue.is_reading = False
            done(queue)
