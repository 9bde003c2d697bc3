"""The event loop of long-running commands."""

import asyncio
import gc
from collections.abc import Coroutine
from typing import Any

# How many objects come before the collector looks for rings among them, how often among those that stayed, and how
# often among all. Hardly any object is in a ring, and a look at hundreds of thousands, such as a flood leaves in memory
# for a while, stops everything for a tenth of a second: that one is taken now and then instead.
GENERATIONS = 5_000, 3, 1_000_000
ALL = 60.0  # seconds between looks at all objects


def run_loop(main: Coroutine[Any, Any, None]) -> None:
    """Run on uvloop where it installs, else on asyncio's own loop."""
    # What is loaded by now stays, and a push is a hundred objects that end by themselves: at Python's threshold of 700
    # the collector took a thirtieth of the server's time and more.
    gc.freeze()
    gc.set_threshold(*GENERATIONS)
    main = _collecting(main)
    try:
        import uvloop
    except ImportError:
        asyncio.run(main)
    else:
        uvloop.run(main)


async def _collecting(main: Coroutine[Any, Any, None]) -> None:
    """Run, and look at all objects now and then."""
    loop = asyncio.get_running_loop()

    def collect() -> None:
        gc.collect()
        loop.call_later(ALL, collect)

    loop.call_later(ALL, collect)
    await main
