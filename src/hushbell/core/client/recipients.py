"""
Ringing: which devices, through which servers, and what to do when one refuses or stays silent.

Spec 16, "Sending" and "Handling responses"; reference/status-go.md 7.4, 7.6 and 10.18 to 10.20.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from hushbell import wire
from hushbell.core.client import contacts, request
from hushbell.core.client.decision import Work
from hushbell.core.client.events import Finished, Notified, Notify, Result, Send, Target
from hushbell.core.client.facts import ClientFacts, DeviceRing, Ephemeral, Knowledge, Purpose, Ring
from hushbell.core.client.lifecycles import ENDED, RINGING, Heard, Rung
from hushbell.core.client.query import Info
from hushbell.core.envelope import OpenedEnvelope
from hushbell.crypto import hashes, topics
from hushbell.errors import WireError
from hushbell.types import MILLIS_PER_DAY, InstallationId, KeyHash, MessageId, Millis, PublicKey
from hushbell.wire import ReportError

SILENCE = int(request.ANSWER_WAIT * 1000)  # milliseconds until another server is asked
MOST_RESENDS = 4  # queries made because what we knew did not ring, for one device and one message
MOST_ITEMS = 512  # of one request: an answer of status-go's still fits, and so does every preview
MOST_BYTES = 512 * 1024  # of one request's previews
REMEMBERED = MILLIS_PER_DAY  # milliseconds that a message which is over is known, so that it rings nobody again
MOST_RINGS = 100_000  # messages remembered, times the people they rang
MOST_KEYS = 4_096  # ephemeral keys that are listened to
_RESULTS = {Rung.ACCEPTED: Result.ACCEPTED, Rung.FAILED: Result.FAILED, Rung.EXPIRED: Result.EXPIRED}
_ERRORS: dict[int, Heard] = {
    ReportError.WRONG_TOKEN: Heard.WRONG_TOKEN,
    ReportError.NOT_REGISTERED: Heard.NOT_REGISTERED,
}


def notify(work: Work, wish: Notify) -> None:
    """Begin to ring everybody a message was sent to. Ourselves, and whom it rang before, are left out."""
    sending = work.profile.sending
    for target in wish.targets:
        if (wish.message_id, target.key) in work.facts.rings:
            continue
        ring = _ring(work, wish, target)
        unwanted = sending.off or wish.chat_id in sending.silent_chats or target.key == work.identity.public
        if unwanted:
            work.save(replace(ring, ended=True))
            work.tell(Finished(ring.message_id, ring.target, 0))
        else:
            work.save(ring)
            pursue(work, ring)


def pursue(work: Work, ring: Ring) -> None:
    """Find the devices of a ring that can be asked for now, and ask about the others."""
    known = contacts.of(work.facts, ring.target)
    wanted = _wanted(ring, known)
    devices = work.facts.devices_of(ring)
    for installation_id in wanted:
        device = devices.get(installation_id) or DeviceRing(
            message_id=ring.message_id, target=ring.target, installation_id=installation_id
        )
        if device.stage in (Rung.UNKNOWN, Rung.STALE) and _untried(known, device):
            _learnt(work, device, known)
    unheard = known.heard_at is None or known.heard_at < ring.since
    if contacts.stale(known, work.now) or (unheard and len(wanted) < _most(ring)):
        _ask(work, ring, known)


def answered(work: Work, opened: OpenedEnvelope, ephemeral: Ephemeral) -> None:
    """Take over what a server reports of a request."""
    if ephemeral.server is None:
        return
    asked = request.Asked(ephemeral.server, b"", MessageId(b""), ephemeral.about, len(ephemeral.items))
    try:
        reports = request.reports(opened, asked)
    except WireError:
        return
    work.save(replace(ephemeral, answered=True))
    items = {(hashes.hash_public_key(target), device): (target, device) for target, device in ephemeral.items}
    for report in reports:
        item = items.get((KeyHash(report.public_key), InstallationId(report.installation_id)))
        if item is not None:
            _reported(work, ephemeral, *item, report)


def learnt(work: Work, target: PublicKey) -> None:
    """Go on with everybody who waited for knowledge of this person, or for the certainty that there is none."""
    for name in tuple(work.facts.open_rings):
        if name[1] == target:
            pursue(work, work.facts.rings[name])
            _settle(work, work.facts.rings[name])


def advance(work: Work) -> None:
    """End what is over its time, ask other servers where one is silent, and send what can be sent."""
    for name in tuple(work.facts.open_rings):
        ring = work.facts.rings[name]
        over = ring.deadline <= work.now
        for device in tuple(work.facts.devices_of(ring).values()):
            if over:
                _hear(work, device, Heard.DEADLINE)
            elif device.stage is Rung.ASKED and device.since + SILENCE <= work.now:
                _silent(work, device)
        _settle(work, ring, over=over)
    _send_ready(work)
    _send_again(work)


def prune(work: Work) -> None:
    """Forget messages that have been over for a day, keys that nobody answers to any more, and what is too much."""
    facts = work.facts
    # The oldest stand first, so that one look is enough while nothing is over.
    while (ring := next(iter(facts.rings.values()), None)) is not None:
        if ring.since + REMEMBERED > work.now and len(facts.rings) <= MOST_RINGS:
            break
        for device in tuple(facts.devices_of(ring).values()):
            work.forget(device)
        work.forget(ring)
    while (ephemeral := next(iter(facts.ephemerals.values()), None)) is not None:
        if ephemeral.until > work.now and len(facts.ephemerals) <= MOST_KEYS:
            break
        work.forget(ephemeral)


def due(facts: ClientFacts) -> Millis | None:
    """Return when something of this changes by itself."""
    times: list[int] = []
    for name in facts.open_rings:
        ring = facts.rings[name]
        times.append(ring.deadline)
        times += [one.since + SILENCE for one in facts.devices_of(ring).values() if _may_move(facts, one)]
    times += [_again_at(one) for one in facts.ephemerals.values() if _waits(facts, one)]
    return Millis(min(times)) if times else None


def _ring(work: Work, wish: Notify, target: Target) -> Ring:
    return Ring(
        message_id=wish.message_id,
        target=target.key,
        chat_id=wish.chat_id,
        type=wish.type,
        message=target.message,
        devices=target.devices,
        most=wish.most,
        since=work.now,
        deadline=Millis(work.now + int(wish.patience * 1000)),
    )


def _most(ring: Ring) -> int:
    return len(ring.devices) if ring.most is None else min(ring.most, len(ring.devices))


def _wanted(ring: Ring, known: Knowledge) -> Sequence[InstallationId]:
    """Return the devices that we know how to ring and that the message is for, the latest active first."""
    reachable = dict.fromkeys(info.installation_id for info in reversed(known.infos))
    order = [device for device in ring.devices if device in reachable] if ring.devices else list(reachable)
    return order if ring.most is None else order[: ring.most]


def _untried(known: Knowledge, device: DeviceRing) -> list[Info]:
    """Return ways to ring a device that were not tried: another server, or a newer token."""
    return [
        info
        for info in known.infos
        if info.installation_id == device.installation_id
        and (info.version > device.version or info.server not in device.tried)
    ]


def _learnt(work: Work, device: DeviceRing, known: Knowledge) -> None:
    newer = any(info.version > device.version for info in _untried(known, device))
    _hear(work, replace(device, tried=() if newer else device.tried), Heard.LEARNT)


def _ask(work: Work, ring: Ring, known: Knowledge) -> None:
    """Ask, once for each message: whom nobody knew then is not asked about again for it."""
    asked = known.asked_in_vain is not None and known.asked_in_vain >= ring.since
    if not asked and ring.deadline > work.now:
        contacts.ask(work, ring.target)


def _hear(work: Work, device: DeviceRing, signal: Heard) -> DeviceRing:
    moved = replace(device, stage=RINGING[device.stage][signal])
    work.save(moved)
    if moved.stage in ENDED and moved.stage is not device.stage:
        work.tell(Notified(moved.message_id, moved.target, moved.installation_id, _RESULTS[moved.stage]))
    return moved


def _reported(
    work: Work, ephemeral: Ephemeral, target: PublicKey, installation_id: InstallationId, report: wire.Report
) -> None:
    ring = work.facts.rings.get((ephemeral.about, target))
    device = work.facts.device_rings.get((ephemeral.about, target), {}).get(installation_id)
    if ring is None or device is None:
        return
    if report.success:
        _hear(work, device, Heard.SUCCESS)
    elif device.stage is Rung.ASKED and device.tried[-1:] == (ephemeral.server,):
        # Only what we wait for: a refusal by a server that was silent before changes nothing.
        _refused(work, device, ephemeral, _ERRORS.get(report.error, Heard.TROUBLED))
    _settle(work, ring)


def _refused(work: Work, device: DeviceRing, ephemeral: Ephemeral, why: Heard) -> None:
    if why is not Heard.TROUBLED:
        known = contacts.of(work.facts, device.target)
        for info in known.infos:
            if (info.installation_id, info.server) == (device.installation_id, ephemeral.server):
                contacts.distrust(work, info)
    device = _hear(work, device, why)
    known = contacts.of(work.facts, device.target)
    if _untried(known, device):
        _learnt(work, device, known)
    elif device.resends < MOST_RESENDS:
        device = replace(device, resends=device.resends + 1)
        work.save(replace(device, stage=Rung.STALE))
        contacts.ask(work, device.target)
    else:
        _hear(work, device, Heard.GIVEN_UP)


def _silent(work: Work, device: DeviceRing) -> None:
    """Another server may ring instead; if there is none, the same bytes are sent again (``_send_again``)."""
    if _untried(contacts.of(work.facts, device.target), device):
        _hear(work, device, Heard.SILENCE)


def _settle(work: Work, ring: Ring, *, over: bool = False) -> None:
    """End a ring of which nothing more can come."""
    if ring.ended:
        return
    devices = work.facts.devices_of(ring).values()
    known = contacts.of(work.facts, ring.target)
    if not over:
        if known.asking is not None:
            return
        for device in tuple(devices):
            if device.stage in (Rung.UNKNOWN, Rung.STALE):
                _hear(work, device, Heard.GIVEN_UP)
        if any(device.stage not in ENDED for device in devices):
            return
    work.save(replace(ring, ended=True))
    rung = sum(device.stage is Rung.ACCEPTED for device in work.facts.devices_of(ring).values())
    work.tell(Finished(ring.message_id, ring.target, rung))


def _send_ready(work: Work) -> None:
    """Send one request to each server that can ring devices of a message, with all of them in it."""
    ready: dict[tuple[bytes, str, int], list[tuple[Ring, DeviceRing]]] = {}
    for name in work.facts.open_rings:
        ring = work.facts.rings[name]
        waiting = [one for one in work.facts.devices_of(ring).values() if one.stage is Rung.READY]
        if waiting:
            ready.setdefault((ring.message_id, ring.chat_id, ring.type), []).extend((ring, one) for one in waiting)
    for group in ready.values():
        servers = _by_server(work, group)
        for server, items in servers.items():
            for part in _parts(items):
                _send(work, server, part)


Item = tuple[Ring, DeviceRing, Info]


def _by_server(work: Work, group: Iterable[tuple[Ring, DeviceRing]]) -> dict[PublicKey, list[Item]]:
    """
    Choose a server for each device: one order, drawn for the message, for everybody.

    So members of a group who share a server share a request, and no server is preferred by all senders.
    """
    ways = [(ring, device, _untried(contacts.of(work.facts, ring.target), device)) for ring, device in group]
    lots = {info.server: work.random(8) for _, _, infos in ways for info in infos}
    servers: dict[PublicKey, list[Item]] = {}
    for ring, device, infos in ways:
        if infos:
            info = min(infos, key=lambda one: lots[one.server])
            servers.setdefault(info.server, []).append((ring, device, info))
        else:  # what was learnt was forgotten again meanwhile
            _hear(work, replace(device, stage=Rung.STALE), Heard.WRONG_TOKEN)
            contacts.ask(work, ring.target)
    return servers


def _parts(items: Sequence[Item]) -> Iterable[Sequence[Item]]:
    part: list[Item] = []
    size = 0
    for item in items:
        message = len(item[0].message)
        if part and (len(part) >= MOST_ITEMS or size + message > MOST_BYTES):
            yield part
            part, size = [], 0
        part.append(item)
        size += message
    yield part


def _send(work: Work, server: PublicKey, items: Sequence[Item]) -> None:
    ring = items[0][0]
    key = work.fresh_key()
    ringing = request.Ringing(ring.message_id, ring.chat_id, ring.type, work.identity.public)
    messages = {one.target: one.message for one, _, _ in items if one.message}
    (asked,) = request.requests([info for _, _, info in items], ringing, key, messages)
    ephemeral = Ephemeral(
        key=key,
        purpose=Purpose.REQUEST,
        until=Millis(max(one.deadline for one, _, _ in items) + contacts.KEY_LIFE),
        server=server,
        application=asked.application,
        about=ring.message_id,
        items=tuple((one.target, device.installation_id) for one, device, _ in items),
    )
    for _, device, info in items:
        tried = (*device.tried, server)
        moved = replace(
            device, tried=tried, attempts=device.attempts + 1, since=work.now, version=max(info.version, device.version)
        )
        _hear(work, moved, Heard.SENT)
    _publish(work, ephemeral)


def _send_again(work: Work) -> None:
    for ephemeral in tuple(work.facts.ephemerals.values()):
        if _waits(work.facts, ephemeral) and _again_at(ephemeral) <= work.now:
            _publish(work, ephemeral)


def _publish(work: Work, ephemeral: Ephemeral) -> None:
    assert ephemeral.server is not None
    work.save(replace(ephemeral, sent_at=work.now, trials=ephemeral.trials + 1))
    work.do(
        Send(
            application=ephemeral.application,
            recipient=ephemeral.server,
            signer=ephemeral.key,
            content_topic=topics.partitioned_topic(ephemeral.server),
        )
    )


def _again_at(ephemeral: Ephemeral) -> int:
    return ephemeral.sent_at + (SILENCE << min(ephemeral.trials - 1, 16))


def _waits(facts: ClientFacts, ephemeral: Ephemeral) -> bool:
    """Whether a request is worth repeating: its server was asked last, and nobody has answered for the device."""
    if ephemeral.purpose is not Purpose.REQUEST or ephemeral.answered:
        return False
    for target, installation_id in ephemeral.items:
        device = facts.device_rings.get((ephemeral.about, target), {}).get(installation_id)
        if device is not None and device.stage is Rung.ASKED and device.tried[-1:] == (ephemeral.server,):
            return True
    return False


def _may_move(facts: ClientFacts, device: DeviceRing) -> bool:
    return device.stage is Rung.ASKED and bool(_untried(contacts.of(facts, device.target), device))
