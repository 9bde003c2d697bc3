"""A small world: clients, servers by their real rules, and a network that loses, repeats, delays and reorders."""

import heapq
import itertools
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import pytest

from hushbell import wire
from hushbell.config.limits import Limits
from hushbell.core import envelope
from hushbell.core.client.events import (
    AccountEvent,
    AddServer,
    Advertise,
    ClientDecision,
    Configure,
    Effect,
    EnvelopeReceived,
    Follow,
    Input,
    Notify,
    SendToKey,
    SendToTopic,
    Target,
    Tick,
)
from hushbell.core.client.facts import ClientFacts, SendOptions
from hushbell.core.client.machine import decide
from hushbell.core.client.registration import Device, Options
from hushbell.core.envelope import OpenedEnvelope
from hushbell.core.server import facts as server_facts
from hushbell.core.server.decide import apply
from hushbell.core.server.decide import decide as serve
from hushbell.core.server.envelopes import server_event
from hushbell.core.server.events import RegistrationReceived, RequestReceived
from hushbell.core.server.push_body import decode_push_body
from hushbell.crypto import hashes, secp256k1, topics
from hushbell.errors import WireError
from hushbell.types import (
    DeviceKey,
    DeviceToken,
    InstallationId,
    KeyPair,
    Millis,
    PublicKey,
    TokenType,
)

START = Millis(1_600_000_000_000)
LIMITS = Limits(rings_per_minute=6000, ring_burst=6000)


@dataclass
class Faults:
    """What the network does to each message, drawn from ``chance``."""

    chance: random.Random = field(default_factory=lambda: random.Random(0))
    loss: float = 0.0
    repetition: float = 0.0
    delay: int = 0  # milliseconds at most, drawn for each copy, so that messages overtake each other

    def copies(self) -> list[int]:
        """Return the delay of each copy that arrives."""
        count = 0 if self.chance.random() < self.loss else 1 + (self.chance.random() < self.repetition)
        return [self.chance.randint(1, 1 + self.delay) for _ in range(count)]


@dataclass
class Server:
    """A push notification server by its real rules; what it delivers is noted per device token."""

    keys: KeyPair
    known: server_facts.Facts = field(default_factory=server_facts.Facts)
    pushes: list[tuple[str, str, bytes]] = field(default_factory=list)  # device token, collapse id, chat message
    silent: bool = False
    answers_lost: bool = False
    troubled: bool = False  # answers every registration with INTERNAL_ERROR
    like_status_go: bool = False  # calls a repeated registration a mismatch, and answers no request twice

    def hear(self, opened: OpenedEnvelope, now: Millis) -> Sequence[server_facts.Reply]:
        """Return the answers to a message."""
        if self.silent:
            return ()
        try:
            event = server_event(opened, self.keys, LIMITS)
        except WireError:
            return ()
        if event is None:
            return ()
        if self.troubled and isinstance(event, RegistrationReceived):
            return self._refusal(event, wire.RegistrationError.INTERNAL_ERROR)
        if self.like_status_go and (refusal := self._as_status_go(event)) is not None:
            return refusal
        decision = serve(event, self.known, now, LIMITS)
        apply(self.known, decision)
        for write in decision.writes:
            if isinstance(write, server_facts.Enqueue):
                push = decode_push_body(write.draft.message.body)
                self.pushes.append((write.draft.targets[0], write.draft.collapse_id, push.message))
        return () if self.answers_lost else decision.replies

    def _as_status_go(self, event: object) -> Sequence[server_facts.Reply] | None:
        if isinstance(event, RequestReceived):
            return () if event.request_message_id in self.known.responses else None
        if not isinstance(event, RegistrationReceived) or event.registration is None:
            return None
        installation = InstallationId(event.registration.installation_id)
        device = DeviceKey(hashes.hash_public_key(event.sender), installation)
        stored = self.known.devices.get(device)
        if stored is None or event.registration.version > stored.version:
            return None
        return self._refusal(event, wire.RegistrationError.VERSION_MISMATCH)

    @staticmethod
    def _refusal(event: RegistrationReceived, error: wire.RegistrationError) -> Sequence[server_facts.Reply]:
        answer = wire.RegistrationResponse(request_id=event.request_id, error=error)
        kind = wire.ApplicationType.PUSH_NOTIFICATION_REGISTRATION_RESPONSE
        return (server_facts.Reply(event.sender, kind, wire.encode(answer)),)


@dataclass
class Client:
    """One device: its facts, what it heard, and when it wants to be woken."""

    name: str
    identity: KeyPair
    installation_id: InstallationId
    world: "World"
    advertises: bool = True
    facts: ClientFacts = field(default_factory=ClientFacts)
    events: list[AccountEvent] = field(default_factory=list)
    left: list[Effect] = field(default_factory=list)
    decisions: list[ClientDecision] = field(default_factory=list)
    wakes_at: Millis | None = None

    def take(self, *inputs: Input) -> ClientDecision:
        """Decide, and let out what leaves."""
        made = decide(
            self.facts,
            inputs,
            identity=self.identity,
            now=self.world.now,
            random=self.world.random,
            advertises=self.advertises,
        )
        self.events.extend(made.events)
        self.left.extend(made.effects)
        self.decisions.append(made)
        self.world.carry(self, made.effects)
        self.wakes_at = made.due
        if made.due is not None:
            self.world.at(made.due, lambda: self._wake(made.due))
        return made

    def enable(self, *servers: Server, options: Options | None = None, token: str = "") -> ClientDecision:
        """Ask to be rung through these servers."""
        wishes: list[Input] = [AddServer(server.keys.public) for server in servers]
        return self.take(*wishes, Configure(device=self.device(token), options=options or Options()))

    def change(self, options: Options, sending: SendOptions | None = None) -> ClientDecision:
        """Change the options."""
        return self.take(Configure(device=self.device(), options=options, sending=sending or SendOptions()))

    def device(self, token: str = "") -> Device:
        """Return what rings."""
        return Device(
            installation_id=self.installation_id,
            device_token=DeviceToken(token or f"token-of-{self.name}"),
            token_type=TokenType.APN,
            apn_topic="org.example",
        )

    def notify(self, *targets: "Client | Target", message_id: bytes = b"m" * 32, **how: object) -> ClientDecision:
        """Ring others."""
        people = tuple(one if isinstance(one, Target) else Target(one.identity.public) for one in targets)
        chat = str(how.pop("chat_id", hashes.contact_id(self.identity.public)))
        return self.take(Notify(message_id=message_id, chat_id=chat, targets=people, **how))  # type: ignore[arg-type]

    def follow(self, *others: "Client") -> None:
        """Listen to contact codes."""
        self.take(*(Follow(other.identity.public) for other in others))

    def heard(self, kind: type[AccountEvent]) -> list[AccountEvent]:
        """Return the news of a kind."""
        return [one for one in self.events if isinstance(one, kind)]

    def restart(self) -> None:
        """Go on with nothing but what was committed."""
        facts = ClientFacts()
        for decision in self.decisions:
            for change in decision.changes:
                facts.apply(change)
        self.facts = facts
        self.take(Tick())

    def _wake(self, due: Millis | None) -> None:
        if self.wakes_at == due:
            self.take(Tick())


class World:
    """Time, keys and the network."""

    def __init__(self, faults: Faults | None = None, seed: int = 1) -> None:
        self.now = START
        self.faults = faults or Faults()
        self.clients: list[Client] = []
        self.servers: list[Server] = []
        self.bytes_out: list[bytes] = []
        self._draw = random.Random(seed)
        self._agenda: list[tuple[int, int, Callable[[], object]]] = []
        self._order = itertools.count()

    def random(self, count: int) -> bytes:
        """Draw bytes; the same in each run."""
        return self._draw.randbytes(count)

    def server(self, *, silent: bool = False, like_status_go: bool = False) -> Server:
        """Start a server."""
        server = Server(secp256k1.key_pair(self.random), silent=silent, like_status_go=like_status_go)
        self.servers.append(server)
        return server

    def client(self, name: str, *, identity: KeyPair | None = None, advertises: bool = True) -> Client:
        """Switch a device on; a second one of an account shares its identity."""
        number = len(self.clients)
        installation = InstallationId(f"c6ae4fde-bb65-41ea-b3de-{number:012d}")
        client = Client(name, identity or secp256k1.key_pair(self.random), installation, self, advertises=advertises)
        self.clients.append(client)
        return client

    def at(self, time: int, what: Callable[[], object]) -> None:
        """Do something at a time."""
        heapq.heappush(self._agenda, (max(time, self.now), next(self._order), what))

    def run(self, seconds: float = 0.0, *, until: Callable[[], bool] | None = None, most: int = 20_000) -> None:
        """Let time pass."""
        end = self.now + int(seconds * 1000)
        for _ in range(most):
            if (until is not None and until()) or not self._agenda:
                break
            if until is None and self._agenda[0][0] > end:
                break
            time, _, what = heapq.heappop(self._agenda)
            self.now = Millis(max(self.now, time))
            what()
        else:
            raise AssertionError("the world does not come to rest")
        if until is None:
            self.now = Millis(max(self.now, end))

    def carry(self, sender: Client, effects: Iterable[Effect]) -> None:
        """Bring what left to whoever listens."""
        for effect in effects:
            for delay in self.faults.copies():
                self.at(self.now + delay, lambda effect=effect: self._arrive(sender, effect))  # type: ignore[misc]

    def _arrive(self, sender: Client, effect: Effect) -> None:
        match effect:
            case SendToKey():
                opened = envelope.open_application(effect.application)
                for server in self.servers:
                    if server.keys.public == effect.recipient:
                        self._answer(server, opened)
            case SendToTopic():
                opened = envelope.open_application(effect.application)
                for server in self.servers:
                    names = {topics.query_topic_name(owner) for owner in server.known.installations}
                    if effect.topic_name in names:
                        self._answer(server, opened)
            case Advertise():
                opened = envelope.open_application(effect.application)
                public = sender.identity.public
                for client in self.clients:
                    known = client.facts.contacts.get(public)
                    if known is not None and known.followed:
                        client.take(EnvelopeReceived(opened, public))

    def _answer(self, server: Server, opened: OpenedEnvelope) -> None:
        for reply in server.hear(opened, self.now):
            signed = envelope.sign_application(reply.payload, reply.type, server.keys)
            for delay in self.faults.copies():
                self.at(self.now + delay, lambda signed=signed, to=reply.recipient: self._deliver(signed, to))  # type: ignore[misc]

    def _deliver(self, signed: bytes, to: PublicKey) -> None:
        for client in self.clients:
            if to == client.identity.public or to in client.facts.ephemeral_keys:
                client.take(EnvelopeReceived(envelope.open_application(signed), to))

    def shown(self) -> dict[tuple[str, str], int]:
        """Return how often each phone was told of each message: device token and collapse id."""
        times: dict[tuple[str, str], int] = {}
        for server in self.servers:
            for token, collapse_id, _ in server.pushes:
                times[token, collapse_id] = times.get((token, collapse_id), 0) + 1
        return times


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def new_world() -> Callable[..., World]:
    return World


@pytest.fixture
def faults() -> type[Faults]:
    return Faults
