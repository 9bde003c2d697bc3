"""
A whole client as one function: what reached it and what it knows, in; what changes, leaves and is told, out.

The caller commits the changes, then carries out the effects, then tells the news, and comes back with a Tick when
the decision is due. Nothing that left can then be forgotten, and doing it all again after a crash harms nobody.
"""

from collections.abc import Sequence

from hushbell.core.client import contacts, recipients, servers
from hushbell.core.client.decision import Work
from hushbell.core.client.events import (
    AddServer,
    Arrived,
    ClientDecision,
    Configure,
    Follow,
    Input,
    Learn,
    Notify,
    RemoveServer,
    Tick,
    Unfollow,
)
from hushbell.core.client.facts import ClientFacts, Purpose
from hushbell.types import KeyPair, Millis, Random


def decide(
    facts: ClientFacts,
    inputs: Sequence[Input],
    *,
    identity: KeyPair,
    now: Millis,
    random: Random,
    advertises: bool = True,
) -> ClientDecision:
    """
    Decide about inputs in order.

    Args:
        facts: what is known; it is taken forward by the decision's changes.
        inputs: what reached the client since the last decision.
        identity: the key that registers and is rung.
        now: Unix time in milliseconds.
        random: draws ephemeral keys, nonces and access tokens.
        advertises: whether this key publishes a contact code; a key that only some people know does not.
    """
    work = Work(facts, identity, now, random, advertises=advertises)
    for each in inputs:
        _handle(work, each)
    for target in contacts.advance(work):
        recipients.learnt(work, target)
    servers.advance(work)
    recipients.advance(work)
    recipients.prune(work)
    return work.decision(due(facts, advertises=advertises))


def due(facts: ClientFacts, *, advertises: bool = True) -> Millis | None:
    """Return when to decide again although nothing reached the client; None if nothing is waited for."""
    times = (servers.due(facts, advertises=advertises), contacts.due(facts), recipients.due(facts))
    return min((time for time in times if time is not None), default=None)


def _handle(work: Work, each: Input) -> None:
    match each:
        case Configure():
            servers.configure(work, each)
        case AddServer():
            servers.add_server(work, each)
        case RemoveServer():
            servers.remove_server(work, each)
        case Follow():
            contacts.follow(work, each)
        case Unfollow():
            contacts.unfollow(work, each)
        case Learn():
            contacts.learn(work, each)
        case Notify():
            recipients.notify(work, each)
        case Arrived():
            _arrived(work, each)
        case Tick():
            pass


def _arrived(work: Work, came: Arrived) -> None:
    if came.to == work.identity.public:
        servers.answered(work, came.opened)
        return
    ephemeral = work.facts.ephemerals.get(came.to)
    if ephemeral is None:
        target = contacts.advertised(work, came.opened, came.to)
    elif ephemeral.purpose is Purpose.REQUEST:
        recipients.answered(work, came.opened, ephemeral)
        return
    else:
        target = contacts.answered(work, came.opened, ephemeral)
    if target is not None:
        recipients.learnt(work, target)
