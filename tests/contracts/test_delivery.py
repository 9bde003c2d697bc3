"""
What the delivery engine promises over any outbox: histories of requests, outcomes, failures and restarts.

The laws are checked where they can be broken: at each attempt, at each final state and at each commit.
"""

import asyncio
import os
import tempfile
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from hushbell.core.delivery.changes import Changes
from hushbell.core.delivery.job import Job, JobOnDisk, JobResult
from hushbell.core.delivery.notification import Draft, Message, Notification
from hushbell.core.delivery.outcome import ACCEPTED, Outcome, Scope, Verdict
from hushbell.core.delivery.state import State
from hushbell.core.delivery.submission import Submission
from hushbell.core.delivery.webhook import Webhook
from hushbell.errors import Overloaded, StoreError, StoreUnavailable
from hushbell.ports.delivery import Delivery
from hushbell.ports.outbox import Committed, Outbox
from hushbell.ports.provider import Attempt
from hushbell.runtime.delivery.engine import App, DeliveryEngine
from hushbell.stores.memory.outbox import MemoryOutbox
from hushbell.stores.sqlite.outbox import SqliteOutbox
from hushbell.testing.clock import FakeClock
from hushbell.testing.scripted_provider import ScriptedProvider

Push = tuple[bytes, int]  # identifier of the notification, index of the target
T = TypeVar("T")

OUTCOMES = (
    ACCEPTED,
    Outcome(Verdict.DEAD_TOKEN, "Unregistered"),
    Outcome(Verdict.INVALID, "BadTopic"),
    Outcome(Verdict.RETRY, "TooManyRequests"),
    Outcome(Verdict.RETRY, "ServiceUnavailable", scope=Scope.PROVIDER),
    Outcome(Verdict.MISCONFIGURED, "InvalidProviderToken", scope=Scope.APP),
    Outcome(Verdict.UNKNOWN, "closed"),
)
SHARE = 40  # pushes of the app


def pushes_of(job: Job) -> list[Push]:
    return [(note.ident, index) for note in job.notifications for index in range(len(note.targets))]


class GatedOutbox:
    """An outbox whose commits take place, or fail, when that is told."""

    def __init__(self, inner: Outbox, on_stored: Callable[[Changes], None]) -> None:
        self.inner = inner
        self.held: list[tuple[Changes, Committed]] = []
        self._on_stored = on_stored

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def commit(self, changes: Changes, done: Committed) -> None:
        self.held.append((changes, done))

    async def end_oldest(self, error: StoreError | None = None, *, silent: bool = False) -> None:
        """Let the oldest commit take place; ``silent``: whoever waits for it has died."""
        changes, done = self.held.pop(0)
        if error is not None:
            done(error)
            return
        ended: asyncio.Future[StoreError | None] = asyncio.get_running_loop().create_future()
        self.inner.commit(changes, ended.set_result)
        assert await ended is None
        self._on_stored(changes)
        if not silent:
            done(None)


class CheckingProvider(ScriptedProvider):
    """Holds every attempt, and shows it to the model first."""

    def __init__(self, name: str, on_attempt: Callable[[Notification, int], None]) -> None:
        super().__init__(name, holds=True)
        self.violations: list[str] = []
        self._on_attempt = on_attempt

    def send(self, attempts: Sequence[Attempt]) -> None:
        for notification, indexes, _ in attempts:
            for index in indexes:
                try:
                    self._on_attempt(notification, index)
                except AssertionError as error:  # the engine survives whatever a provider raises
                    self.violations.append(str(error))
        super().send(attempts)


class Model:
    """What is known of every push, and the laws."""

    def __init__(self) -> None:
        self.jobs: dict[int, Job] = {}  # every job that was prepared
        self.number: dict[bytes, int] = {}  # identifier → number of the job
        self.stored: list[int] = []  # jobs whose commit took place, in its order
        self.results: dict[int, JobResult] = {}
        self.final: dict[Push, State] = {}  # in the life of this engine
        self.ident: dict[bytes, bytes] = {}  # body → identifier

    def add(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            self.jobs[job.number] = job
            for notification in job.notifications:
                self.number[notification.ident] = job.number

    def on_stored(self, changes: Changes) -> None:
        for job in changes.jobs:
            assert job.number not in self.stored
            self.stored.append(job.number)
        for result in changes.results:
            assert result.number not in self.results, "a job ended twice"
            assert all(State(code).is_final for code in result.states)
            self.results[result.number] = result

    def on_attempt(self, notification: Notification, index: int) -> None:
        push, number = (notification.ident, index), self.number[notification.ident]
        assert number in self.stored, "attempted before it was on the disk"
        assert number not in self.results, "attempted after its job ended"
        assert push not in self.final, "attempted after its final state"
        assert self.ident.setdefault(notification.message.body, notification.ident) == notification.ident
        for earlier in self.earlier(notification, index):
            assert earlier in self.final, "overtook a push to the same token"

    def earlier(self, notification: Notification, index: int) -> list[Push]:
        """Return the pushes to the same token that are before this one in the queue and have not ended."""
        found: list[Push] = []
        for number in self.stored:
            if number in self.results or self.jobs[number].provider != notification.message.provider:
                continue
            for other in self.jobs[number].notifications:
                for place, token in enumerate(other.targets):
                    if other.ident == notification.ident and place == index:
                        return found
                    if token == notification.targets[index]:
                        found.append((other.ident, place))
        raise AssertionError("not on the disk")

    def has_interest(self, app: str) -> bool:
        return True

    def on_webhooks_changed(self, webhooks: Sequence[Webhook]) -> None: ...

    def on_final(self, notification: Notification, index: int, state: State, outcome: Outcome, attempts: int) -> None:
        push = (notification.ident, index)
        assert state.is_final
        assert push not in self.final, "ended twice"
        self.final[push] = state

    @property
    def open_pushes(self) -> int:
        return sum(self.jobs[number].pushes for number in self.stored if number not in self.results)


class DeliveryMachine(RuleBasedStateMachine):
    """One outbox, and one engine after the other."""

    open_outbox: Callable[[Path], Outbox]

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = tempfile.TemporaryDirectory(prefix="hushbell-test-")
        self.clock = FakeClock(manual=True)
        self.model = Model()
        self.bodies = 0
        self.prepared = 0  # pushes whose commit is not decided yet
        self.doubtful = 0  # pushes that the engine has yet to miss on the disk, at most
        self.waiting: dict[int, Sequence[Job]] = {}  # submissions that are not done

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    @initialize()
    def begin(self) -> None:
        self.run(self.start(type(self).open_outbox(Path(self.folder.name))))

    async def start(self, outbox: Outbox) -> None:
        model = self.model
        self.outbox = GatedOutbox(outbox, model.on_stored)
        self.providers = {name: CheckingProvider(name, model.on_attempt) for name in ("apns", "fcm")}
        app = App(name="chat", providers=self.providers, queue=SHARE)
        self.engine = DeliveryEngine(
            outbox=self.outbox, apps=[app], clock=self.clock, random=lambda size: b"\x80" * size
        )
        self.engine.add_listener(model)
        await self.engine.start()
        self.running = asyncio.create_task(self.engine.run())
        self.delivery: Delivery = self.engine
        await self.settle()

    async def settle(self) -> None:
        for _ in range(12):
            await asyncio.sleep(0)
            self.engine.commits.flush()

    def drafts(self, notifications: Sequence[tuple[str, str]]) -> list[Draft]:
        made = []
        for provider, tokens in notifications:
            self.bodies += 1
            made.append(Draft("token", tuple(tokens), Message(provider, b"%d" % self.bodies)))
        return made

    request = st.tuples(st.sampled_from(("apns", "fcm")), st.text("abc", min_size=1, max_size=4))
    requests = st.lists(request, min_size=1, max_size=3)

    @rule(notifications=requests, wait=st.booleans())
    def submit(self, notifications: list[tuple[str, str]], wait: bool) -> None:
        request = self.bodies

        def done(submission: Submission, error: StoreError | None) -> None:
            jobs = self.waiting.pop(request)
            assert submission.jobs == jobs
            stored = [job.number in self.model.stored for job in jobs]
            assert not any(stored) if error is not None else all(stored)
            if error is not None:
                self.prepared -= sum(job.pushes for job in jobs)

        async def submit() -> None:
            try:
                submission = self.delivery.submit("chat", self.drafts(notifications), done, wait=wait)
            except Overloaded:
                return
            self.waiting[request] = submission.jobs
            self.model.add(submission.jobs)
            self.prepared += sum(job.pushes for job in submission.jobs)
            await self.settle()

        self.run(submit())

    @rule(notifications=requests, fate=st.sampled_from(("stored", "failed", "doubtful, stored", "doubtful, lost")))
    def commit_by_another(self, notifications: list[tuple[str, str]], fate: str) -> None:
        """Somebody else, as the push server does, commits jobs that the engine prepared."""

        async def commit() -> None:
            try:
                jobs = self.delivery.prepare("chat", self.drafts(notifications))
            except Overloaded:
                return
            self.model.add(jobs)
            await self.settle()
            if fate.endswith("stored"):
                changes, ended = Changes(jobs=list(jobs)), self.loop.create_future()
                self.outbox.inner.commit(changes, ended.set_result)
                assert await ended is None
                self.model.on_stored(changes)
            if fate == "stored":
                self.delivery.adopt(jobs)
            else:
                self.delivery.abandon(jobs, doubtful=fate.startswith("doubtful"))
                if fate == "doubtful, lost":
                    self.doubtful += sum(job.pushes for job in jobs)
            await self.settle()

        self.run(commit())

    @precondition(lambda self: self.outbox.held)
    @rule(fails=st.booleans())
    def end_commit(self, fails: bool) -> None:
        async def end() -> None:
            changes = self.outbox.held[0][0]
            if not fails:
                self.prepared -= sum(job.pushes for job in changes.jobs)
            await self.outbox.end_oldest(StoreUnavailable("the disk is full") if fails else None)
            await self.settle()

        self.run(end())

    @precondition(lambda self: any(provider.held for provider in self.providers.values()))
    @rule(data=st.data(), outcome=st.sampled_from(OUTCOMES))
    def answer(self, data: st.DataObject, outcome: Outcome) -> None:
        async def answer() -> None:
            provider = next(provider for provider in self.providers.values() if provider.held)
            provider.answer(data.draw(st.sampled_from([push.token for push in provider.held])), outcome)
            await self.settle()

        self.run(answer())

    @rule(seconds=st.sampled_from((1, 30, 600)))
    def pass_time(self, seconds: int) -> None:
        async def pass_time() -> None:
            self.clock.advance(seconds)
            await self.settle()

        self.run(pass_time())

    @rule(stored=st.booleans())
    def restart(self, stored: bool) -> None:
        """Kill the engine; the commit that is under way takes place, or does not."""

        async def restart() -> None:
            self.running.cancel()
            await asyncio.gather(self.running, return_exceptions=True)
            while stored and self.outbox.held:
                await self.outbox.end_oldest(silent=True)
            inner = self.outbox.inner
            if isinstance(inner, SqliteOutbox):
                await inner.close()
                inner = type(self).open_outbox(Path(self.folder.name))
            self.prepared = self.doubtful = 0
            self.waiting.clear()
            # What the disk does not know is attempted again; the order is that of the numbers.
            self.model.final.clear()
            self.model.stored.sort()
            for row in await inner.read([number for number in self.model.stored if number not in self.model.results]):
                assert isinstance(row, JobOnDisk)
                if row.progress is not None:
                    for code, push in zip(row.progress.states, pushes_of(row.job), strict=True):
                        if State(code).is_final:
                            self.model.final[push] = State(code)
            await self.start(inner)

        self.run(restart())

    @invariant()
    def attempts_keep_the_laws(self) -> None:
        if hasattr(self, "providers"):
            assert [provider.violations for provider in self.providers.values()] == [[], []]

    @invariant()
    def the_share_counts_what_is_open(self) -> None:
        if hasattr(self, "engine") and not self.outbox.held:
            known = self.model.open_pushes + self.prepared
            assert known <= self.engine.open["chat"] <= known + self.doubtful

    def teardown(self) -> None:
        if hasattr(self, "engine"):
            self.run(self.drain())
        self.loop.close()
        self.folder.cleanup()

    async def drain(self) -> None:
        """With a provider that accepts and a disk that works, everything ends."""
        for _ in range(60):
            while self.outbox.held:
                await self.outbox.end_oldest()
                await self.settle()
            for provider in self.providers.values():
                provider.answer_all()
            await self.settle()
            if self.engine.is_idle:
                break
            self.clock.advance(600)
            await self.settle()
        self.attempts_keep_the_laws()
        assert self.engine.is_idle
        assert self.engine.open["chat"] == 0
        assert not self.waiting, "a caller was not answered"
        assert set(self.model.results) == set(self.model.stored)
        for number in self.model.stored:
            found = await self.outbox.find(number)
            assert isinstance(found, JobResult)
            assert found.states == self.model.results[number].states
            for code, push in zip(found.states, pushes_of(self.model.jobs[number]), strict=True):
                assert self.model.final.get(push, code) == code, "another state than the listener got"
        assert not any(queue.in_memory or queue.bytes_in_memory for queue in self.engine.queues.values())
        self.engine.stop()
        await self.running
        await self.outbox.close()


class MemoryMachine(DeliveryMachine):
    open_outbox = staticmethod(lambda _: MemoryOutbox(random=os.urandom))


class SqliteMachine(DeliveryMachine):
    open_outbox = staticmethod(
        lambda folder: SqliteOutbox.open(folder / "gateway.db", folder / "at-rest.key", random=os.urandom)
    )


@pytest.mark.parametrize("machine, examples", [(MemoryMachine, 40), (SqliteMachine, 4)])
def test_each_accepted_push_ends_once_in_order_under_one_identifier(
    machine: type[DeliveryMachine], examples: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hushbell.runtime.delivery.provider_queue.MAX_IN_MEMORY", 6)
    # A history is not shrunk when it fails: that takes minutes.
    checks = [HealthCheck.too_slow, HealthCheck.filter_too_much]
    chosen = settings(
        max_examples=examples,
        stateful_step_count=20,
        deadline=None,
        suppress_health_check=checks,
        phases=[Phase.generate],
    )
    run_state_machine_as_test(machine, settings=chosen)
