"""
Opening what comes and sealing what goes: all the curve arithmetic of the server, in this process.

``workers.WorkerPool`` does the same in other processes; the driver cannot tell them apart.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from hushbell.config.limits import Limits
from hushbell.core import envelope
from hushbell.core.server.events import Event
from hushbell.core.server.facts import Reply
from hushbell.errors import TooLarge, Unauthentic, WireError
from hushbell.types import KeyPair, Nanos, Random, SymmetricKey

SLICE = 16  # envelopes opened between two looks at the sockets: about 4 ms


@dataclass(frozen=True, slots=True)
class SealedEnvelope:
    """An envelope that concerns the server, and the query keys it may be sealed with (none: our identity)."""

    waku_message: bytes = field(repr=False)
    keys: tuple[SymmetricKey, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class DiscardedEnvelope:
    """An envelope that was met with silence; the name is that of the counter that goes up."""

    reason: str


class EnvelopeSealer(Protocol):
    """Opens envelopes into events and seals replies into envelopes, in order."""

    async def open(self, sealed: Sequence[SealedEnvelope]) -> Sequence[Event | DiscardedEnvelope]:
        """Return one answer for each envelope. Never raises for what is inside."""
        ...

    async def seal(self, replies: Sequence[Reply], timestamp: Nanos) -> Sequence[bytes]:
        """Return one complete WakuMessage for each reply, with the topic it belongs on inside."""
        ...

    async def close(self) -> None:
        """Let go of processes."""
        ...


def open_one(sealed: SealedEnvelope, server: KeyPair, limits: Limits) -> Event | DiscardedEnvelope:
    """Open one envelope. Whatever a stranger wrote into it, the answer is a value."""
    try:
        event = envelope.server_event(_opened(sealed, server, limits), server, limits)
    except TooLarge:
        return DiscardedEnvelope("envelopes_too_large")
    except Unauthentic:
        return DiscardedEnvelope("envelopes_unauthentic")
    except WireError:
        return DiscardedEnvelope("envelopes_undecodable")
    return DiscardedEnvelope("envelopes_of_other_types") if event is None else event


def _opened(sealed: SealedEnvelope, server: KeyPair, limits: Limits) -> envelope.OpenedEnvelope:
    waku = envelope.open_waku(sealed.waku_message, limits.envelope)
    if not sealed.keys:
        return envelope.open_with_private(waku, server.private)
    for key in sealed.keys[:-1]:
        try:
            return envelope.open_with_symmetric(waku, key)
        except WireError:
            continue
    return envelope.open_with_symmetric(waku, sealed.keys[-1])


class InProcess:
    """Does the arithmetic on the event loop's own thread, in slices, so that sockets are served between them."""

    def __init__(self, server: KeyPair, limits: Limits, random: Random) -> None:
        self._server = server
        self._limits = limits
        self._random = random

    async def open(self, sealed: Sequence[SealedEnvelope]) -> Sequence[Event | DiscardedEnvelope]:
        """Return one answer for each envelope."""
        opened: list[Event | DiscardedEnvelope] = []
        for number, one in enumerate(sealed, 1):
            opened.append(open_one(one, self._server, self._limits))
            if number % SLICE == 0:
                await asyncio.sleep(0)
        return opened

    async def seal(self, replies: Sequence[Reply], timestamp: Nanos) -> Sequence[bytes]:
        """Return one complete WakuMessage for each reply."""
        sealed = []
        for number, reply in enumerate(replies, 1):
            sealed.append(envelope.seal_reply(reply, self._server, timestamp, self._random))
            if number % SLICE == 0:
                await asyncio.sleep(0)
        return sealed

    async def close(self) -> None:
        """Nothing to let go of."""
