"""
The rules of a client as one function: facts and inputs in; changes, effects and events out.

The caller commits the changes, then carries out the effects, then publishes the events, and calls again with a Tick
when the decision is due. An effect therefore never precedes the facts it depends on, and repeating it after a crash
is harmless.
"""

from collections.abc import Sequence

from hushbell.core.client import contacts, recipients, servers
from hushbell.core.client.decision import DecisionBuilder
from hushbell.core.client.events import (
    AddServer,
    ClientDecision,
    Configure,
    EnvelopeReceived,
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
        facts: the account's facts; updated with the decision's changes.
        inputs: what has arrived since the last decision.
        identity: the key that registers and is notified.
        now: Unix time in milliseconds.
        random: draws ephemeral keys, nonces and access tokens.
        advertises: whether this key publishes a contact code; the key of a rotating identity does not.
    """
    decision = DecisionBuilder(facts, identity, now, random, advertises=advertises)
    for each in inputs:
        _apply_input(decision, each)
    for target in contacts.advance(decision):
        recipients.on_contact(decision, target)
    servers.advance(decision)
    recipients.advance(decision)
    recipients.prune(decision)
    return decision.build(due(facts, advertises=advertises))


def due(facts: ClientFacts, *, advertises: bool = True) -> Millis | None:
    """Return when to decide again without a further input; None if nothing is scheduled."""
    times = (servers.due(facts, advertises=advertises), contacts.due(facts), recipients.due(facts))
    return min((time for time in times if time is not None), default=None)


def _apply_input(decision: DecisionBuilder, each: Input) -> None:
    match each:
        case Configure():
            servers.configure(decision, each)
        case AddServer():
            servers.add_server(decision, each)
        case RemoveServer():
            servers.remove_server(decision, each)
        case Follow():
            contacts.follow(decision, each)
        case Unfollow():
            contacts.unfollow(decision, each)
        case Learn():
            contacts.learn(decision, each)
        case Notify():
            recipients.notify(decision, each)
        case EnvelopeReceived():
            _route(decision, each)
        case Tick():
            pass


def _route(decision: DecisionBuilder, received: EnvelopeReceived) -> None:
    if received.to == decision.identity.public:
        servers.on_response(decision, received.opened)
        return
    ephemeral = decision.facts.ephemeral_keys.get(received.to)
    if ephemeral is None:
        target = contacts.on_contact_code(decision, received.opened, received.to)
    elif ephemeral.purpose is Purpose.REQUEST:
        recipients.on_response(decision, received.opened, ephemeral)
        return
    else:
        target = contacts.on_query_response(decision, received.opened, ephemeral)
    if target is not None:
        recipients.on_contact(decision, target)
