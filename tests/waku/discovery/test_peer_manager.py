"""Connections are kept: named peers for ever, others as many as wanted, and nobody is hammered."""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence

import pytest

from hushbell.errors import TransportError
from hushbell.testing.clock import FakeClock
from hushbell.types import PrivateKey
from hushbell.waku.discovery.peer_manager import CHECK_INTERVAL, MAX_WAIT, MIN_SEARCH_INTERVAL, PeerManager
from hushbell.waku.libp2p.keys import secp256k1_identity
from hushbell.waku.libp2p.multiaddr import Multiaddr
from hushbell.waku.libp2p.stream import PeerId


def address(number: int) -> Multiaddr:
    peer = secp256k1_identity(PrivateKey(number.to_bytes(32))).peer_id
    return Multiaddr.parse(f"/ip4/127.0.0.1/tcp/{number}").with_peer(peer)


def peer(number: int) -> PeerId:
    found = address(number).peer
    assert found is not None
    return found


class Phonebook:
    """Connects to whoever is up."""

    peer_id = peer(9999)

    def __init__(self) -> None:
        self.up: set[PeerId] = set()
        self.connected: list[PeerId] = []
        self.dialled: list[PeerId] = []
        self.on_disconnected: Callable[[PeerId], None] = lambda _: None

    async def dial(self, address: Multiaddr) -> PeerId:
        assert address.peer
        if address.peer in self.connected:
            return address.peer
        self.dialled.append(address.peer)
        if address.peer == self.peer_id:
            return self.peer_id
        if address.peer not in self.up:
            raise TransportError("nobody there")
        self.connected.append(address.peer)
        return address.peer

    @property
    def peers(self) -> Collection[PeerId]:
        return self.connected

    def watch(self, connected: Callable[[PeerId, Sequence[str]], None], disconnected: Callable[[PeerId], None]) -> None:
        self.on_disconnected = disconnected


@pytest.fixture
def book() -> Phonebook:
    return Phonebook()


Begin = Callable[..., PeerManager]


@pytest.fixture
def begin(book: Phonebook, clock: FakeClock, counted: Counter[str]) -> Iterator[Begin]:
    tasks: list[asyncio.Task[None]] = []

    def start(named: Sequence[int] = (), *, found: Sequence[int] = (), wanted: int = 0) -> PeerManager:
        async def finder() -> Sequence[Multiaddr]:
            counted["searches"] += 1
            return [address(number) for number in found]

        connecting = PeerManager(
            host=book,
            peers=[address(number) for number in named],
            finders=[finder] if wanted else [],
            target=wanted,
            clock=clock,
            random=lambda size: b"\x80" + bytes(size - 1),  # the middle: no jitter
            count=lambda name, number: counted.update({name: number}),
        )
        tasks.append(asyncio.get_running_loop().create_task(connecting.run()))
        return connecting

    yield start
    for task in tasks:
        task.cancel()


async def turns() -> None:
    for _ in range(30):
        await asyncio.sleep(0)


async def test_a_named_peer_is_dialled_until_it_answers_ever_more_slowly(
    book: Phonebook, clock: FakeClock, begin: Begin
) -> None:
    begin([1])
    attempts = []
    for _ in range(300):
        await turns()
        attempts.append(len(book.dialled))
        clock.advance(1)

    book.up.add(peer(1))
    clock.advance(MAX_WAIT * 1.5)
    await turns()

    assert attempts[:9] == [1, 2, 2, 3, 3, 3, 3, 4, 4]
    assert attempts[-1] <= 6 + 300 / MAX_WAIT
    assert book.connected == [peer(1)]


async def test_a_peer_that_goes_is_dialled_again_at_once(book: Phonebook, clock: FakeClock, begin: Begin) -> None:
    book.up.add(peer(1))
    begin([1])
    await turns()
    clock.advance(3600)
    await turns()

    book.connected.clear()
    book.on_disconnected(peer(1))
    await turns()
    clock.advance(1)
    await turns()

    assert book.connected == [peer(1)]


async def test_a_peer_that_drops_us_each_time_is_not_hammered(book: Phonebook, clock: FakeClock, begin: Begin) -> None:
    book.up.add(peer(1))
    begin([1])
    for _ in range(300):
        await turns()
        book.connected.clear()
        book.on_disconnected(peer(1))
        await turns()
        clock.advance(1)

    assert len(book.dialled) <= 6 + 300 / MAX_WAIT + 1


async def test_a_failure_nobody_thought_of_is_met_like_any_other(
    book: Phonebook, clock: FakeClock, begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(address: Multiaddr) -> PeerId:
        raise RuntimeError("a bug")

    book.up.add(peer(1))
    monkeypatch.setattr(book, "dial", broken)
    begin([1])
    await turns()

    monkeypatch.undo()
    clock.advance(2)
    await turns()

    assert book.connected == [peer(1)]


async def test_this_node_itself_is_left_alone(book: Phonebook, clock: FakeClock, begin: Begin) -> None:
    begin([9999])

    for _ in range(10):
        await turns()
        clock.advance(60)

    assert book.dialled == [book.peer_id]


async def test_as_many_of_the_found_are_connected_as_are_wanted(
    book: Phonebook, clock: FakeClock, begin: Begin
) -> None:
    book.up |= {peer(number) for number in range(1, 20)}
    begin(found=range(1, 20), wanted=3)
    await turns()
    assert len(book.connected) == 3

    book.on_disconnected(book.connected.pop())
    clock.advance(CHECK_INTERVAL)
    await turns()

    assert len(book.connected) == 3


async def test_found_ones_that_are_down_make_room_for_others(book: Phonebook, clock: FakeClock, begin: Begin) -> None:
    book.up |= {peer(number) for number in range(15, 20)}
    begin(found=range(1, 20), wanted=4)

    for _ in range(30):
        await turns()
        clock.advance(CHECK_INTERVAL)

    assert len(book.connected) == 4


async def test_lists_are_read_again_when_they_are_used_up_but_not_all_the_time(
    book: Phonebook, clock: FakeClock, begin: Begin, counted: Counter[str]
) -> None:
    begin(found=[1], wanted=2)

    for _ in range(60):
        await turns()
        clock.advance(10)

    assert 2 <= counted["searches"] <= 600 / MIN_SEARCH_INTERVAL + 1
