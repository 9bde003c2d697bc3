"""The event loop of long-running commands."""

import asyncio
import gc
from collections.abc import Coroutine
from typing import Any

# New objects until a collection of the youngest generation; collections of that until one of the second; and of that
# until a full one. Hardly any object is in a cycle, and a full collection of hundreds of thousands, such as a burst of
# pushes leaves in memory for a while, stops the process for 0.1 s: full ones run by the clock instead.
GC_THRESHOLDS = 5_000, 3, 1_000_000
FULL_COLLECTION_INTERVAL = 60.0  # seconds between full collections


def run_loop(main: Coroutine[Any, Any, None]) -> None:
    """Run on uvloop where it installs, else on asyncio's own loop."""
    # What is loaded by now stays, and the hundred objects of a push are freed by their reference counts: with Python's
    # threshold of 700 the collector took more than 3 % of the server's time.
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    main = _run_and_collect(main)
    try:
        import uvloop
    except ImportError:
        asyncio.run(main)
    else:
        uvloop.run(main)


async def _run_and_collect(main: Coroutine[Any, Any, None]) -> None:
    """Run, with a full collection now and then."""
    loop = asyncio.get_running_loop()

    def collect() -> None:
        gc.collect()
        loop.call_later(FULL_COLLECTION_INTERVAL, collect)

    loop.call_later(FULL_COLLECTION_INTERVAL, collect)
    await main
