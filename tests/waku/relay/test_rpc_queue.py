"""The queue to one peer: what goes first, what is dropped, and when the peer is cut."""

from collections import Counter
from typing import Any

import pytest

from hushbell.errors import TransportError
from hushbell.waku.byte_total import ByteTotal
from hushbell.waku.libp2p.stream import PeerId
from hushbell.waku.relay.rpc_queue import RpcQueue
from hushbell.waku.relay.settings import RelayLimits

BOUNDS = RelayLimits(
    in_stream=100, forwarded=300, urgent=200, overflow=250, waiting=450, stalled=3, dropping=2, waiting_share=100
)


class Box:
    """An outbox with its stream; what the stream sent is in ``sent``."""

    def __init__(self, world: Any, total: ByteTotal | None = None, *, window: int = 0) -> None:
        self.counts: Counter[str] = Counter()
        self.waits = 0
        self.total = total or ByteTotal()
        self.queue = RpcQueue(BOUNDS, self.total, self._count, self._wait)
        self.end, self.far = world.pair(PeerId(b"us"), PeerId(b"them"), window)
        self.sent = bytearray()
        self.far.receiver = self.sent.extend

    def _count(self, name: str, number: int) -> None:
        self.counts[name] += number

    def _wait(self, queue: RpcQueue) -> None:
        self.waits += 1


@pytest.fixture
async def box(world: Any) -> Box:
    made = Box(world)
    made.queue.attach(made.end)
    return made


async def test_what_the_stream_takes_waits_nowhere(world: Any) -> None:
    box = Box(world, window=1000)
    box.queue.attach(box.end)

    box.queue.forward(b"f" * 50)
    box.queue.control(b"c" * 50)
    await world.settle()

    assert (bytes(box.sent), box.queue.size, box.queue.waiting) == (b"f" * 50 + b"c" * 50, 0, False)


async def test_control_and_own_messages_overtake_forwarded_ones(world: Any, box: Box) -> None:
    for frame in (b"1", b"2", b"3"):
        box.queue.forward(frame * 60)
    box.queue.forward(b"f" * 60)
    box.queue.control(b"c" * 60)
    assert box.queue.publish(b"p" * 60)

    box.end.flow(10_000)
    await box.queue.drain()
    await world.settle()

    assert bytes(box.sent) == b"".join(frame * 60 for frame in (b"1", b"2", b"c", b"p", b"3", b"f"))
    assert (box.queue.size, box.total.size, box.waits, box.queue.waiting) == (0, 0, 1, False)


async def test_the_oldest_forwarded_message_is_dropped_and_counted(world: Any, box: Box) -> None:
    for number in range(10):
        box.queue.forward(b"%d" % number * 100)

    box.end.flow(10_000)
    await box.queue.drain()
    await world.settle()

    assert bytes(box.sent) == b"".join(b"%d" % number * 100 for number in (0, 7, 8, 9))
    assert box.counts["relay_forward_dropped"] == 6


async def test_a_publisher_hears_that_a_peer_takes_nothing_more(box: Box) -> None:
    taken = [box.queue.publish(bytes(100)) for _ in range(5)]

    assert taken == [True, True, True, False, False]
    assert box.counts["relay_publish_skipped"] == 2


async def test_all_peers_together_are_bounded_and_each_has_a_share(world: Any) -> None:
    total = ByteTotal()
    boxes = [Box(world, total) for _ in range(4)]
    for box in boxes:
        box.queue.attach(box.end)

    for box in boxes:
        for _ in range(6):
            box.queue.forward(bytes(100))
    published = [boxes[0].queue.publish(bytes(100)), boxes[3].queue.publish(bytes(50))]
    for box in boxes:
        box.queue.control(bytes(50))

    assert total.size <= BOUNDS.waiting + 4 * (BOUNDS.waiting_share + 100)
    assert [box.counts["relay_forward_dropped"] for box in boxes] == [2, 4, 4, 4]
    assert published == [False, True]
    assert boxes[0].queue.heartbeat() == "relay_cut_overflow"


async def test_what_is_said_before_the_stream_is_open_is_sent_first(world: Any) -> None:
    box = Box(world, window=1000)
    box.queue.control(b"hello")
    box.queue.forward(b"later")

    box.queue.attach(box.end)
    await world.settle()

    assert (bytes(box.sent), box.waits) == (b"hellolater", 0)


async def test_more_than_a_stream_takes_waits_from_the_start(world: Any) -> None:
    box = Box(world)
    for _ in range(3):
        box.queue.control(bytes(60))

    box.queue.attach(box.end)

    assert (box.waits, box.queue.waiting, box.queue.size) == (1, True, 60)


async def test_a_peer_that_takes_nothing_is_cut(box: Box) -> None:
    for _ in range(3):
        box.queue.forward(bytes(100))
    box.queue.heartbeat()

    reasons = [box.queue.heartbeat() for _ in range(3)]

    assert reasons[-1] == "relay_cut_stalled"


async def test_a_peer_that_takes_little_is_not_cut(box: Box) -> None:
    for _ in range(3):
        box.queue.forward(bytes(100))

    for _ in range(10):
        box.end.flow(1)
        assert box.queue.heartbeat() is None


async def test_an_idle_peer_is_never_cut(box: Box) -> None:
    assert [box.queue.heartbeat() for _ in range(10)] == [None] * 10


async def test_a_peer_that_is_always_too_slow_is_cut(box: Box) -> None:
    reasons = []
    for _ in range(4):
        box.end.flow(1)
        for _ in range(10):
            box.queue.forward(bytes(100))
        reasons.append(box.queue.heartbeat())

    assert reasons == [None, "relay_cut_slow", "relay_cut_slow", "relay_cut_slow"]


async def test_a_peer_that_makes_us_talk_and_does_not_listen_is_cut(box: Box) -> None:
    for _ in range(5):
        box.queue.control(bytes(100))

    assert box.queue.heartbeat() == "relay_cut_overflow"


async def test_detaching_forgets_everything(box: Box) -> None:
    for _ in range(3):
        box.queue.forward(bytes(100))
        box.queue.control(bytes(30))

    assert box.queue.detach() is box.end
    assert (box.queue.size, box.total.size) == (0, 0)
    with pytest.raises(TransportError):
        await box.queue.drain()


async def test_draining_ends_with_the_stream(box: Box) -> None:
    for _ in range(3):
        box.queue.forward(bytes(100))

    box.end.reset()

    with pytest.raises(TransportError):
        await box.queue.drain()
