"""What carries envelopes, whatever it is. Nothing of Waku is loaded for a bus."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from hushbell.ports.transport import Transport

Wants = Callable[[str], bool]
"""Says of a content topic whether its messages are wanted."""


async def _joined(wants: Wants) -> None:
    """Take everything from a network that was joined already."""


@dataclass(frozen=True, slots=True)
class Carrier:
    """A transport, and what the ready line says of it once it was started."""

    transport: Transport
    facts: Callable[[], Mapping[str, object]]
    join: Callable[[Wants], Awaitable[None]] = _joined

    async def start(self, wants: Wants) -> None:
        """
        Begin to receive what is wanted.

        Raises:
            TransportError, ConfigError: the network cannot be joined.
        """
        await self.join(wants)
