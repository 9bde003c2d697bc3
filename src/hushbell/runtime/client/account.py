"""One account on one device: the driver of its rules, facts and timer."""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Iterable, Sequence

from hushbell.core.client import machine
from hushbell.core.client.events import (
    AccountEvent,
    AddServer,
    ClientDecision,
    Configure,
    DevicesFound,
    EnvelopeReceived,
    Finished,
    Follow,
    Input,
    Learn,
    Notified,
    Notify,
    Refused,
    Registered,
    RemoveServer,
    Target,
    Tick,
    Unfollow,
    Unreachable,
    Unregistered,
)
from hushbell.core.client.facts import Change, ClientFacts, Contact, EphemeralKey, Save, SendOptions
from hushbell.core.client.lifecycles import RegistrationState
from hushbell.core.client.registration import Device, Options
from hushbell.core.envelope import OpenedEnvelope
from hushbell.errors import StoreError
from hushbell.ports.client_store import ClientStore
from hushbell.ports.clock import Clock
from hushbell.runtime.client.exchange import Count, EnvelopeExchange
from hushbell.runtime.client.reader import EventStream
from hushbell.types import DeviceToken, InstallationId, KeyPair, NotificationType, PublicKey, Random, TokenType

MAX_INPUTS = 4_096  # inputs without a decision so far; further envelopes are dropped and counted
STORE_PAUSE = 0.5  # seconds until changes are written again after the store failed

log = logging.getLogger(__name__)


class Account:
    """
    One account on one device. :meth:`hushbell.Client.account` returns it.

    Each method returns when its wish is stored. Cancelling the call does not withdraw the wish.
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
        self._streams: list[EventStream[AccountEvent]] = []
        self._task: asyncio.Task[None] | None = None
        self._following: set[PublicKey] = set()

    async def start(self) -> None:
        """Load the stored facts and run."""
        for fact in await self._store.load(self.identity.public):
            self._facts.apply(Save(fact))
        self._exchange.listen(self.identity, self)
        await self._update_listeners([Save(fact) for fact in self._facts.all_facts()])
        self._inputs.append((Tick(), None))
        self._wake.set()
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Finish the current decision and end the event streams."""
        self._closing = True
        self._wake.set()
        if self._task is not None:
            await self._task
        self._exchange.ignore(self.identity.public)
        for key in self._facts.ephemeral_keys:
            self._exchange.ignore(key)
        for target in self._following:
            self._exchange.unfollow(target, self)
        for stream in tuple(self._streams):
            stream.end()

    async def enable(
        self,
        device_token: str,
        token_type: TokenType = TokenType.APN,
        *,
        servers: Iterable[PublicKey] = (),
        options: Options | None = None,
        apn_topic: str = "",
    ) -> None:
        """Register this device with servers. A later change of any argument is sent to all of them."""
        device = Device(
            installation_id=self.installation_id,
            device_token=DeviceToken(device_token),
            token_type=token_type,
            apn_topic=apn_topic,
        )
        wishes: list[Input] = [AddServer(server) for server in servers]
        options = options or self.options
        await self._submit(*wishes, Configure(device=device, options=options, sending=self._facts.profile.sending))

    async def disable(self) -> None:
        """Unregister this device from all servers."""
        profile = self._facts.profile
        await self._submit(Configure(device=None, options=profile.options, sending=profile.sending))

    async def set_options(self, options: Options) -> None:
        """Change who may notify this device, and about what."""
        profile = self._facts.profile
        await self._submit(Configure(device=profile.device, options=options, sending=profile.sending))

    async def set_sending(self, sending: SendOptions) -> None:
        """Change whom this account notifies."""
        profile = self._facts.profile
        await self._submit(Configure(device=profile.device, options=profile.options, sending=sending))

    async def add_server(self, server: PublicKey) -> None:
        """Register with a further server."""
        await self._submit(AddServer(server))

    async def remove_server(self, server: PublicKey) -> None:
        """Unregister from a server."""
        await self._submit(RemoveServer(server))

    async def follow(self, target: PublicKey) -> None:
        """Listen to a person's contact code, which says how to notify them without a query."""
        await self._submit(Follow(target))

    async def unfollow(self, target: PublicKey) -> None:
        """Stop listening to a person's contact code."""
        await self._submit(Unfollow(target))

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
        Notify people of a chat message. :meth:`events` yields the results; :meth:`notify_and_wait` waits for them.

        Args:
            message_id: 32 bytes; each device is notified once of a message, however often this is called.
            chat_id: the messenger's id of the chat.
            targets: the people, each with a sealed preview, if any.
            type: the kind of notification.
            most: devices of each person at most; None means all.
            patience: seconds until a device without a result is given up.
        """
        await self._submit(
            Notify(
                message_id=message_id, chat_id=chat_id, targets=tuple(targets), type=type, most=most, patience=patience
            )
        )

    async def notify_and_wait(
        self,
        message_id: bytes,
        chat_id: str,
        targets: Iterable[Target],
        *,
        type: NotificationType = NotificationType.MESSAGE,  # noqa: A002  the field's own word
        most: int | None = 3,
        patience: float = 60.0,
    ) -> Sequence[Notified]:
        """Notify people and return the result of each device. The arguments are those of :meth:`notify`."""
        people = tuple(targets)
        open_targets = {target.key for target in people}
        results: list[Notified] = []
        with self._open_stream() as events:
            await self.notify(message_id, chat_id, people, type=type, most=most, patience=patience)
            async for event in events:
                if isinstance(event, Notified) and event.message_id == message_id and event.target in open_targets:
                    results.append(event)
                elif isinstance(event, Finished) and event.message_id == message_id:
                    open_targets.discard(event.target)
                if not open_targets:
                    break
        return results

    ring = notify_and_wait  # the name in 0.1.0; goes with the next release

    async def learn(self, target: PublicKey) -> Sequence[InstallationId]:
        """Return the devices of a person that can be notified; none if no server responds."""
        with self._open_stream() as events:
            await self._submit(Learn(target))
            async for event in events:
                if isinstance(event, DevicesFound) and event.target == target:
                    return event.devices
        return ()

    async def registered(self, server: PublicKey) -> bool:
        """Wait for a server's response to the current registration; say whether it confirmed it."""
        with self._open_stream() as events:
            await self._submit(Tick())  # after all earlier wishes
            is_registered = self._is_registered(server)
            if is_registered is not None:
                return is_registered
            async for event in events:
                if isinstance(event, Registered | Refused | Unreachable | Unregistered) and event.server == server:
                    return isinstance(event, Registered)
        return False

    async def events(self) -> AsyncIterator[AccountEvent]:
        """Yield the events from now on, until the account is closed."""
        with self._open_stream() as events:
            async for event in events:
                yield event

    @property
    def options(self) -> Options:
        """Who may notify this device, and about what."""
        return self._facts.profile.options

    @property
    def servers(self) -> dict[PublicKey, RegistrationState]:
        """The state of the registration with each server."""
        return {server: current.state for server, current in self._facts.registrations.items()}

    def on_envelope(self, opened: OpenedEnvelope, to: PublicKey) -> None:
        """Queue an envelope that the exchange opened for this account."""
        if len(self._inputs) >= MAX_INPUTS:
            self._count("client_inputs_dropped", 1)
            return
        self._inputs.append((EnvelopeReceived(opened, to), None))
        self._wake.set()

    def _is_registered(self, server: PublicKey) -> bool | None:
        """Return None while the server has not responded."""
        current = self._facts.registrations.get(server)
        if current is None:
            return False
        if current.state in (RegistrationState.DUE, RegistrationState.WAITING):
            return None
        return current.state is RegistrationState.REGISTERED

    async def _submit(self, *inputs: Input) -> None:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        last = len(inputs) - 1
        self._inputs.extend((each, done if index == last else None) for index, each in enumerate(inputs))
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
                await self._wait(decision)

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
        await self._update_listeners(decision.changes)
        await self._exchange.carry_out(decision.effects, self.identity, self.installation_id)
        for event in decision.events:
            for stream in self._streams:
                stream.put(event)
        return decision

    async def _commit(self, changes: Sequence[Change]) -> None:
        while changes:
            try:
                await self._store.commit(self.identity.public, changes)
            except StoreError as error:
                # The facts contain the changes already, so they must be stored before anything leaves.
                self._count("client_store_failures", 1)
                log.error("a client's changes cannot be written: %s", error)  # noqa: TRY400  the text names the cause
                if self._closing:
                    raise
                await self._clock.sleep(STORE_PAUSE)
            else:
                return

    async def _update_listeners(self, changes: Iterable[Change]) -> None:
        """Listen to the keys of responses before the messages leave."""
        for change in changes:
            fact = change.fact
            if isinstance(fact, EphemeralKey):
                if isinstance(change, Save):
                    self._exchange.listen(fact.key, self)
                else:
                    self._exchange.ignore(fact.key.public)
            elif isinstance(fact, Contact):
                await self._update_following(fact.target, isinstance(change, Save) and fact.followed)

    async def _update_following(self, target: PublicKey, wanted: bool) -> None:  # noqa: FBT001  follow or not
        if wanted and target not in self._following:
            await self._exchange.follow(target, self)
            self._following.add(target)
        elif not wanted and target in self._following:
            self._exchange.unfollow(target, self)
            self._following.discard(target)

    async def _wait(self, decision: ClientDecision) -> None:
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

    def _open_stream(self) -> EventStream[AccountEvent]:
        return EventStream(self._streams, self._count)
