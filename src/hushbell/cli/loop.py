"""The event loop of long-running commands."""

import asyncio
import gc
from collections.abc import Coroutine
from typing import Any

YOUNG = 20_000  # objects that come before the collector looks for cycles among them; hardly any is in one


def run_loop(main: Coroutine[Any, Any, None]) -> None:
    """Run on uvloop where it installs, else on asyncio's own loop."""
    # What is loaded by now stays, and a push is a hundred objects that end by themselves: at Python's threshold of 700
    # the collector took a thirtieth of the server's time and more.
    gc.freeze()
    gc.set_threshold(YOUNG, *gc.get_threshold()[1:])
    try:
        import uvloop
    except ImportError:
        asyncio.run(main)
    else:
        uvloop.run(main)
