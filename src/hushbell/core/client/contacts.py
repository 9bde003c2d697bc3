"""The infos about other people: when to query, what to keep, when it is stale (reference/status-go.md 7.5, 10.21)."""

from collections.abc import Iterable
from dataclasses import replace

from hushbell.core.client import query
from hushbell.core.client.decision import DecisionBuilder
from hushbell.core.client.events import DevicesFound, Follow, Learn, SendToTopic, Unfollow
from hushbell.core.client.facts import ClientFacts, Contact, EphemeralKey, PendingQuery, Purpose
from hushbell.core.client.query import Info
from hushbell.core.envelope import OpenedEnvelope
from hushbell.crypto import hashes, topics
from hushbell.errors import WireError
from hushbell.types import MILLIS_PER_DAY, InstallationId, Millis, PublicKey

MAX_AGE = MILLIS_PER_DAY  # after the last response with an info; a query without a response does not count
QUERY_TIMEOUT = 3_000  # milliseconds until a query is repeated; doubled each time
MAX_TRIALS = 4
UNANSWERED_PAUSE = 60_000  # milliseconds after an unanswered query in which a further one is sent once only
KEY_LIFE = 600_000  # milliseconds that a response may be late
MAX_CONTACTS = 10_000  # beyond that, those updated longest ago are forgotten


def contact_of(facts: ClientFacts, target: PublicKey) -> Contact:
    """Return what is known of a person."""
    return facts.contacts.get(target) or Contact(target=target)


def is_stale(contact: Contact, now: Millis) -> bool:
    """Say whether a query is due."""
    return not contact.infos or contact.updated_at is None or now - contact.updated_at > MAX_AGE


def follow(decision: DecisionBuilder, wish: Follow) -> None:
    """Listen to a person's contact code."""
    decision.save(replace(contact_of(decision.facts, wish.target), followed=True))


def unfollow(decision: DecisionBuilder, wish: Unfollow) -> None:
    """Stop listening to a person's contact code."""
    decision.save(replace(contact_of(decision.facts, wish.target), followed=False))


def learn(decision: DecisionBuilder, wish: Learn) -> None:
    """Find a person's devices: from what is known, or by a query."""
    contact = contact_of(decision.facts, wish.target)
    if is_stale(contact, decision.now):
        start_query(decision, wish.target)
    else:
        decision.add_event(DevicesFound(wish.target, _devices(contact.infos)))


def start_query(decision: DecisionBuilder, target: PublicKey) -> None:
    """Query all servers for a person's devices, unless a query is under way."""
    contact = contact_of(decision.facts, target)
    if contact.pending_query is None:
        _make_room(decision)
        unanswered = contact.unanswered_at
        is_recent = unanswered is not None and decision.now - unanswered < UNANSWERED_PAUSE
        _send_query(decision, contact, trials=MAX_TRIALS if is_recent else 1)


def on_query_response(decision: DecisionBuilder, opened: OpenedEnvelope, ephemeral: EphemeralKey) -> PublicKey | None:
    """Merge the infos of a response to a query; return whose they are, None if the response is not valid."""
    target, message_id = ephemeral.target, ephemeral.message_id
    if target is None or message_id is None:
        return None
    try:
        infos = query.read_response(opened, {message_id: target}, decision.identity.private)
    except WireError:
        return None
    return _merge(decision, target, infos)


def on_contact_code(decision: DecisionBuilder, opened: OpenedEnvelope, target: PublicKey) -> PublicKey | None:
    """Merge the infos of a person's contact code; return whose they are, None if it is not valid."""
    try:
        infos = query.read_contact_code(opened, target, decision.identity.private)
    except WireError:
        return None
    return _merge(decision, target, infos)


def drop_info(decision: DecisionBuilder, info: Info) -> None:
    """Forget an info whose access token a server refused."""
    contact = contact_of(decision.facts, info.target)
    decision.save(replace(contact, infos=tuple(other for other in contact.infos if other != info)))


def advance(decision: DecisionBuilder) -> list[PublicKey]:
    """Repeat the queries that are due; return the people whose last trial had no response."""
    unanswered = []
    for target in tuple(decision.facts.pending_queries):
        contact = decision.facts.contacts[target]
        pending = contact.pending_query
        if pending is None or _repeat_at(pending) > decision.now:
            continue
        if pending.trials < MAX_TRIALS:
            _send_query(decision, contact, pending.trials + 1)
            continue
        decision.save(replace(contact, pending_query=None, unanswered_at=decision.now))
        decision.add_event(DevicesFound(target, _devices(contact.infos)))
        unanswered.append(target)
    return unanswered


def due(facts: ClientFacts) -> Millis | None:
    """Return when the next query is repeated."""
    pending = (facts.contacts[target].pending_query for target in facts.pending_queries)
    return min((_repeat_at(query) for query in pending if query is not None), default=None)


def _repeat_at(pending: PendingQuery) -> Millis:
    return Millis(pending.since + (QUERY_TIMEOUT << (pending.trials - 1)))


def _send_query(decision: DecisionBuilder, contact: Contact, trials: int) -> None:
    key = decision.draw_key()
    message = query.build_query(contact.target, key)
    decision.save(
        EphemeralKey(
            key=key,
            purpose=Purpose.QUERY,
            until=Millis(decision.now + KEY_LIFE),
            target=contact.target,
            message_id=message.message_id,
        )
    )
    pending = PendingQuery(message_id=message.message_id, since=decision.now, trials=trials)
    decision.save(replace(contact, pending_query=pending))
    name = topics.query_topic_name(hashes.hash_public_key(contact.target))
    decision.add_effect(SendToTopic(application=message.application, topic_name=name, signer=key))


def _merge(decision: DecisionBuilder, target: PublicKey, infos: Iterable[Info]) -> PublicKey | None:
    received = {(info.installation_id, info.server): info for info in infos}
    if not received:
        return None  # another server may know more
    contact = contact_of(decision.facts, target)
    merged = {(info.installation_id, info.server): info for info in contact.infos}
    for key, info in received.items():
        if key not in merged or merged[key].version <= info.version:
            merged.pop(key, None)
            merged[key] = info  # at the end: the order is that of the latest update
    latest = query.newest(merged.values())
    decision.save(replace(contact, infos=latest, updated_at=decision.now, pending_query=None, unanswered_at=None))
    decision.add_event(DevicesFound(target, _devices(latest)))
    return target


def _devices(infos: Iterable[Info]) -> tuple[InstallationId, ...]:
    return tuple(dict.fromkeys(info.installation_id for info in infos))


def _make_room(decision: DecisionBuilder) -> None:
    contacts = decision.facts.contacts
    while len(contacts) >= MAX_CONTACTS:
        idle = next((one for one in contacts.values() if one.pending_query is None and not one.followed), None)
        if idle is None:
            return
        decision.forget(idle)
