"""Registrations with servers, unregistrations, and the contact code (spec 16; reference/status-go.md 7.2, 10.16)."""

from dataclasses import replace

from hushbell import wire
from hushbell.core.client import advert, registration, retry
from hushbell.core.client.decision import DecisionBuilder
from hushbell.core.client.events import (
    AddServer,
    Advertise,
    Configure,
    Refused,
    Registered,
    RemoveServer,
    SendToKey,
    Unreachable,
    Unregistered,
)
from hushbell.core.client.facts import ClientFacts, ServerRegistration
from hushbell.core.client.lifecycles import REGISTRATION_TRANSITIONS, RegistrationSignal, RegistrationState
from hushbell.core.client.registration import LastRegistration
from hushbell.core.envelope import OpenedEnvelope
from hushbell.crypto import topics
from hushbell.errors import WireError
from hushbell.types import InstallationId, Millis, PublicKey
from hushbell.wire import RegistrationError

MAX_OPEN_TRIALS = 4  # trials of one content whose late responses still count
MAX_VERSION_RAISES = 20  # doublings of the version before a server's VERSION_MISMATCH counts as a refusal
MAX_SERVERS = 32  # of one account


def configure(decision: DecisionBuilder, wish: Configure) -> None:
    """Store the user's settings, and send every server the registration that follows from them, if it has changed."""
    profile = decision.profile
    last = profile.last
    if wish.device is None:
        if last is not None and not last.registration.unregister:
            last = registration.next_unregistration(_installation(last), last)
    elif last is None or last.registration.unregister or registration.is_outdated(last, wish.options, wish.device):
        last = registration.next_registration(wish.options, wish.device, last, decision.identity, decision.random)
    decision.save(replace(profile, device=wish.device, options=wish.options, sending=wish.sending, last=last))
    if last is not profile.last:
        _mark_changed(decision)


def add_server(decision: DecisionBuilder, wish: AddServer) -> None:
    """Register with a server; an unregistration that is under way is replaced."""
    known = decision.facts.registrations.get(wish.server)
    if known is not None and not known.leaving:
        return
    if known is None and len(decision.facts.registrations) >= MAX_SERVERS:
        return
    last = decision.profile.last
    is_idle = last is None or last.registration.unregister
    state = RegistrationState.UNREGISTERED if is_idle else RegistrationState.DUE
    decision.save(ServerRegistration(server=wish.server, state=state))


def remove_server(decision: DecisionBuilder, wish: RemoveServer) -> None:
    """Unregister from a server; one that was never sent a registration is forgotten at once."""
    known = decision.facts.registrations.get(wish.server)
    if known is None or known.leaving:
        return
    never_sent = known.state is RegistrationState.DUE and not known.requests
    if known.state is RegistrationState.UNREGISTERED or never_sent:
        decision.forget(known)
    else:
        decision.save(ServerRegistration(server=wish.server, leaving=True))


def on_response(decision: DecisionBuilder, opened: OpenedEnvelope) -> None:
    """Apply a server's response to one of the trials; anything else is ignored."""
    known = decision.facts.registrations
    pending = {request: server for server, registered in known.items() for request in registered.requests}
    try:
        result = registration.read_response(opened, pending)
    except WireError:
        return
    current = known[result.server]
    if result.success:
        _on_success(decision, current)
    elif result.error == RegistrationError.VERSION_MISMATCH and _may_raise_version(decision, current):
        _raise_version(decision)
    elif result.error in retry.FINAL and not current.leaving:
        if _signal(decision, current, RegistrationSignal.REJECTED):
            decision.add_event(Refused(result.server, result.error))
    else:
        _signal(decision, current, RegistrationSignal.SERVER_ERROR)


def advance(decision: DecisionBuilder) -> None:
    """Send the registrations that are due, then the contact code."""
    for current in tuple(decision.facts.registrations.values()):
        due = _due(decision.facts, current)
        if due is not None and due <= decision.now:
            _send_registration(decision, current)
    _advertise(decision)


def due(facts: ClientFacts, *, advertises: bool) -> Millis | None:
    """Return when the next trial or contact code is due."""
    times = [_due(facts, current) for current in facts.registrations.values()]
    if advertises and facts.profile.advertised_at is not None and _may_advertise(facts):
        times.append(Millis(facts.profile.advertised_at + advert.PERIOD))
    return min((time for time in times if time is not None), default=None)


def registered_with(facts: ClientFacts) -> tuple[PublicKey, ...]:
    """Return the servers that confirmed the current registration."""
    return tuple(
        server
        for server, current in facts.registrations.items()
        if current.state is RegistrationState.REGISTERED and not current.leaving
    )


def _installation(last: LastRegistration) -> InstallationId:
    return InstallationId(last.registration.installation_id)


def _mark_changed(decision: DecisionBuilder) -> None:
    for current in tuple(decision.facts.registrations.values()):
        if not current.leaving:
            # Without its requests: responses to the former content no longer count.
            state = REGISTRATION_TRANSITIONS[current.state][RegistrationSignal.CHANGED]
            decision.save(ServerRegistration(server=current.server, state=state))


def _signal(decision: DecisionBuilder, current: ServerRegistration, signal: RegistrationSignal) -> bool:
    """Apply a signal; say whether the state has changed."""
    state = REGISTRATION_TRANSITIONS[current.state][signal]
    decision.save(replace(current, state=state))
    return state is not current.state


def _on_success(decision: DecisionBuilder, current: ServerRegistration) -> None:
    last = decision.profile.last
    if current.leaving or last is None or last.registration.unregister:
        if _signal(decision, current, RegistrationSignal.UNREGISTERED):
            decision.add_event(Unregistered(current.server))
        if current.leaving:
            decision.forget(current)
    elif _signal(decision, current, RegistrationSignal.CONFIRMED):
        decision.save(replace(decision.profile, version_raises=0, registered_at=decision.now))
        decision.add_event(Registered(current.server))


def _may_raise_version(decision: DecisionBuilder, current: ServerRegistration) -> bool:
    is_settled = REGISTRATION_TRANSITIONS[current.state][RegistrationSignal.REJECTED] is current.state
    return not current.leaving and not is_settled and decision.profile.version_raises < MAX_VERSION_RAISES


def _raise_version(decision: DecisionBuilder) -> None:
    """
    Send the same content with a higher version to every server.

    A server that stored the last version but whose response was lost reports a mismatch for the repetition, and so
    does one whose stored version is higher than ours. Doubling the step passes any version after few trials.
    """
    profile = decision.profile
    assert profile.last is not None
    content = profile.last.registration
    raised = replace(content, version=content.version + (1 << profile.version_raises))
    last = replace(profile.last, registration=raised)
    decision.save(replace(profile, last=last, version_raises=profile.version_raises + 1))
    _mark_changed(decision)


def _due(facts: ClientFacts, current: ServerRegistration) -> Millis | None:
    if facts.profile.last is None:
        return None
    if current.state is RegistrationState.DUE:
        return Millis(0)
    if current.state is RegistrationState.WAITING:
        return Millis(current.last + retry.delay_millis(current.trials))
    return None


def _send_registration(decision: DecisionBuilder, current: ServerRegistration) -> None:
    if current.trials >= retry.MAX_TRIALS:
        _signal(decision, current, RegistrationSignal.EXHAUSTED)
        decision.add_event(Unreachable(current.server))
        return
    server, identity = current.server, decision.identity
    sealed = registration.seal_registration(_content(decision, current), identity, server, decision.random)
    decision.save(
        replace(
            current,
            state=REGISTRATION_TRANSITIONS[current.state][RegistrationSignal.SENT],
            trials=current.trials + 1,
            last=decision.now,
            requests=(*current.requests, sealed.request_id)[-MAX_OPEN_TRIALS:],
        )
    )
    topic = topics.personal_topic(server)
    decision.add_effect(
        SendToKey(application=sealed.application, recipient=server, signer=identity, content_topic=topic)
    )


def _content(decision: DecisionBuilder, current: ServerRegistration) -> wire.Registration:
    last = decision.profile.last
    assert last is not None
    if not current.leaving:
        return last.registration
    # Above every version that the server may have, also if its responses were lost.
    end = registration.next_unregistration(_installation(last), last).registration
    return replace(end, version=end.version - 1 + (1 << current.trials))


def _may_advertise(facts: ClientFacts) -> bool:
    last = facts.profile.last
    return last is not None and not last.registration.unregister and bool(registered_with(facts))


def _advertise(decision: DecisionBuilder) -> None:
    profile = decision.profile
    if not decision.advertises or not _may_advertise(decision.facts):
        return
    if not advert.is_due(profile.advertised_at, profile.registered_at, decision.now):
        return
    assert profile.last is not None
    application = advert.build_advert(profile.last, registered_with(decision.facts), decision.identity)
    # Also without an advert, so that it is not built again at every decision.
    advertised_at = Millis(max(decision.now, profile.registered_at + 1))
    decision.save(replace(profile, advertised_at=advertised_at))
    if application is not None:
        decision.add_effect(Advertise(application))
