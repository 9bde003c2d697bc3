"""
The rules of the push notification server, over any event.

A driver loads the facts that many events need at once, decides the events in order and applies each decision to the
facts, so that a later event sees what an earlier one of the same batch did.
"""

from collections.abc import Collection, Iterable
from typing import assert_never

from hushbell.config.limits import Limits
from hushbell.core.server import query, registration, request
from hushbell.core.server.events import Event, QueryReceived, RegistrationReceived, RequestReceived
from hushbell.core.server.facts import Decision, Facts, FactsNeeded, MarkNotified, SaveRegistration, SaveResponse
from hushbell.core.server.registration import TOKEN_TYPES
from hushbell.types import Millis

DEFAULT_LIMITS = Limits()


def facts_needed(event: Event, limits: Limits = DEFAULT_LIMITS) -> FactsNeeded:
    """Name the facts that an event needs. What is over a bound needs none: it is refused anyway."""
    match event:
        case RegistrationReceived():
            return registration.facts_needed(event, limits)
        case QueryReceived():
            return query.facts_needed(event, limits)
        case RequestReceived():
            return request.facts_needed(event, limits)
    assert_never(event)


def merge_facts_needed(parts: Iterable[FactsNeeded]) -> FactsNeeded:
    """Name the facts of all events of a batch at once."""
    every = tuple(parts)
    return FactsNeeded(
        devices=frozenset().union(*(part.devices for part in every)),
        installations=frozenset().union(*(part.installations for part in every)),
        queried=frozenset().union(*(part.queried for part in every)),
        requests=frozenset().union(*(part.requests for part in every)),
        notification_keys=frozenset().union(*(part.notification_keys for part in every)),
    )


def decide(
    event: Event,
    facts: Facts,
    now: Millis,
    limits: Limits = DEFAULT_LIMITS,
    *,
    token_types: Collection[int] = TOKEN_TYPES,
) -> Decision:
    """
    Return what an event leads to, over facts that hold everything ``facts_needed`` names for it.

    Args:
        event: what arrived.
        facts: what is stored; not changed.
        now: the time of the batch.
        limits: the bounds.
        token_types: the token types that this operator delivers to (TokenType numbers).
    """
    match event:
        case RegistrationReceived():
            return registration.decide(event, facts, now, limits, token_types)
        case QueryReceived():
            return query.decide(event, facts, limits)
        case RequestReceived():
            return request.decide(event, facts, now, limits)
    assert_never(event)


def apply(facts: Facts, decision: Decision) -> None:
    """Bring the facts up to date with a decision, as loading them again after its commit would."""
    for write in decision.writes:
        match write:
            case SaveRegistration(device, stored):
                facts.devices[device] = stored
                facts.damaged.discard(device)
                is_live = stored.registration is not None
                facts.installations.setdefault(device.key_hash, {})[device.installation_id] = is_live
            case SaveResponse(request_id, response):
                facts.responses[request_id] = response
            case MarkNotified(key):
                facts.notified.add(key)
            case _:  # the outbox is no fact of a later event
                pass
    facts.buckets.update(decision.buckets)
