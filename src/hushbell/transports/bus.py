"""A bus inside one process: what one member publishes reaches every other. For tests, demos and single programs."""

from collections.abc import Sequence

from hushbell.errors import TransportError
from hushbell.ports.transport import ReceivedMessage
from hushbell.transports.mailbox import COUNT, SIZE, Mailbox
from hushbell.types import Envelope


class Bus:
    """
    The place where members meet. There is no history: a member gets what is published after it connected.

    A member that does not read slows the publishers down once ``count`` envelopes or ``size`` bytes wait for it.
    """

    def __init__(self, *, count: int = COUNT, size: int = SIZE) -> None:
        self._count = count
        self._size = size
        self._mailboxes: set[Mailbox] = set()

    def connect(self) -> "BusTransport":
        """Return a new member's end."""
        mailbox = Mailbox(count=self._count, size=self._size)
        self._mailboxes.add(mailbox)
        return BusTransport(self, mailbox)

    async def spread(self, writer: Mailbox, envelopes: Sequence[Envelope]) -> None:
        """Put the envelopes into everybody else's mailbox, waiting for those that are full."""
        others = [mailbox for mailbox in self._mailboxes if mailbox is not writer]
        for envelope in envelopes:
            for mailbox in others:
                if mailbox.full:
                    await mailbox.room()
                mailbox.put((envelope,))

    def leave(self, mailbox: Mailbox) -> None:
        """Forget a member; whoever waits for it goes on."""
        self._mailboxes.discard(mailbox)
        mailbox.close()


class BusTransport:
    """One member's end of a :class:`Bus`. A ``Transport``."""

    def __init__(self, bus: Bus, mailbox: Mailbox) -> None:
        self._bus = bus
        self._mailbox = mailbox

    async def receive(self, limit: int) -> Sequence[ReceivedMessage]:
        """Wait for at least one envelope and return up to ``limit``; nothing once closed and emptied."""
        return await self._mailbox.receive(limit)

    async def publish(self, envelopes: Sequence[Envelope]) -> None:
        """Hand the envelopes to every other member. Raises TransportError after ``close``."""
        if self._mailbox.closed:
            raise TransportError("this end of the bus is closed")
        await self._bus.spread(self._mailbox, envelopes)

    async def close(self) -> None:
        """Leave the bus. What waits can still be received."""
        self._bus.leave(self._mailbox)
