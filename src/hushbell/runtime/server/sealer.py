"""
Opens envelopes and seals replies: all the curve arithmetic of the server.

``InProcessSealer`` does it on the event loop's own thread, ``worker_pool.WorkerPool`` in other processes.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from hushbell.config.limits import Limits
from hushbell.core.envelope import OpenedEnvelope, open_with_private, open_with_symmetric
from hushbell.core.server.envelopes import seal_reply, server_event
from hushbell.core.server.events import Event
from hushbell.core.server.facts import Reply
from hushbell.errors import TooLarge, Unauthentic, WireError
from hushbell.types import KeyPair, Nanos, Random, SymmetricKey

SLICE = 16  # envelopes opened between two looks at the sockets: about 4 ms


@dataclass(frozen=True, slots=True)
class SealedEnvelope:
    """The payload of a WakuMessage that concerns the server."""

    payload: bytes = field(repr=False)
    keys: tuple[SymmetricKey, ...] = field(default=(), repr=False)  # of query topics, to be tried; (): our identity's


@dataclass(frozen=True, slots=True)
class DiscardedEnvelope:
    """An envelope that is met with silence."""

    reason: str  # name of the counter that goes up


class EnvelopeSealer(Protocol):
    """Opens envelopes into events and seals replies into envelopes, in order."""

    async def open(self, sealed: Sequence[SealedEnvelope]) -> Sequence[Event | DiscardedEnvelope]:
        """Return one answer for each envelope. Never raises for what is inside."""

    async def seal(self, replies: Sequence[Reply], timestamp: Nanos) -> Sequence[bytes]:
        """Return one complete WakuMessage for each reply, with the topic it belongs on inside."""

    async def close(self) -> None:
        """End the worker processes."""


def open_envelope(sealed: SealedEnvelope, server: KeyPair, limits: Limits) -> Event | DiscardedEnvelope:
    """Return the event in an envelope, or why it is discarded. Never raises for what is inside."""
    try:
        event = server_event(_opened(sealed, server), server, limits)
    except TooLarge:
        return DiscardedEnvelope("envelopes_too_large")
    except Unauthentic:
        return DiscardedEnvelope("envelopes_unauthentic")
    except WireError:
        return DiscardedEnvelope("envelopes_undecodable")
    return DiscardedEnvelope("envelopes_of_other_types") if event is None else event


def _opened(sealed: SealedEnvelope, server: KeyPair) -> OpenedEnvelope:
    if not sealed.keys:
        return open_with_private(sealed.payload, server.private)
    for key in sealed.keys[:-1]:
        try:
            return open_with_symmetric(sealed.payload, key)
        except WireError:
            continue
    return open_with_symmetric(sealed.payload, sealed.keys[-1])


class InProcessSealer:
    """An ``EnvelopeSealer`` on the event loop's own thread. Sockets are served between slices of ``SLICE``."""

    def __init__(self, server: KeyPair, limits: Limits, random: Random) -> None:
        self._server = server
        self._limits = limits
        self._random = random

    async def open(self, sealed: Sequence[SealedEnvelope]) -> Sequence[Event | DiscardedEnvelope]:
        """Return one answer for each envelope."""
        opened: list[Event | DiscardedEnvelope] = []
        for number, one in enumerate(sealed, 1):
            opened.append(open_envelope(one, self._server, self._limits))
            if number % SLICE == 0:
                await asyncio.sleep(0)
        return opened

    async def seal(self, replies: Sequence[Reply], timestamp: Nanos) -> Sequence[bytes]:
        """Return one complete WakuMessage for each reply."""
        sealed = []
        for number, reply in enumerate(replies, 1):
            sealed.append(seal_reply(reply, self._server, timestamp, self._random))
            if number % SLICE == 0:
                await asyncio.sleep(0)
        return sealed

    async def close(self) -> None:
        """Do nothing: there are no processes."""
