"""Learning how to ring somebody, and knowing when that is out of date (reference/status-go.md 7.5 and 10.21)."""

from collections.abc import Iterable
from dataclasses import replace

from hushbell.core.client import query
from hushbell.core.client.decision import Work
from hushbell.core.client.events import Follow, Learn, Learnt, Post, Unfollow
from hushbell.core.client.facts import Asking, ClientFacts, Ephemeral, Knowledge, Purpose
from hushbell.core.client.query import Info
from hushbell.core.envelope import OpenedEnvelope
from hushbell.crypto import hashes, topics
from hushbell.errors import WireError
from hushbell.types import MILLIS_PER_DAY, InstallationId, Millis, PublicKey

STALE = MILLIS_PER_DAY  # milliseconds after the last answer; a query that nobody answered is no answer
ANSWER_WAIT = 3_000  # milliseconds until a query is asked again; doubled each time
TRIALS = 4
PAUSE = 60_000  # milliseconds after asking in vain in which one query is enough
KEY_LIFE = 600_000  # milliseconds that an answer may be late
MOST_KNOWN = 10_000  # people; beyond that, those learnt longest ago are forgotten


def of(facts: ClientFacts, target: PublicKey) -> Knowledge:
    """Return what we know of somebody."""
    return facts.knowledge.get(target) or Knowledge(target=target)


def stale(known: Knowledge, now: Millis) -> bool:
    """Say whether it is time to ask again."""
    return not known.infos or known.heard_at is None or now - known.heard_at > STALE


def follow(work: Work, wish: Follow) -> None:
    """Listen to somebody's contact code."""
    work.save(replace(of(work.facts, wish.target), followed=True))


def unfollow(work: Work, wish: Unfollow) -> None:
    """No longer listen to it."""
    work.save(replace(of(work.facts, wish.target), followed=False))


def learn(work: Work, wish: Learn) -> None:
    """Ask, unless we know."""
    known = of(work.facts, wish.target)
    if stale(known, work.now):
        ask(work, wish.target)
    else:
        work.tell(Learnt(wish.target, _devices(known.infos)))


def ask(work: Work, target: PublicKey) -> None:
    """Ask everybody how to ring somebody, unless a query is on its way."""
    known = of(work.facts, target)
    if known.asking is None:
        _make_room(work)
        lately = known.asked_in_vain is not None and work.now - known.asked_in_vain < PAUSE
        _query(work, known, trials=TRIALS if lately else 1)


def answered(work: Work, opened: OpenedEnvelope, ephemeral: Ephemeral) -> PublicKey | None:
    """Take over what an answer to a query says; return whom it tells about, None if it cannot be believed."""
    target, message_id = ephemeral.target, ephemeral.message_id
    if target is None or message_id is None:
        return None
    try:
        infos = query.answer(opened, {message_id: target}, work.identity.private)
    except WireError:
        return None
    return _learn(work, target, infos)


def advertised(work: Work, opened: OpenedEnvelope, target: PublicKey) -> PublicKey | None:
    """Take over what somebody's own contact code says; return whom it tells about."""
    try:
        infos = query.advertised(opened, target, work.identity.private)
    except WireError:
        return None
    return _learn(work, target, infos)


def distrust(work: Work, info: Info) -> None:
    """Forget what a server refused to ring with."""
    known = of(work.facts, info.target)
    work.save(replace(known, infos=tuple(one for one in known.infos if one != info)))


def advance(work: Work) -> list[PublicKey]:
    """Ask again whom nobody answered for; return those whom nobody knows."""
    vain = []
    for target in tuple(work.facts.asking):
        known = work.facts.knowledge[target]
        asking = known.asking
        if asking is None or _again_at(asking) > work.now:
            continue
        if asking.trials < TRIALS:
            _query(work, known, asking.trials + 1)
            continue
        work.save(replace(known, asking=None, asked_in_vain=work.now))
        work.tell(Learnt(target, _devices(known.infos)))
        vain.append(target)
    return vain


def due(facts: ClientFacts) -> Millis | None:
    """Return when the next query is to be repeated."""
    asked = (facts.knowledge[target].asking for target in facts.asking)
    return min((_again_at(asking) for asking in asked if asking is not None), default=None)


def _again_at(asking: Asking) -> Millis:
    return Millis(asking.since + (ANSWER_WAIT << (asking.trials - 1)))


def _query(work: Work, known: Knowledge, trials: int) -> None:
    key = work.fresh_key()
    asked = query.query(known.target, key)
    work.save(
        Ephemeral(
            key=key,
            purpose=Purpose.QUERY,
            until=Millis(work.now + KEY_LIFE),
            target=known.target,
            message_id=asked.message_id,
        )
    )
    work.save(replace(known, asking=Asking(message_id=asked.message_id, since=work.now, trials=trials)))
    name = topics.query_topic_name(hashes.hash_public_key(known.target))
    work.do(Post(application=asked.application, topic_name=name, signer=key))


def _learn(work: Work, target: PublicKey, infos: Iterable[Info]) -> PublicKey | None:
    heard = {(info.installation_id, info.server): info for info in infos}
    if not heard:
        return None  # another server may know more
    known = of(work.facts, target)
    before = {(info.installation_id, info.server): info for info in known.infos}
    for key, info in heard.items():
        if key not in before or before[key].version <= info.version:
            before.pop(key, None)
            before[key] = info  # at the end: the latest heard of
    merged = query.newest(before.values())
    work.save(replace(known, infos=merged, heard_at=work.now, asking=None, asked_in_vain=None))
    work.tell(Learnt(target, _devices(merged)))
    return target


def _devices(infos: Iterable[Info]) -> tuple[InstallationId, ...]:
    return tuple(dict.fromkeys(info.installation_id for info in infos))


def _make_room(work: Work) -> None:
    while len(work.facts.knowledge) >= MOST_KNOWN:
        idle = next((one for one in work.facts.knowledge.values() if one.asking is None and not one.followed), None)
        if idle is None:
            return
        work.forget(idle)
