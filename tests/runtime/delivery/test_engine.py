"""The engine sends nothing before it is on the disk, gives each push one final state, and no app waits for another."""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence

import pytest
from tests.inline import inline

from hushbell.core.delivery.changes import Changes
from hushbell.core.delivery.job import JobResult
from hushbell.core.delivery.notification import Draft, Message
from hushbell.core.delivery.outcome import Outcome, Scope, Verdict
from hushbell.core.delivery.state import State
from hushbell.core.delivery.submission import Submission
from hushbell.core.delivery.window import FIRST_WINDOW
from hushbell.errors import CallerError, Overloaded, StoreError, StoreUnavailable
from hushbell.ports.outbox import Committed, Outbox
from hushbell.runtime.delivery.engine import App, DeliveryEngine
from hushbell.stores.memory.outbox import MemoryOutbox
from hushbell.testing.clock import FakeClock
from hushbell.testing.scripted_provider import ScriptedProvider
from hushbell.types import Millis

DEAD = Outcome(Verdict.DEAD_TOKEN, "Unregistered", since=Millis(7))
BUSY = Outcome(Verdict.RETRY, "TooManyRequests")
LATER = Outcome(Verdict.RETRY, "TooManyRequests", after=120.0)
DOWN = Outcome(Verdict.RETRY, "ServiceUnavailable", scope=Scope.PROVIDER)
WRONG = Outcome(Verdict.MISCONFIGURED, "InvalidProviderToken", scope=Scope.APP)
BAD = Outcome(Verdict.INVALID, "BadTopic")
LOST = Outcome(Verdict.UNKNOWN, "closed")
MAX_TURNS = 20_000


def draft(
    targets: tuple[str, ...] = ("token",),
    *,
    provider: str = "apns",
    body: bytes = b"{}",
    retries: int | None = None,
    expires: int | None = None,
    lifetime: float | None = None,
) -> Draft:
    return Draft("token", targets, Message(provider, body), retries=retries, expires=expires, lifetime=lifetime)


class SlowDisk(MemoryOutbox):
    """An outbox whose commits wait for ``sync`` while it ``holds``, and fail with ``error``."""

    def __init__(self) -> None:
        super().__init__(random=os.urandom)
        self.holds = False
        self.error: StoreError | None = None
        self.batches: list[Changes] = []
        self.held: list[tuple[Changes, Committed]] = []

    def commit(self, batch: Changes, done: Committed) -> None:
        self.batches.append(batch)
        if self.error is not None:
            asyncio.get_running_loop().call_soon(done, self.error)
        elif self.holds:
            self.held.append((batch, done))
        else:
            super().commit(batch, done)

    def sync(self) -> None:
        held, self.held = self.held, []
        for batch, done in held:
            super().commit(batch, done)


class Rig:
    def __init__(self, queue: Outbox, apps: Sequence[App], clock: FakeClock) -> None:
        self.queue = queue
        self.clock = clock
        self.engine = DeliveryEngine(outbox=queue, apps=apps, clock=clock, random=lambda size: b"\x80" * size)
        self.done: list[tuple[Submission, StoreError | None]] = []

    async def start(self) -> None:
        await self.engine.start()
        self.running = asyncio.create_task(self.engine.run())

    def submit(self, *drafts: Draft, app: str = "chat", wait: bool = False) -> Submission:
        return self.engine.submit(app, drafts, lambda *ended: self.done.append(ended), wait=wait)

    async def until(self, claim: object) -> None:
        assert callable(claim)
        for turn in range(MAX_TURNS):
            if claim():
                return
            await asyncio.sleep(0 if turn < 1000 else 0.0005)
        raise AssertionError("never came true")

    async def settle(self) -> None:
        for _ in range(50):
            await asyncio.sleep(0)

    def ended(self, submission: Submission) -> JobResult:
        found = inline(self.queue.find(submission.jobs[0].number))
        assert isinstance(found, JobResult)
        return found

    async def stop(self) -> None:
        self.engine.stop()
        await self.running


@pytest.fixture
def apns() -> ScriptedProvider:
    return ScriptedProvider("apns")


@pytest.fixture
def fcm() -> ScriptedProvider:
    return ScriptedProvider("fcm")


@pytest.fixture
def queue() -> SlowDisk:
    return SlowDisk()


@pytest.fixture
async def rig(queue: SlowDisk, apns: ScriptedProvider, fcm: ScriptedProvider) -> AsyncIterator[Rig]:
    other = App(name="other", providers={"apns": ScriptedProvider("apns")}, queue=10)
    made = Rig(queue, [App(name="chat", providers={"apns": apns, "fcm": fcm}), other], FakeClock(manual=True))
    await made.start()
    yield made
    if not made.running.done():
        made.engine.stop()
        for provider in (apns, fcm):  # a test that failed still holds attempts, and stopping waits for them
            provider.answer_all()
        await made.stop()


async def test_nothing_is_acknowledged_or_sent_before_it_is_on_the_disk(
    rig: Rig, queue: SlowDisk, apns: ScriptedProvider
) -> None:
    queue.holds = True
    submission = rig.submit(draft())
    await rig.until(lambda: queue.held)
    assert not rig.done
    assert not apns.attempts

    queue.sync()
    await rig.until(lambda: apns.attempts)

    assert rig.done == [(submission, None)]
    queue.holds = False


async def test_each_push_gets_one_final_state_that_is_on_the_disk(rig: Rig) -> None:
    submission = rig.submit(draft(("one", "two")), draft(("three",)))

    await rig.until(lambda: rig.engine.is_idle)

    ended = rig.ended(submission)
    assert ended.pushes == (2, 1)
    assert ended.states == bytes([State.ACCEPTED] * 3)
    assert ended.attempts == b"\1\1\1"


async def test_a_commit_that_fails_accepts_nothing(rig: Rig, queue: SlowDisk, apns: ScriptedProvider) -> None:
    queue.error = StoreUnavailable("full")

    submission = rig.submit(draft())
    await rig.until(lambda: rig.done)

    assert rig.done == [(submission, queue.error)]
    queue.error = None
    await rig.until(lambda: rig.engine.is_idle)
    assert not apns.attempts


async def test_outcomes_are_written_when_the_disk_is_back(rig: Rig, queue: SlowDisk, apns: ScriptedProvider) -> None:
    apns.holds = True
    submission = rig.submit(draft())
    await rig.until(lambda: apns.held)
    queue.error = StoreUnavailable("full")
    apns.answer_all()
    await rig.until(lambda: len(queue.batches) >= 2)

    queue.error = None

    await rig.until(lambda: rig.engine.is_idle)
    assert rig.ended(submission).states == bytes([State.ACCEPTED])


async def test_each_retry_waits_longer_and_keeps_the_identifier(rig: Rig, apns: ScriptedProvider) -> None:
    apns.script["token"].extend([BUSY, LOST])
    submission = rig.submit(draft())
    await rig.until(lambda: len(apns.attempts) == 1)
    await rig.settle()
    rig.clock.advance(0.7)
    await rig.settle()
    assert len(apns.attempts) == 1
    rig.clock.advance(0.1)
    await rig.until(lambda: len(apns.attempts) == 2)
    await rig.settle()
    rig.clock.advance(1.4)
    await rig.settle()
    assert len(apns.attempts) == 2
    rig.clock.advance(0.2)

    await rig.until(lambda: rig.engine.is_idle)

    assert rig.ended(submission).attempts == b"\3"
    assert len({attempt.notification.ident for attempt in apns.attempts}) == 1


async def test_retry_after_is_honoured(rig: Rig, apns: ScriptedProvider) -> None:
    apns.script["token"].append(LATER)
    rig.submit(draft())
    await rig.until(lambda: apns.attempts)
    await rig.settle()

    rig.clock.advance(119.0)
    await rig.settle()
    assert len(apns.attempts) == 1

    rig.clock.advance(1.0)
    await rig.until(lambda: len(apns.attempts) == 2)


async def test_a_push_waits_for_earlier_pushes_to_its_token(rig: Rig, apns: ScriptedProvider) -> None:
    apns.script["token"].append(BUSY)
    for number in range(3):
        rig.submit(draft(body=b"%d" % number), draft(("other",), body=b"other"))
    await rig.until(lambda: len(apns.attempts) == 4)
    await rig.settle()
    assert apns.tokens.count("token") == 1

    rig.clock.advance(1.0)
    await rig.until(lambda: rig.engine.is_idle)

    bodies = [attempt.notification.message.body for attempt in apns.attempts if attempt.token == "token"]
    assert bodies == [b"0", b"0", b"1", b"2"]


async def test_two_pushes_to_one_token_are_never_under_way_together(rig: Rig, apns: ScriptedProvider) -> None:
    apns.holds = True
    rig.submit(draft(("token", "token", "token")))
    for left in (2, 1, 0):
        await rig.until(lambda: apns.held)
        await rig.settle()
        assert len(apns.held) == 1
        apns.answer("token")
        assert rig.engine.queues["chat", "apns"].in_memory == left

    await rig.until(lambda: rig.engine.is_idle)


async def test_a_dead_token_is_listed_with_its_providers_reason(rig: Rig, apns: ScriptedProvider) -> None:
    apns.script["gone"].append(DEAD)

    submission = rig.submit(draft(("gone", "here")))
    await rig.until(lambda: rig.engine.is_idle)

    (dead,) = await rig.queue.dead_tokens("chat", 0, 9)
    assert (dead.token, dead.provider, dead.reason, dead.since) == ("gone", "apns", "Unregistered", 7)
    ended = rig.ended(submission)
    assert list(ended.states) == [State.DEAD_TOKEN, State.ACCEPTED]
    assert ended.reasons == ((0, "Unregistered"),)


async def test_many_dead_tokens_at_once_are_a_wrong_configuration(rig: Rig, apns: ScriptedProvider) -> None:
    apns.outcome = DEAD
    rig.submit(draft(tuple(str(number) for number in range(40))))
    await rig.until(lambda: len(apns.attempts) == 40)
    await rig.settle()

    assert len(await rig.queue.dead_tokens("chat", 0, 99)) < 10
    assert rig.engine.queues["chat", "apns"].status.is_paused

    apns.outcome = Outcome(Verdict.ACCEPTED)
    rig.clock.advance(700.0)
    await rig.until(lambda: rig.engine.is_idle)
    assert len(await rig.queue.dead_tokens("chat", 0, 99)) < 10


async def test_a_caller_can_cap_the_retries(rig: Rig, apns: ScriptedProvider) -> None:
    apns.outcome = BUSY
    submission = rig.submit(draft(retries=1))
    await rig.until(lambda: len(apns.attempts) == 1)
    await rig.settle()
    rig.clock.advance(2.0)

    await rig.until(lambda: rig.engine.is_idle)

    ended = rig.ended(submission)
    assert (list(ended.states), ended.attempts) == ([State.FAILED], b"\2")
    assert ended.reasons == ((0, "TooManyRequests"),)


async def test_a_push_expires_when_its_time_is_over(rig: Rig, apns: ScriptedProvider) -> None:
    apns.outcome = BUSY
    submission = rig.submit(draft(lifetime=30.0))
    for _ in range(20):
        await rig.settle()
        rig.clock.advance(5.0)

    await rig.until(lambda: rig.engine.is_idle)

    assert list(rig.ended(submission).states) == [State.EXPIRED]
    assert len(apns.attempts) < 8


async def test_after_a_pause_one_push_finds_out_whether_the_provider_is_back(rig: Rig, apns: ScriptedProvider) -> None:
    apns.outcome = DOWN
    rig.submit(draft(tuple(str(number) for number in range(100))))
    await rig.until(lambda: len(apns.attempts) == 100)
    await rig.settle()
    apns.attempts.clear()
    apns.holds, apns.outcome = True, Outcome(Verdict.ACCEPTED)

    rig.clock.advance(2.0)
    await rig.until(lambda: apns.held)
    await rig.settle()

    assert len(apns.held) == 1
    apns.holds = False
    apns.answer_all()
    await rig.until(lambda: rig.engine.is_idle)


async def test_a_few_refusals_among_many_responses_pause_nothing(rig: Rig, apns: ScriptedProvider) -> None:
    unlucky = [str(number) for number in range(0, 300, 30)]
    for token in unlucky:
        apns.script[token].append(DOWN)

    rig.submit(draft(tuple(str(number) for number in range(300))))
    await rig.until(lambda: len(apns.attempts) == 300)
    await rig.settle()

    provider_queue = rig.engine.queues["chat", "apns"]
    assert not provider_queue.status.is_paused
    assert provider_queue.counts[State.ACCEPTED] == 290
    rig.clock.advance(60.0)
    await rig.until(lambda: rig.engine.is_idle)
    assert sorted(apns.tokens[300:]) == sorted(unlucky)


async def test_the_window_grows_only_by_pushes_that_are_accepted_while_it_is_full(
    rig: Rig, apns: ScriptedProvider
) -> None:
    apns.holds = True
    rig.submit(draft(tuple(f"few {n}" for n in range(FIRST_WINDOW - 1))))
    await rig.until(lambda: len(apns.held) == FIRST_WINDOW - 1)
    apns.answer_all()

    rig.submit(draft(tuple(f"many {n}" for n in range(2 * FIRST_WINDOW))))
    await rig.until(lambda: len(apns.held) >= FIRST_WINDOW)
    await rig.settle()
    assert len(apns.held) == FIRST_WINDOW, "it was not full before"

    apns.answer("many 0")
    await rig.settle()
    assert len(apns.held) == FIRST_WINDOW + 1
    rig.engine.stop()
    apns.answer_all()


async def test_a_provider_that_asks_for_a_pause_gets_it_at_once(rig: Rig, apns: ScriptedProvider) -> None:
    apns.script["first"].append(Outcome(Verdict.RETRY, "ServiceUnavailable", after=9.0, scope=Scope.PROVIDER))

    rig.submit(draft(("first",)))
    await rig.until(lambda: len(apns.attempts) == 1)
    await rig.settle()

    assert rig.engine.queues["chat", "apns"].status.is_paused


async def test_a_broken_credential_delays_no_other_provider_and_no_other_app(
    rig: Rig, apns: ScriptedProvider, fcm: ScriptedProvider
) -> None:
    apns.outcome = WRONG
    rig.submit(draft(("held",)))
    await rig.until(lambda: apns.attempts)

    rig.submit(draft(("behind",)), draft(("android",), provider="fcm"))
    rig.submit(draft(("theirs",)), app="other")
    await rig.until(lambda: fcm.attempts and rig.engine.open["other"] == 0)

    assert apns.tokens == ["held"]
    assert rig.engine.open["chat"] == 2
    apns.outcome = Outcome(Verdict.ACCEPTED)
    rig.clock.advance(2.0)
    await rig.until(lambda: rig.engine.is_idle)
    assert apns.tokens[1:] == ["held", "behind"]


async def test_a_wrong_configuration_uses_up_no_retries(rig: Rig, apns: ScriptedProvider) -> None:
    apns.script["token"].extend([WRONG, WRONG])
    submission = rig.submit(draft(retries=1))
    for _ in range(8):
        await rig.settle()
        rig.clock.advance(2.0)

    await rig.until(lambda: rig.engine.is_idle)

    assert list(rig.ended(submission).states) == [State.ACCEPTED]


async def test_pushes_that_expire_during_a_pause_get_their_final_state_then(rig: Rig, apns: ScriptedProvider) -> None:
    apns.outcome = Outcome(Verdict.RETRY, "ServiceUnavailable", after=7200.0, scope=Scope.PROVIDER)
    rig.submit(draft(("first",)))
    await rig.until(lambda: apns.attempts)
    await rig.settle()
    submission = rig.submit(draft(("second",), lifetime=90.0))
    for _ in range(3):
        await rig.settle()
        rig.clock.advance(60.0)

    await rig.until(lambda: rig.engine.open["chat"] == 1)
    await rig.until(lambda: isinstance(inline(rig.queue.find(submission.jobs[0].number)), JobResult))

    assert list(rig.ended(submission).states) == [State.EXPIRED]
    assert len(apns.attempts) == 1


async def test_a_full_share_refuses_pushes_until_some_have_a_final_state(rig: Rig) -> None:
    provider = rig.engine.apps["other"].providers["apns"]
    assert isinstance(provider, ScriptedProvider)
    provider.holds = True
    rig.submit(draft(tuple(str(number) for number in range(10))), app="other")

    with pytest.raises(Overloaded):
        rig.submit(draft(), app="other")
    rig.submit(draft())

    await rig.until(lambda: len(provider.held) == 10)
    provider.holds = False
    provider.answer_all()
    await rig.until(lambda: rig.engine.is_idle)
    rig.submit(draft(), app="other")


async def test_drafts_that_can_never_be_delivered_are_refused_with_the_field_named(
    rig: Rig, apns: ScriptedProvider
) -> None:
    with pytest.raises(CallerError, match=r"^message\.body: "):
        rig.engine.check("chat", draft(body=b"").message)
    with pytest.raises(CallerError, match=r"^provider: huawei"):
        rig.engine.check("chat", draft(provider="huawei").message)
    with pytest.raises(CallerError, match=r"^\[1\]\.provider: huawei"):
        rig.submit(draft(), draft(provider="huawei"))

    await rig.settle()
    assert not apns.attempts


async def test_a_caller_can_wait_for_the_first_attempts(rig: Rig, apns: ScriptedProvider) -> None:
    apns.script["gone"].append(DEAD)
    apns.script["busy"].append(BUSY)
    apns.holds = True
    rig.submit(draft(("gone", "busy", "fine")), wait=True)
    await rig.until(lambda: len(apns.held) == 3)
    assert not rig.done

    apns.answer_all()

    ((submission, _),) = rig.done
    failures = [(failure.notification.targets[failure.index], failure.is_final) for failure in submission.failures]
    assert failures == [("gone", True), ("busy", False)]


async def test_a_caller_who_waits_gets_the_reason_of_a_long_pause_at_once(rig: Rig, apns: ScriptedProvider) -> None:
    apns.script["first"].append(Outcome(Verdict.RETRY, "QuotaExceeded", after=60.0, scope=Scope.APP))
    rig.submit(draft(("first",)), wait=True)
    await rig.until(lambda: len(rig.done) == 1)

    rig.submit(draft(("second", "third")), wait=True)
    await rig.until(lambda: len(rig.done) == 2)

    failures = rig.done[1][0].failures
    assert [(one.outcome.reason, one.is_final) for one in failures] == [("QuotaExceeded", False)] * 2
    assert apns.tokens == ["first"]


async def test_jobs_beyond_the_bound_of_memory_wait_on_the_disk_in_order(
    rig: Rig, apns: ScriptedProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hushbell.runtime.delivery.provider_queue.MAX_IN_MEMORY", 4)
    apns.holds = True
    for number in range(20):
        rig.submit(draft((str(number),)))
    await rig.until(lambda: len(rig.done) == 20)
    provider_queue = rig.engine.queues["chat", "apns"]
    assert provider_queue.in_memory <= 4
    assert len(provider_queue.on_disk) >= 16

    apns.holds = False
    apns.answer_all()
    await rig.until(lambda: rig.engine.is_idle)

    assert apns.tokens == [str(number) for number in range(20)]


async def test_after_a_restart_open_pushes_are_delivered(rig: Rig, queue: SlowDisk, apns: ScriptedProvider) -> None:
    apns.script["busy"].append(LATER)
    submission = rig.submit(draft(("fine", "busy")))
    await rig.until(lambda: len(apns.attempts) == 2)
    await rig.settle()
    await rig.stop()
    before = apns.attempts[1].notification.ident
    apns.attempts.clear()

    again = Rig(queue, [rig.engine.apps["chat"]], rig.clock)
    await again.start()
    await again.until(lambda: again.engine.is_idle)

    assert apns.tokens == ["busy"]
    assert apns.attempts[0].notification.ident == before
    assert again.ended(submission).attempts == b"\1\2"
    await again.stop()


async def test_a_stop_begins_no_attempt_and_commits_the_outcomes_of_those_under_way(
    rig: Rig, queue: SlowDisk, apns: ScriptedProvider
) -> None:
    apns.holds = True
    submission = rig.submit(draft(("one",)))
    await rig.until(lambda: apns.held)
    rig.engine.stop()
    with pytest.raises(Overloaded):
        rig.submit(draft())

    apns.answer_all()
    await rig.running

    assert rig.ended(submission).states == bytes([State.ACCEPTED])


async def test_a_flood_of_one_app_does_not_delay_another(rig: Rig, apns: ScriptedProvider) -> None:
    theirs = rig.engine.apps["other"].providers["apns"]
    assert isinstance(theirs, ScriptedProvider)
    for _ in range(20):
        rig.submit(draft(tuple(os.urandom(8).hex() for _ in range(500))))
    rig.submit(draft(("theirs",)), app="other")

    await rig.until(lambda: theirs.attempts)

    assert len(apns.attempts) <= 1024


async def test_an_open_notification_is_found_with_its_states(rig: Rig, apns: ScriptedProvider) -> None:
    apns.script["busy"].append(BUSY)
    submission = rig.submit(draft(("fine",)), draft(("busy",)))
    await rig.until(lambda: len(apns.attempts) == 2)
    await rig.settle()

    found = await rig.engine.find(submission.jobs[0].notifications[1].ident)

    assert found is not None
    place, open_job = found
    assert place == 1
    assert not isinstance(open_job, JobResult)
    job, progress = open_job
    assert job == submission.jobs[0]
    assert progress is not None
    assert list(progress.states) == [State.ACCEPTED, State.RETRYING]
    assert await rig.engine.find(os.urandom(16)) is None


async def test_pushes_are_sent_again_after_their_provider_raised(
    rig: Rig, apns: ScriptedProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    def raising(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(apns, "send", raising)
    submission = rig.submit(draft(("phone",)))
    provider_queue = rig.engine.queues["chat", "apns"]
    await rig.until(lambda: provider_queue.counts[State.RETRYING])

    monkeypatch.undo()
    rig.clock.advance(120.0)
    await rig.until(lambda: rig.engine.is_idle)

    assert rig.ended(submission).states == bytes([State.ACCEPTED])
