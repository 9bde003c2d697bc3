"""One account on one device: its rules, its facts, its timer."""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Iterable, Sequence

from hushbell.core.client import machine
from hushbell.core.client.events import (
    AddServer,
    Arrived,
    ClientDecision,
    Configure,
    Finished,
    Follow,
    Input,
    Learn,
    Learnt,
    Left,
    News,
    Notified,
    Notify,
    Refused,
    Registered,
    RemoveServer,
    Target,
    Tick,
    Unfollow,
    Unreachable,
)
from hushbell.core.client.facts import Change, ClientFacts, Ephemeral, Knowledge, Save, Sending
from hushbell.core.client.lifecycles import Enrolled
from hushbell.core.client.registration import Device, Options
from hushbell.core.envelope import OpenedEnvelope
from hushbell.errors import StoreError
from hushbell.ports.client_store import ClientStore
from hushbell.ports.clock import Clock
from hushbell.runtime.client.exchange import Count, EnvelopeExchange
from hushbell.runtime.client.reader import EventStream
from hushbell.types import (
    DeviceToken,
    InstallationId,
    KeyPair,
    NotificationType,
    PublicKey,
    Random,
    TokenType,
)

MOST_WAITING = 4_096  # inputs that wait for a decision; more from the network are dropped and counted
STORE_PAUSE = 0.5  # seconds before changes are written again after the store failed

log = logging.getLogger(__name__)


class Account:
    """
    Made by :meth:`hushbell.Client.account`.

    Each method returns when what it asked for is durable, and is safe to cancel: it happens all the same.
    """

    def __init__(
        self,
        *,
        identity: KeyPair,
        installation_id: InstallationId,
        exchange: EnvelopeExchange,
        store: ClientStore,
        clock: Clock,
        random: Random,
        count: Count,
        advertises: bool,
    ) -> None:
        self.identity = identity
        self.installation_id = installation_id
        self._exchange = exchange
        self._store = store
        self._clock = clock
        self._random = random
        self._count = count
        self._advertises = advertises
        self._facts = ClientFacts()
        self._inputs: deque[tuple[Input, asyncio.Future[None] | None]] = deque()
        self._wake = asyncio.Event()
        self._closing = False
        self._readers: list[EventStream[News]] = []
        self._task: asyncio.Task[None] | None = None
        self._following: set[PublicKey] = set()

    async def start(self) -> None:
        """Take up what was committed."""
        for fact in await self._store.load(self.identity.public):
            self._facts.apply(Save(fact))
        self._exchange.listen(self.identity, self)
        await self._tune([Save(fact) for fact in self._facts.every()])
        self._inputs.append((Tick(), None))
        self._wake.set()
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Finish the decision in hand."""
        self._closing = True
        self._wake.set()
        if self._task is not None:
            await self._task
        self._exchange.ignore(self.identity.public)
        for key in self._facts.ephemerals:
            self._exchange.ignore(key)
        for target in self._following:
            self._exchange.unfollow(target, self)
        for reader in tuple(self._readers):
            reader.end()

    async def enable(
        self,
        device_token: str,
        token_type: TokenType = TokenType.APN,
        *,
        servers: Iterable[PublicKey] = (),
        options: Options | None = None,
        apn_topic: str = "",
    ) -> None:
        """Ask servers to ring this device. They are told again whenever something of it changes."""
        device = Device(
            installation_id=self.installation_id,
            device_token=DeviceToken(device_token),
            token_type=token_type,
            apn_topic=apn_topic,
        )
        wishes: list[Input] = [AddServer(server) for server in servers]
        options = options or self.options
        await self._ask(*wishes, Configure(device=device, options=options, sending=self._facts.profile.sending))

    async def disable(self) -> None:
        """Ask all servers to forget this device."""
        profile = self._facts.profile
        await self._ask(Configure(device=None, options=profile.options, sending=profile.sending))

    async def set_options(self, options: Options) -> None:
        """Change who may ring this device, and about what."""
        profile = self._facts.profile
        await self._ask(Configure(device=profile.device, options=options, sending=profile.sending))

    async def set_sending(self, sending: Sending) -> None:
        """Change whom this account rings."""
        profile = self._facts.profile
        await self._ask(Configure(device=profile.device, options=profile.options, sending=sending))

    async def add_server(self, server: PublicKey) -> None:
        """Register with one more server."""
        await self._ask(AddServer(server))

    async def remove_server(self, server: PublicKey) -> None:
        """Leave a server."""
        await self._ask(RemoveServer(server))

    async def follow(self, target: PublicKey) -> None:
        """Listen to somebody's contact code, which says how to ring them without a query."""
        await self._ask(Follow(target))

    async def unfollow(self, target: PublicKey) -> None:
        """No longer listen to it."""
        await self._ask(Unfollow(target))

    async def notify(
        self,
        message_id: bytes,
        chat_id: str,
        targets: Iterable[Target],
        *,
        type: NotificationType = NotificationType.MESSAGE,  # noqa: A002  the field's own word
        most: int | None = 3,
        patience: float = 60.0,
    ) -> None:
        """
        Ring people about a chat message. What comes of it is told by ``events``; :meth:`ring` waits for it.

        Args:
            message_id: 32 bytes; a message rings each device once, however often it is announced.
            chat_id: as the messenger names it.
            targets: whom; each with the sealed preview it shall get, if any.
            type: why.
            most: of each person's devices; None means all.
            patience: seconds until whoever does not answer is given up.
        """
        await self._ask(
            Notify(
                message_id=message_id, chat_id=chat_id, targets=tuple(targets), type=type, most=most, patience=patience
            )
        )

    async def ring(
        self, message_id: bytes, chat_id: str, targets: Iterable[Target], **how: object
    ) -> Sequence[Notified]:
        """Ring people and return how each device's ring ended. Takes what :meth:`notify` takes."""
        people = tuple(targets)
        left = {target.key for target in people}
        ended: list[Notified] = []
        with self._reading() as news:
            await self.notify(message_id, chat_id, people, **how)  # type: ignore[arg-type]
            async for one in news:
                if isinstance(one, Notified) and one.message_id == message_id and one.target in left:
                    ended.append(one)
                elif isinstance(one, Finished) and one.message_id == message_id:
                    left.discard(one.target)
                if not left:
                    break
        return ended

    async def learn(self, target: PublicKey) -> Sequence[InstallationId]:
        """Return the devices of somebody that can be rung; none if nobody told us."""
        with self._reading() as news:
            await self._ask(Learn(target))
            async for one in news:
                if isinstance(one, Learnt) and one.target == target:
                    return one.devices
        return ()

    async def registered(self, server: PublicKey) -> bool:
        """Wait for a server's answer to what it was told last; say whether it took it."""
        with self._reading() as news:
            await self._ask(Tick())  # after whatever was asked for before
            settled = self._settled(server)
            if settled is not None:
                return settled
            async for one in news:
                if isinstance(one, Registered | Refused | Unreachable | Left) and one.server == server:
                    return isinstance(one, Registered)
        return False

    async def events(self) -> AsyncIterator[News]:
        """Tell what happens from now on, until the account is closed."""
        with self._reading() as news:
            async for one in news:
                yield one

    @property
    def options(self) -> Options:
        """Who may ring this device, and about what."""
        return self._facts.profile.options

    @property
    def servers(self) -> dict[PublicKey, Enrolled]:
        """How far the registration is with each server."""
        return {server: enrolment.stage for server, enrolment in self._facts.enrolments.items()}

    def heard(self, opened: OpenedEnvelope, to: PublicKey) -> None:
        """Take what the exchange opened for this account."""
        if len(self._inputs) >= MOST_WAITING:
            self._count("client_inputs_dropped", 1)
            return
        self._inputs.append((Arrived(opened, to), None))
        self._wake.set()

    def _settled(self, server: PublicKey) -> bool | None:
        enrolment = self._facts.enrolments.get(server)
        if enrolment is None:
            return False
        if enrolment.stage in (Enrolled.DUE, Enrolled.WAITING):
            return None
        return enrolment.stage is Enrolled.REGISTERED

    async def _ask(self, *inputs: Input) -> None:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        last = len(inputs) - 1
        self._inputs.extend((each, done if at == last else None) for at, each in enumerate(inputs))
        self._wake.set()
        await asyncio.shield(done)

    async def _run(self) -> None:
        while True:
            inputs = list(self._inputs)
            self._inputs.clear()
            self._wake.clear()
            if not inputs and self._closing:
                return
            try:
                decision = await self._decide([each for each, _ in inputs] or [Tick()])
            except BaseException as error:
                for _, done in inputs:
                    if done is not None and not done.done():
                        done.set_exception(error)
                raise
            for _, done in inputs:
                if done is not None and not done.done():
                    done.set_result(None)
            if not self._inputs and not self._closing:
                await self._rest(decision)

    async def _decide(self, inputs: Sequence[Input]) -> ClientDecision:
        decision = machine.decide(
            self._facts,
            inputs,
            identity=self.identity,
            now=self._clock.now(),
            random=self._random,
            advertises=self._advertises,
        )
        await self._commit(decision.changes)
        await self._tune(decision.changes)
        await self._exchange.carry_out(decision.effects, self.identity, self.installation_id)
        for one in decision.news:
            for reader in self._readers:
                reader.tell(one)
        return decision

    async def _commit(self, changes: Sequence[Change]) -> None:
        while changes:
            try:
                await self._store.commit(self.identity.public, changes)
            except StoreError as error:
                # The facts have moved on already, so this must succeed before anything leaves.
                self._count("client_store_failures", 1)
                log.error("a client's changes cannot be written: %s", error)  # noqa: TRY400  the text names the cause
                if self._closing:
                    raise
                await self._clock.sleep(STORE_PAUSE)
            else:
                return

    async def _tune(self, changes: Iterable[Change]) -> None:
        """Listen where answers are expected, before anything is asked."""
        for change in changes:
            fact = change.fact
            if isinstance(fact, Ephemeral):
                if isinstance(change, Save):
                    self._exchange.listen(fact.key, self)
                else:
                    self._exchange.ignore(fact.key.public)
            elif isinstance(fact, Knowledge):
                await self._tune_in(fact.target, isinstance(change, Save) and fact.followed)

    async def _tune_in(self, target: PublicKey, wanted: bool) -> None:  # noqa: FBT001  follow or not
        if wanted and target not in self._following:
            await self._exchange.follow(target, self)
            self._following.add(target)
        elif not wanted and target in self._following:
            self._exchange.unfollow(target, self)
            self._following.discard(target)

    async def _rest(self, decision: ClientDecision) -> None:
        if decision.due is None:
            await self._wake.wait()
            return
        wait = max(0.0, (decision.due - self._clock.now()) / 1000)
        sleeping = asyncio.ensure_future(self._clock.sleep(wait))
        waking = asyncio.ensure_future(self._wake.wait())
        try:
            await asyncio.wait((sleeping, waking), return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeping.cancel()
            waking.cancel()

    def _reading(self) -> EventStream[News]:
        return EventStream(self._readers, self._count)
