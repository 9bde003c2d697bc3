"""
The RPC of gossipsub, read from hostile bytes and written.

Source: reference/waku.md section 5, RFC 11, and the libp2p specification of gossipsub v1.1. Protobuf is scanned by
hand: a scanner can refuse by count before anything is built, and keeps a message's bytes to forward them unchanged.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from hushbell.errors import TooLarge, Undecodable
from hushbell.waku.relay.settings import ID_SIZE, RelayLimits

_MAX_SIZES = 4096  # sizes; most messages are padded to few
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_ID = bytes((0x12, ID_SIZE))  # field 2 of IHAVE
_WANTED = bytes((0x0A, ID_SIZE))  # field 1 of IWANT


@dataclass(frozen=True, slots=True)
class RelayMessage:
    """One published message; ``signed`` if it has a field that RFC 11 forbids, no topic unless there is just one."""

    data: bytes = field(repr=False)
    topic: str | None
    signed: bool


@dataclass(slots=True)
class Control:
    """The control part of an RPC, and of the next RPC to one peer."""

    subscriptions: list[tuple[bool, str]] = field(default_factory=list)
    ihave: list[tuple[str, Sequence[bytes]]] = field(default_factory=list)
    iwant: list[bytes] = field(default_factory=list)
    graft: list[str] = field(default_factory=list)
    prune: list[tuple[str, int]] = field(default_factory=list)  # topic, back-off in seconds
    exchanged: int = 0  # peers that a PRUNE recommended; they are ignored


@dataclass(slots=True)
class RelayRpc:
    """One RPC."""

    messages: list[RelayMessage] = field(default_factory=list)
    control: Control = field(default_factory=Control)


def varint(value: int) -> bytes:
    """Return an unsigned varint."""
    if value < 0x80:
        return bytes((value,))
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def read_varint(data: bytes, place: int, end: int) -> tuple[int, int]:
    """Return a varint of at most 64 bits and the place behind it, or raise Undecodable."""
    value = shift = 0
    while place < end and shift < 70:
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, place
        shift += 7
    raise Undecodable("a varint does not end")


class ProtobufScanner:
    """
    The fields of a protobuf message and of those inside it, ``max_fields`` of them altogether.

    Raises, while it is iterated:
        Undecodable: groups, unknown wire types, fields longer than their message.
        TooLarge: more fields than that.
    """

    __slots__ = ("data", "remaining")

    def __init__(self, data: bytes, max_fields: int) -> None:
        self.data = data
        self.remaining = max_fields

    def within(self, place: int, end: int) -> Iterator[tuple[int, int, int, int]]:
        """Yield (number, wire type, start, stop) of each field in that part; of a varint, ``start`` is the value."""
        data = self.data
        while place < end:
            self.remaining -= 1
            if self.remaining < 0:
                raise TooLarge("too many fields")
            tag, place = read_varint(data, place, end)
            number, kind = tag >> 3, tag & 7
            if number == 0 or number > 0x1FFF_FFFF:
                raise Undecodable("no such field number")
            if kind == _VARINT:
                value, place = read_varint(data, place, end)
                yield number, kind, value, place
                continue
            if kind == _BYTES:
                length, place = read_varint(data, place, end)
            elif kind in (_FIXED64, _FIXED32):
                length = 8 if kind == _FIXED64 else 4
            else:
                raise Undecodable("no such wire type")
            if length > end - place:
                raise Undecodable("a field is longer than its message")
            yield number, kind, place, place + length
            place += length

    def text(self, start: int, end: int) -> str:
        """Return a string field."""
        try:
            return str(self.data[start:end], "utf-8")
        except UnicodeDecodeError:
            raise Undecodable("a topic is not UTF-8") from None


def decode(data: bytes, start: int, end: int, limits: RelayLimits) -> RelayRpc:
    """
    Read the RPC in ``data[start:end]``.

    Raises:
        Undecodable: it is none.
        TooLarge: more messages, subscriptions or control entries than a well-behaved peer puts into one.
    """
    rpc = RelayRpc()
    scan = ProtobufScanner(data, limits.fields_per_rpc)
    for number, kind, begin, stop in scan.within(start, end):
        if kind != _BYTES:
            continue
        if number == 1:
            _subscription(scan, begin, stop, rpc.control, limits)
        elif number == 2:
            if len(rpc.messages) >= limits.messages_per_rpc:
                raise TooLarge("too many messages in one RPC")
            rpc.messages.append(_message(scan, begin, stop))
        elif number == 3:
            _control(scan, begin, stop, rpc.control, limits)
    return rpc


def _message(scan: ProtobufScanner, start: int, end: int) -> RelayMessage:
    content = b""
    topics: list[tuple[int, int]] = []
    signed = False
    for number, kind, begin, stop in scan.within(start, end):
        if number in (1, 3, 5, 6):
            signed = True
        elif kind == _BYTES and number == 2:
            content = scan.data[begin:stop]
        elif kind == _BYTES and number == 4:
            topics.append((begin, stop))
    return RelayMessage(content, scan.text(*topics[0]) if len(topics) == 1 else None, signed)


def _subscription(scan: ProtobufScanner, start: int, end: int, control: Control, limits: RelayLimits) -> None:
    if len(control.subscriptions) >= limits.subscriptions_per_rpc:
        raise TooLarge("too many subscriptions in one RPC")
    wanted, topic = False, ""
    for number, kind, begin, stop in scan.within(start, end):
        if number == 1 and kind == _VARINT:
            wanted = bool(begin)
        elif number == 2 and kind == _BYTES and stop - begin <= limits.topic_name:
            topic = scan.text(begin, stop)
    control.subscriptions.append((wanted, topic))


def _control(scan: ProtobufScanner, start: int, end: int, control: Control, limits: RelayLimits) -> None:
    for number, kind, begin, stop in scan.within(start, end):
        if kind != _BYTES or number > 4:
            continue  # later versions have more, such as IDONTWANT
        if len(control.ihave) + len(control.graft) + len(control.prune) >= limits.control_per_rpc:
            raise TooLarge("too many control entries in one RPC")
        if number == 1:
            control.ihave.append((_topic(scan, begin, stop, limits), _ids(scan, begin, stop, 2, limits.ids)))
        elif number == 2:
            control.iwant += _ids(scan, begin, stop, 1, limits.ids - len(control.iwant))
        elif number == 3:
            control.graft.append(_topic(scan, begin, stop, limits))
        else:
            _prune(scan, begin, stop, control, limits)


def _prune(scan: ProtobufScanner, start: int, end: int, control: Control, limits: RelayLimits) -> None:
    backoff = 0
    for number, kind, begin, _ in scan.within(start, end):
        if number == 3 and kind == _VARINT:
            backoff = begin
        elif number == 2:
            control.exchanged += 1
    control.prune.append((_topic(scan, start, end, limits), backoff))


def _topic(scan: ProtobufScanner, start: int, end: int, limits: RelayLimits) -> str:
    """Return the topic, field 1 of each control entry, or "" if it cannot be one of ours."""
    topic = ""
    for number, kind, begin, stop in scan.within(start, end):
        if number == 1 and kind == _BYTES:
            topic = scan.text(begin, stop) if stop - begin <= limits.topic_name else ""
    return topic


def _ids(scan: ProtobufScanner, start: int, end: int, wanted: int, limit: int) -> list[bytes]:
    """Return at most ``limit`` ids; those that cannot be ids of ours are left out."""
    return [
        scan.data[begin:stop]
        for number, kind, begin, stop in scan.within(start, end)
        if number == wanted and kind == _BYTES and stop - begin == ID_SIZE
    ][: max(0, limit)]


@lru_cache(64)
def topic_tail(topic: str) -> bytes:
    """Return the topic as field 4 of a published message."""
    return _field(4, topic.encode())


class TopicFrames:
    """
    The first and last bytes of an RPC with one message in a topic of ours, in the usual form.

    An RPC of a known size with these bytes needs no parsing: its data lies between them.
    """

    def __init__(self) -> None:
        self.tails: dict[bytes, str] = {}
        self.heads: dict[int, tuple[tuple[bytes, int, int], ...]] = {}  # by size: head, its length, the tail's length

    def add(self, topic: str) -> None:
        """Add a topic."""
        self.tails[topic_tail(topic)] = topic
        self.heads.clear()

    def remove(self, topic: str) -> None:
        """Remove a topic."""
        self.tails.pop(topic_tail(topic), None)
        self.heads.clear()

    def shapes_of(self, size: int) -> tuple[tuple[bytes, int, int], ...]:
        """Return the forms that RPCs of a size can have, and remember them."""
        if len(self.heads) >= _MAX_SIZES:
            self.heads.clear()
        found = tuple(shape for tail in {len(tail) for tail in self.tails} for shape in _frame_shapes(size, tail))
        self.heads[size] = found
        return found


def _frame_shapes(size: int, tail: int) -> Iterator[tuple[bytes, int, int]]:
    for outer in range(1, 5):
        body = size - 1 - outer
        for inner in range(1, 5):
            data = body - 1 - inner - tail
            if data >= 0 and len(varint(body)) == outer and len(varint(data)) == inner:
                head = b"\x12" + varint(body) + b"\x12" + varint(data)
                yield head, len(head), tail


def message_frame(data: bytes, tail: bytes) -> bytes:
    """Return an RPC that publishes one message, with its length in front. Encoded once, sent to many."""
    return b"".join((_frame_head(len(data), len(tail)), data, tail))


@lru_cache(_MAX_SIZES)
def _frame_head(data: int, tail: int) -> bytes:
    """Return the bytes before data and tail of those sizes."""
    head = b"\x12" + varint(data)
    body = b"\x12" + varint(len(head) + data + tail)
    return varint(len(body) + len(head) + data + tail) + body + head


def control_frames(control: Control, batch: int) -> list[bytes]:
    """
    Return the RPCs of a control message, each with its length in front.

    Each holds the offers of one topic, or ``batch`` wanted ids, so that neither it nor the answer is too large.
    """
    body = b"".join(_field(1, _flag(on) + _field(2, topic.encode())) for on, topic in control.subscriptions)
    entries = [_field(3, _field(1, topic.encode())) for topic in control.graft]
    entries += [_field(4, _field(1, topic.encode()) + b"\x18" + varint(backoff)) for topic, backoff in control.prune]
    frames = [body + _field(3, b"".join(entries)) if entries else body] if body or entries else []
    frames += [_field(3, _field(1, _field(1, topic.encode()) + _joined(_ID, ids))) for topic, ids in control.ihave]
    frames += [
        _field(3, _field(2, _joined(_WANTED, control.iwant[start : start + batch])))
        for start in range(0, len(control.iwant), batch)
    ]
    return [varint(len(frame)) + frame for frame in frames]


def _field(number: int, content: bytes) -> bytes:
    return bytes((number << 3 | _BYTES,)) + varint(len(content)) + content


def _flag(on: bool) -> bytes:  # noqa: FBT001 - a bit of the wire
    return b"\x08\x01" if on else b"\x08\x00"


def _joined(prefix: bytes, ids: Iterable[bytes]) -> bytes:
    joined = prefix.join(ids)
    return prefix + joined if joined else b""
