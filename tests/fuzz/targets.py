"""
What is fuzzed, one function of bytes each: it returns, whatever the bytes are.

The law: hostile bytes end in a value, ``WireError`` or ``ConfigError``; anything else escapes and is a finding.
"""

from collections.abc import Callable
from contextlib import suppress

from hushbell import wire
from hushbell.config import loader
from hushbell.config.limits import Limits
from hushbell.core import envelope
from hushbell.core.server.decide import apply, decide, facts_needed
from hushbell.core.server.events import Event, QueryReceived, RegistrationReceived, RequestReceived
from hushbell.core.server.facts import Facts, StoredRegistration
from hushbell.crypto import ciphers, ecies, grants, hashes, secp256k1, signatures
from hushbell.errors import ConfigError, WireError
from hushbell.http.h2.frames import Type
from hushbell.http.h2.frames import frame as http2_frame
from hushbell.http.h2.protocol import H2Protocol
from hushbell.http.h2.stream import Bounds, H2Stream
from hushbell.ports.http import HttpFailure, HttpResponse
from hushbell.providers.apns import outcome as apns_outcome
from hushbell.providers.gorush import outcome as gorush
from hushbell.providers.registry import SETTINGS
from hushbell.runtime.server.sealer import DiscardedEnvelope, SealedEnvelope, open_envelope
from hushbell.transports import lines
from hushbell.types import AccessToken, DeviceKey, InstallationId, MessageId, Millis, RequestId, SymmetricKey
from hushbell.wire.codec import CODECS
from hushbell.wire.messages import (
    ApplicationMessage,
    NotificationRequest,
    ProtocolMessage,
    Query,
    Registration,
    WakuMessage,
)

LIMITS = Limits()
NOW = Millis(1_700_000_000_000)
SERVER, PHONE = secp256k1.key_pair_from(b"\1" * 32), secp256k1.key_pair_from(b"\2" * 32)
ONCE = secp256k1.key_pair_from(b"\3" * 32)
QUERY_KEY = SymmetricKey(b"\4" * 32)
SHARED = envelope.registration_key(PHONE.private, SERVER.public)
TOKEN = AccessToken("b6ae4fde-bb65-11ea-b3de-0242ac130004")
KNOWN = Registration(
    token_type=1,
    device_token="token",
    installation_id="c6ae4fde-bb65-11ea-b3de-0242ac130004",
    access_token=TOKEN,
    enabled=True,
    version=1,
    grant=grants.make_grant(PHONE, SERVER.public, TOKEN),
)


def decode(data: bytes) -> None:
    """Every message; what decodes is encoded, and decodes to the same."""
    for kind in CODECS:
        try:
            value: object = wire.decode(kind, data)
        except WireError:
            continue
        encoded = wire.encode(value)
        # Deterministic bytes decode to the same value, except that unknown fields lose nothing but their places.
        assert wire.encode(wire.decode(kind, encoded)) == encoded


def frame(data: bytes) -> None:
    """An RFC 26 frame."""
    with suppress(WireError):
        decoded = wire.decode_frame(data)
        assert len(decoded.data) + len(decoded.padding) <= len(data)


def segment(data: bytes) -> None:
    """One segment, and several cut from the bytes as if they were of one message."""
    size = max(1, data[0]) if data else 1
    found = [wire.as_segment(data[start : start + size]) for start in range(1, min(len(data), 16 * size), size)]
    found.append(wire.as_segment(data))
    with suppress(WireError):
        wire.reassemble([one for one in found if one is not None], hashes.keccak256)


def unwrap(data: bytes) -> None:
    """The layers that may lie around an application message."""
    with suppress(WireError):
        wire.unwrap_protocol_message(data)
    wire.is_datasync(data)
    with suppress(WireError):
        envelope.open_application(data)


def _waku(payload: bytes) -> bytes:
    return wire.encode(WakuMessage(payload=payload, content_topic="/waku/1/0x00000000/rfc26", version=1))


def _asymmetric(plain: bytes) -> bytes:
    return _waku(ecies.encrypt(SERVER.public, plain, ONCE, bytes(16)))


def _signed(data: bytes) -> bytes:
    signed_part = wire.encode_frame(data, b"", signed=True)
    return signed_part + signatures.sign_frame(signed_part, PHONE.private)


def _message(payload: bytes, type_: int) -> bytes:
    return _asymmetric(_signed(envelope.sign_application(payload, type_, PHONE)))


LAYERS: tuple[Callable[[bytes], bytes], ...] = (
    lambda data: data,
    _waku,
    _asymmetric,
    lambda data: _asymmetric(_signed(data)),
    lambda data: _asymmetric(_signed(wire.encode(ProtocolMessage(public_message=data)))),
    lambda data: _asymmetric(_signed(wire.encode(ApplicationMessage(signature=data[:65], payload=data[65:], type=20)))),
    lambda data: _message(data, 16),
    lambda data: _message(ciphers.seal_gcm(SHARED, bytes(12), data), 16),
    lambda data: _message(data, 18),
    lambda data: _message(data, 20),
)


def whole(data: bytes) -> None:
    """A whole envelope, hostile from the layer on that the first byte names, opened and decided."""
    if not data:
        return
    keys = (SymmetricKey(b"\5" * 32), QUERY_KEY)
    sealed_for_us = [SealedEnvelope(ciphers.seal_symmetric(QUERY_KEY, data[1:], bytes(12)), keys)]
    with suppress(WireError):
        sealed_for_us.append(SealedEnvelope(envelope.open_waku(LAYERS[data[0] % len(LAYERS)](data[1:])).payload))
    for sealed in sealed_for_us:
        opened = open_envelope(sealed, SERVER, LIMITS)
        if not isinstance(opened, DiscardedEnvelope):
            _decided(opened)


def rules(data: bytes) -> None:
    """Whatever decodes is decided, alone and after itself."""
    with suppress(WireError):
        request = wire.decode(NotificationRequest, data)
        _decided(RequestReceived(PHONE.public, MessageId(b"w" * 32), request))
    with suppress(WireError):
        _decided(QueryReceived(PHONE.public, MessageId(b"q" * 32), wire.decode(Query, data)))
    for is_valid in (True, False):
        registration = None
        with suppress(WireError):
            registration = wire.decode(Registration, data)
        _decided(RegistrationReceived(PHONE.public, RequestId(b"r" * 64), data, registration, is_valid))


def _decided(event: Event) -> None:
    key_hash = hashes.hash_public_key(PHONE.public)
    device = DeviceKey(key_hash, InstallationId(KNOWN.installation_id))
    stored = StoredRegistration(KNOWN.version, NOW, wire.encode(KNOWN), KNOWN)
    facts = Facts(devices={device: stored}, installations={key_hash: {device.installation_id: True}})
    facts_needed(event, LIMITS)
    for _ in range(2):
        apply(facts, decide(event, facts, NOW, LIMITS))


def bus(data: bytes) -> None:
    """Lines of the bus, arriving in two pieces; what is read can be written and read again."""
    splitter = lines.Splitter()
    half = len(data) // 2
    for piece in (data[:half], data[half:], b"\n"):
        for line in splitter.feed(piece) or []:
            read = lines.decode(line)
            assert read is None or lines.decode(lines.encode(read)) == read


def answers(data: bytes) -> None:
    """What gateways and providers say: a status, a header, a body."""
    status = 100 + int.from_bytes(data[:2], "little") % 500
    header = data[2:8].decode("latin-1")
    answer = HttpResponse(status, (("retry-after", header),), data[8:])
    apns_outcome.outcome(answer)
    apns_outcome.outcome(answer, is_default_topic=True)
    gorush.outcome(answer)
    gorush.logged_outcomes(answer.body)


class _Nobody:
    def on_response(self, key: int, result: HttpResponse | HttpFailure) -> None:
        raise AssertionError("the core tells nobody itself")


def http2(data: bytes) -> None:
    """What an HTTP/2 server says, in pieces as long as the first byte: every request ends once, or is still open."""
    core = H2Protocol("api.push.apple.com", Bounds(answer=100, nuisance=50, block=1000))
    core.receive(http2_frame(Type.SETTINGS, 0, 0), 0.0)
    streams = [H2Stream(_Nobody(), n, 1.0, "POST", b"\x04\x01/", "bearer a", b"", b"{}" * 40_000 * n) for n in range(4)]
    for stream in streams:
        core.open(stream)
    size = data[0] + 1 if data else 1
    for start in range(1, len(data), size):
        core.receive(data[start : start + size], 0.0)
    core.connection_lost()
    ended = [stream for stream, _ in core.results] + core.unprocessed
    assert sorted(stream.key for stream in ended) == [0, 1, 2, 3]
    for _, result in core.results:
        assert not isinstance(result, HttpResponse) or list(result.headers) == list(result.headers)
    assert len(core.data_to_send()) < 480_000 + 100_000  # the bodies, and what a few dozen frames can provoke


def settings(data: bytes) -> None:
    """A configuration file and one variable of the environment."""
    text = data.decode("utf-8", "replace").replace("\r\n", "\n")
    with suppress(ConfigError):
        loader.load(loader.Source("hushbell.toml", text), providers=SETTINGS)
    with suppress(ConfigError):
        loader.load(None, {"HUSHBELL_SERVER__WORKERS": text, "HUSHBELL_LIMITS__ENVELOPE": text})


TARGETS: dict[str, Callable[[bytes], None]] = {
    "decode": decode,
    "frame": frame,
    "segment": segment,
    "unwrap": unwrap,
    "whole": whole,
    "rules": rules,
    "bus": bus,
    "answers": answers,
    "http2": http2,
    "settings": settings,
}
