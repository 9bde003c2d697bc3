"""The relay's peers: their subscriptions, their direction, and what they used of this heartbeat's limits."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from hushbell.ports.metrics import Count
from hushbell.types import Random
from hushbell.waku.libp2p.stream import PeerId
from hushbell.waku.relay.rpc import Control
from hushbell.waku.relay.settings import RelayLimits

T = TypeVar("T")


@dataclass(slots=True)
class Peer:
    """One connected peer that speaks the relay's protocol."""

    outbound: bool  # we dialled
    topics: set[str] = field(default_factory=set)
    changes: int = 0  # of subscriptions in this heartbeat
    ihave: int = 0  # messages in this heartbeat
    requested_ids: int = 0  # ids that we requested from it in this heartbeat
    served_ids: int = 0  # ids that it requested from us in this heartbeat


class Peers:
    """The connected peers, the subscribers of our topics, and the control messages that wait for each peer."""

    def __init__(self, limits: RelayLimits, count: Count) -> None:
        self.known: dict[PeerId, Peer] = {}
        self.listening: dict[str, dict[PeerId, None]] = {}  # subscribers of the topics that we joined or published to
        self._limits = limits
        self._count = count
        self._control: dict[PeerId, Control] = {}

    def add(self, peer: PeerId, *, outbound: bool) -> None:
        """Add a peer if it is new."""
        self.known.setdefault(peer, Peer(outbound))

    def remove(self, peer: PeerId) -> None:
        """Remove a peer."""
        self.known.pop(peer, None)
        self._control.pop(peer, None)
        for listeners in self.listening.values():
            listeners.pop(peer, None)

    def follow(self, topic: str) -> dict[PeerId, None]:
        """Return the subscribers of a topic, a dictionary that is kept up to date from now on."""
        listeners = self.listening.get(topic)
        if listeners is None:
            listeners = {peer: None for peer, state in self.known.items() if topic in state.topics}
            self.listening[topic] = listeners
        return listeners

    def subscribe(self, peer: PeerId, topic: str, *, wanted: bool) -> bool:
        """Apply one change and return whether it had an effect; False also if the peer has too many subscriptions."""
        state = self.known[peer]
        if (topic in state.topics) == wanted or not topic:
            return False
        if wanted and len(state.topics) >= self._limits.subscriptions:
            self._count("relay_subscriptions_refused", 1)
            return False
        (state.topics.add if wanted else state.topics.discard)(topic)
        listeners = self.listening.get(topic)
        if listeners is not None:
            if wanted:
                listeners[peer] = None
            else:
                listeners.pop(peer, None)
        return True

    def control_for(self, peer: PeerId) -> Control:
        """Return the control message that waits for a peer, to add to it."""
        return self._control.setdefault(peer, Control())

    def pop_control(self) -> dict[PeerId, Control]:
        """Return the waiting control messages by peer, and empty them."""
        control, self._control = self._control, {}
        return control

    def reset_counts(self) -> None:
        """Start a heartbeat: reset what each peer has used of its limits."""
        for state in self.known.values():
            state.changes = state.ihave = state.requested_ids = state.served_ids = 0


def choose(items: Sequence[T], number: int, random: Random) -> list[T]:
    """Return that many different items, or all, in random order."""
    pool = list(items)
    number = min(number, len(pool))
    drawn = random(4 * number)
    for place in range(number):
        other = place + int.from_bytes(drawn[4 * place : 4 * place + 4], "big") % (len(pool) - place)
        pool[place], pool[other] = pool[other], pool[place]
    return pool[:number]
