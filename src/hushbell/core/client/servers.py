"""Registering with servers, leaving them, and telling others about it (spec 16; reference/status-go.md 7.2, 10.16)."""

from dataclasses import replace

from hushbell import wire
from hushbell.core.client import advert, registration, retry
from hushbell.core.client.decision import Work
from hushbell.core.client.events import (
    AddServer,
    Advertise,
    Configure,
    Left,
    Refused,
    Registered,
    RemoveServer,
    Send,
    Unreachable,
)
from hushbell.core.client.facts import ClientFacts, Enrolment
from hushbell.core.client.lifecycles import ENROLLING, Enrolled, Told
from hushbell.core.client.registration import Last
from hushbell.core.envelope import OpenedEnvelope
from hushbell.crypto import topics
from hushbell.errors import WireError
from hushbell.types import InstallationId, Millis, PublicKey
from hushbell.wire import RegistrationError

TRIALS_HEARD = 4  # trials of one content whose late answers still count
MOST_LEAPS = 20  # doublings of the version before a server's VERSION_MISMATCH is believed
MOST_SERVERS = 32  # of one account


def configure(work: Work, wish: Configure) -> None:
    """Take the user's wishes over and tell every server what follows from them."""
    profile = work.profile
    last, told = profile.last, False
    if wish.device is None:
        told = last is not None and not last.registration.unregister
        if told and last is not None:
            last = registration.unregistered(_installation(last), last)
    elif last is None or last.registration.unregister or registration.outdated(last, wish.options, wish.device):
        last, told = registration.registered(wish.options, wish.device, last, work.identity, work.random), True
    work.save(replace(profile, device=wish.device, options=wish.options, sending=wish.sending, last=last))
    if told:
        _announce(work)


def add_server(work: Work, wish: AddServer) -> None:
    """Register there too; a server that was being left is taken back."""
    known = work.facts.enrolments.get(wish.server)
    if known is not None and not known.leaving:
        return
    if known is None and len(work.facts.enrolments) >= MOST_SERVERS:
        return
    last = work.profile.last
    idle = last is None or last.registration.unregister
    work.save(Enrolment(server=wish.server, stage=Enrolled.GONE if idle else Enrolled.DUE))


def remove_server(work: Work, wish: RemoveServer) -> None:
    """Leave a server; one that never heard of us is just forgotten."""
    known = work.facts.enrolments.get(wish.server)
    if known is None or known.leaving:
        return
    if known.stage is Enrolled.GONE or (known.stage is Enrolled.DUE and not known.requests):
        work.forget(known)
    else:
        work.save(Enrolment(server=wish.server, leaving=True))


def answered(work: Work, opened: OpenedEnvelope) -> None:
    """Believe a server's answer to one of our trials."""
    pending = {request: one.server for one in work.facts.enrolments.values() for request in one.requests}
    try:
        answer = registration.answer(opened, pending)
    except WireError:
        return
    enrolment = work.facts.enrolments[answer.server]
    if answer.success:
        _succeeded(work, enrolment)
    elif answer.error == RegistrationError.VERSION_MISMATCH and _may_leap(work, enrolment):
        _leap(work)
    elif answer.error in retry.FINAL and not enrolment.leaving:
        if _signal(work, enrolment, Told.REJECTED):
            work.tell(Refused(answer.server, answer.error))
    else:
        _signal(work, enrolment, Told.TROUBLED)


def advance(work: Work) -> None:
    """Tell the servers whose time has come, then everybody else."""
    for enrolment in tuple(work.facts.enrolments.values()):
        due = _due(work.facts, enrolment)
        if due is not None and due <= work.now:
            _try(work, enrolment)
    _advertise(work)


def due(facts: ClientFacts, *, advertises: bool) -> Millis | None:
    """Return when the next trial or advert is due."""
    times = [_due(facts, enrolment) for enrolment in facts.enrolments.values()]
    if advertises and facts.profile.advertised_at is not None and _advertisable(facts):
        times.append(Millis(facts.profile.advertised_at + advert.PERIOD))
    return min((time for time in times if time is not None), default=None)


def registered_with(facts: ClientFacts) -> tuple[PublicKey, ...]:
    """Return the servers that have our registration."""
    return tuple(
        one.server for one in facts.enrolments.values() if one.stage is Enrolled.REGISTERED and not one.leaving
    )


def _installation(last: Last) -> InstallationId:
    return InstallationId(last.registration.installation_id)


def _announce(work: Work) -> None:
    for enrolment in tuple(work.facts.enrolments.values()):
        if not enrolment.leaving:
            # Answers to what was said before no longer tell anything.
            stage = ENROLLING[enrolment.stage][Told.CHANGED]
            work.save(Enrolment(server=enrolment.server, stage=stage))


def _signal(work: Work, enrolment: Enrolment, signal: Told) -> bool:
    """Move an enrolment on; say whether it moved."""
    stage = ENROLLING[enrolment.stage][signal]
    work.save(replace(enrolment, stage=stage))
    return stage is not enrolment.stage


def _succeeded(work: Work, enrolment: Enrolment) -> None:
    last = work.profile.last
    if enrolment.leaving or last is None or last.registration.unregister:
        if _signal(work, enrolment, Told.RELEASED):
            work.tell(Left(enrolment.server))
        if enrolment.leaving:
            work.forget(enrolment)
    elif _signal(work, enrolment, Told.CONFIRMED):
        work.save(replace(work.profile, leaps=0, registered_at=work.now))
        work.tell(Registered(enrolment.server))


def _may_leap(work: Work, enrolment: Enrolment) -> bool:
    settled = ENROLLING[enrolment.stage][Told.REJECTED] is enrolment.stage
    return not enrolment.leaving and not settled and work.profile.leaps < MOST_LEAPS


def _leap(work: Work) -> None:
    """
    Say the same with a higher version, to every server.

    A server that took our last version although its answer was lost calls the repetition a mismatch, and one whose
    data is older than ours would never hear us otherwise. Doubling finds any version in few steps.
    """
    profile = work.profile
    assert profile.last is not None
    told = profile.last.registration
    leapt = replace(told, version=told.version + (1 << profile.leaps))
    work.save(replace(profile, last=replace(profile.last, registration=leapt), leaps=profile.leaps + 1))
    _announce(work)


def _due(facts: ClientFacts, enrolment: Enrolment) -> Millis | None:
    if facts.profile.last is None:
        return None
    if enrolment.stage is Enrolled.DUE:
        return Millis(0)
    return Millis(enrolment.last + retry.wait(enrolment.trials)) if enrolment.stage is Enrolled.WAITING else None


def _try(work: Work, enrolment: Enrolment) -> None:
    if enrolment.trials >= retry.TRIALS:
        _signal(work, enrolment, Told.EXHAUSTED)
        work.tell(Unreachable(enrolment.server))
        return
    sealed = registration.sealed(_content(work, enrolment), work.identity, enrolment.server, work.random)
    work.save(
        replace(
            enrolment,
            stage=ENROLLING[enrolment.stage][Told.SENT],
            trials=enrolment.trials + 1,
            last=work.now,
            requests=(*enrolment.requests, sealed.request_id)[-TRIALS_HEARD:],
        )
    )
    topic = topics.personal_topic(enrolment.server)
    work.do(Send(application=sealed.application, recipient=enrolment.server, signer=work.identity, content_topic=topic))


def _content(work: Work, enrolment: Enrolment) -> wire.Registration:
    last = work.profile.last
    assert last is not None
    if not enrolment.leaving:
        return last.registration
    # Ahead of whatever the server may have, also if its answers were lost.
    end = registration.unregistered(_installation(last), last).registration
    return replace(end, version=end.version - 1 + (1 << enrolment.trials))


def _advertisable(facts: ClientFacts) -> bool:
    last = facts.profile.last
    return last is not None and not last.registration.unregister and bool(registered_with(facts))


def _advertise(work: Work) -> None:
    profile = work.profile
    if not work.advertises or not _advertisable(work.facts):
        return
    if not advert.due(profile.advertised_at, profile.registered_at, work.now):
        return
    assert profile.last is not None
    application = advert.advert(profile.last, registered_with(work.facts), work.identity)
    # Also when there is nothing to say: so that it is not considered again at every step.
    work.save(replace(profile, advertised_at=Millis(max(work.now, profile.registered_at + 1))))
    if application is not None:
        work.do(Advertise(application))
