"""Our own API."""

from collections.abc import Callable

from starlette.applications import Starlette

from hushbell.config.settings import Settings
from hushbell.gateway.keys import Keys
from hushbell.ports.clock import Clock
from hushbell.ports.intake import Intake
from hushbell.types import Random


class V1:
    """Routes under /v1."""

    def __init__(
        self,
        intake: Intake,
        keys: Keys,
        settings: Settings,
        *,
        clock: Clock,
        random: Random,
        count: Callable[[str, int], None],
    ) -> None:
        del intake, keys, settings, clock, random, count
        self.app = Starlette()
