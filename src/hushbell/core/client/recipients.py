"""
Messages for people: which devices, through which servers, and what follows a refusal or a missing response.

Spec 16, "Sending" and "Handling responses"; reference/status-go.md 7.4, 7.6 and 10.18 to 10.20.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from hushbell import wire
from hushbell.core.client import contacts, request
from hushbell.core.client.decision import DecisionBuilder
from hushbell.core.client.events import Finished, Notified, Notify, Result, SendToKey, Target
from hushbell.core.client.facts import ClientFacts, Contact, EphemeralKey, Purpose, Recipient, RecipientDevice
from hushbell.core.client.lifecycles import DEVICE_TRANSITIONS, FINAL_DEVICE_STATES, DeviceSignal, DeviceState
from hushbell.core.client.query import Info
from hushbell.core.envelope import OpenedEnvelope
from hushbell.crypto import hashes, topics
from hushbell.errors import WireError
from hushbell.types import MILLIS_PER_DAY, InstallationId, KeyHash, MessageId, Millis, PublicKey
from hushbell.wire import ReportError

RESPONSE_TIMEOUT = int(request.RESPONSE_TIMEOUT * 1000)  # milliseconds until another server is sent a request
MAX_RESENDS = 4  # queries after refusals, for one device and one message
MAX_ITEMS = 512  # of one request: status-go's response still fits, and so does every preview
MAX_PREVIEW_BYTES = 512 * 1024  # of one request's previews
RECIPIENT_LIFE = MILLIS_PER_DAY  # for which a message that is over is kept, so that it notifies no device again
MAX_RECIPIENTS = 100_000  # messages times people
MAX_EPHEMERAL_KEYS = 4_096  # that are listened to
_RESULTS = {
    DeviceState.ACCEPTED: Result.ACCEPTED,
    DeviceState.FAILED: Result.FAILED,
    DeviceState.EXPIRED: Result.EXPIRED,
}
_ERRORS: dict[int, DeviceSignal] = {
    ReportError.WRONG_TOKEN: DeviceSignal.WRONG_TOKEN,
    ReportError.NOT_REGISTERED: DeviceSignal.NOT_REGISTERED,
}


def notify(decision: DecisionBuilder, wish: Notify) -> None:
    """Add the recipients of a message, except the account itself and those the message was for before."""
    sending = decision.profile.sending
    for target in wish.targets:
        if (wish.message_id, target.key) in decision.facts.recipients:
            continue
        recipient = _new_recipient(decision, wish, target)
        is_excluded = sending.off or wish.chat_id in sending.silent_chats or target.key == decision.identity.public
        if is_excluded:
            decision.save(replace(recipient, ended=True))
            decision.add_event(Finished(recipient.message_id, recipient.target, 0))
        else:
            decision.save(recipient)
            update_devices(decision, recipient)


def update_devices(decision: DecisionBuilder, recipient: Recipient) -> None:
    """Make the devices ready that an info is known of, and query for others if the infos may be incomplete."""
    contact = contacts.contact_of(decision.facts, recipient.target)
    wanted = _selected_devices(recipient, contact)
    devices = decision.facts.devices_of(recipient)
    for installation_id in wanted:
        device = devices.get(installation_id) or RecipientDevice(
            message_id=recipient.message_id, target=recipient.target, installation_id=installation_id
        )
        if device.state in (DeviceState.UNKNOWN, DeviceState.STALE) and _untried_infos(contact, device):
            _make_ready(decision, device, contact)
    is_outdated = contact.updated_at is None or contact.updated_at < recipient.since
    if contacts.is_stale(contact, decision.now) or (is_outdated and len(wanted) < _max_devices(recipient)):
        _query_if_needed(decision, recipient, contact)


def on_response(decision: DecisionBuilder, opened: OpenedEnvelope, ephemeral: EphemeralKey) -> None:
    """Apply the reports of a server's response to a request; anything else is ignored."""
    if ephemeral.server is None:
        return
    sent = request.RequestMessage(
        ephemeral.server, b"", MessageId(b""), ephemeral.chat_message_id, len(ephemeral.items)
    )
    try:
        reports = request.read_reports(opened, sent)
    except WireError:
        return
    decision.save(replace(ephemeral, answered=True))
    items = {(hashes.hash_public_key(target), device): (target, device) for target, device in ephemeral.items}
    for report in reports:
        item = items.get((KeyHash(report.public_key), InstallationId(report.installation_id)))
        if item is not None:
            _on_report(decision, ephemeral, *item, report)


def on_contact(decision: DecisionBuilder, target: PublicKey) -> None:
    """Continue the messages for a person whose infos have changed, or whose query stays unanswered."""
    for name in tuple(decision.facts.open_recipients):
        if name[1] == target:
            update_devices(decision, decision.facts.recipients[name])
            _finish_if_over(decision, decision.facts.recipients[name])


def advance(decision: DecisionBuilder) -> None:
    """End what is past its deadline, change servers where one does not respond, and send what is ready."""
    for name in tuple(decision.facts.open_recipients):
        recipient = decision.facts.recipients[name]
        is_over = recipient.deadline <= decision.now
        for device in tuple(decision.facts.devices_of(recipient).values()):
            if is_over:
                _signal(decision, device, DeviceSignal.DEADLINE)
            elif device.state is DeviceState.REQUESTED and device.since + RESPONSE_TIMEOUT <= decision.now:
                _on_silence(decision, device)
        _finish_if_over(decision, recipient, is_over=is_over)
    _send_ready(decision)
    _repeat_requests(decision)


def prune(decision: DecisionBuilder) -> None:
    """Forget messages after a day, ephemeral keys after their time, and the oldest of both beyond their bounds."""
    facts = decision.facts
    # In order of arrival, so the first decides whether there is anything to forget.
    while (recipient := next(iter(facts.recipients.values()), None)) is not None:
        if recipient.since + RECIPIENT_LIFE > decision.now and len(facts.recipients) <= MAX_RECIPIENTS:
            break
        for device in tuple(facts.devices_of(recipient).values()):
            decision.forget(device)
        decision.forget(recipient)
    while (ephemeral := next(iter(facts.ephemeral_keys.values()), None)) is not None:
        if ephemeral.until > decision.now and len(facts.ephemeral_keys) <= MAX_EPHEMERAL_KEYS:
            break
        decision.forget(ephemeral)


def due(facts: ClientFacts) -> Millis | None:
    """Return when the next deadline, timeout or repetition is."""
    times: list[int] = []
    for name in facts.open_recipients:
        recipient = facts.recipients[name]
        times.append(recipient.deadline)
        times += [
            one.since + RESPONSE_TIMEOUT for one in facts.devices_of(recipient).values() if _may_change(facts, one)
        ]
    times += [_repeat_at(one) for one in facts.ephemeral_keys.values() if _awaits_response(facts, one)]
    return Millis(min(times)) if times else None


def _new_recipient(decision: DecisionBuilder, wish: Notify, target: Target) -> Recipient:
    return Recipient(
        message_id=wish.message_id,
        target=target.key,
        chat_id=wish.chat_id,
        type=wish.type,
        message=target.message,
        devices=target.devices,
        most=wish.most,
        since=decision.now,
        deadline=Millis(decision.now + int(wish.patience * 1000)),
    )


def _max_devices(recipient: Recipient) -> int:
    return len(recipient.devices) if recipient.most is None else min(recipient.most, len(recipient.devices))


def _selected_devices(recipient: Recipient, contact: Contact) -> Sequence[InstallationId]:
    """Return the devices that have an info and that the message is for, the latest active first."""
    reachable = dict.fromkeys(info.installation_id for info in reversed(contact.infos))
    order = [device for device in recipient.devices if device in reachable] if recipient.devices else list(reachable)
    return order if recipient.most is None else order[: recipient.most]


def _untried_infos(contact: Contact, device: RecipientDevice) -> list[Info]:
    """Return the infos of a device that were not tried: of another server, or newer."""
    return [
        info
        for info in contact.infos
        if info.installation_id == device.installation_id
        and (info.version > device.version or info.server not in device.tried)
    ]


def _make_ready(decision: DecisionBuilder, device: RecipientDevice, contact: Contact) -> None:
    is_newer = any(info.version > device.version for info in _untried_infos(contact, device))
    _signal(decision, replace(device, tried=() if is_newer else device.tried), DeviceSignal.INFO_FOUND)


def _query_if_needed(decision: DecisionBuilder, recipient: Recipient, contact: Contact) -> None:
    """Query, unless a query for the same message stayed unanswered."""
    is_unanswered = contact.unanswered_at is not None and contact.unanswered_at >= recipient.since
    if not is_unanswered and recipient.deadline > decision.now:
        contacts.start_query(decision, recipient.target)


def _signal(decision: DecisionBuilder, device: RecipientDevice, signal: DeviceSignal) -> RecipientDevice:
    moved = replace(device, state=DEVICE_TRANSITIONS[device.state][signal])
    decision.save(moved)
    if moved.state in FINAL_DEVICE_STATES and moved.state is not device.state:
        decision.add_event(Notified(moved.message_id, moved.target, moved.installation_id, _RESULTS[moved.state]))
    return moved


def _on_report(
    decision: DecisionBuilder,
    ephemeral: EphemeralKey,
    target: PublicKey,
    installation_id: InstallationId,
    report: wire.Report,
) -> None:
    recipient = decision.facts.recipients.get((ephemeral.chat_message_id, target))
    device = decision.facts.recipient_devices.get((ephemeral.chat_message_id, target), {}).get(installation_id)
    if recipient is None or device is None:
        return
    if report.success:
        _signal(decision, device, DeviceSignal.SUCCESS)
    elif device.state is DeviceState.REQUESTED and device.tried[-1:] == (ephemeral.server,):
        # Only by the server asked last: the late refusal of an earlier one changes nothing.
        _on_refusal(decision, device, ephemeral, _ERRORS.get(report.error, DeviceSignal.SERVER_ERROR))
    _finish_if_over(decision, recipient)


def _on_refusal(
    decision: DecisionBuilder, device: RecipientDevice, ephemeral: EphemeralKey, signal: DeviceSignal
) -> None:
    if signal is not DeviceSignal.SERVER_ERROR:
        contact = contacts.contact_of(decision.facts, device.target)
        for info in contact.infos:
            if (info.installation_id, info.server) == (device.installation_id, ephemeral.server):
                contacts.drop_info(decision, info)
    device = _signal(decision, device, signal)
    contact = contacts.contact_of(decision.facts, device.target)
    if _untried_infos(contact, device):
        _make_ready(decision, device, contact)
    elif device.resends < MAX_RESENDS:
        device = replace(device, resends=device.resends + 1)
        decision.save(replace(device, state=DeviceState.STALE))
        contacts.start_query(decision, device.target)
    else:
        _signal(decision, device, DeviceSignal.GIVEN_UP)


def _on_silence(decision: DecisionBuilder, device: RecipientDevice) -> None:
    """Change to another server; if there is none, the same bytes are sent again (``_repeat_requests``)."""
    if _untried_infos(contacts.contact_of(decision.facts, device.target), device):
        _signal(decision, device, DeviceSignal.NO_RESPONSE)


def _finish_if_over(decision: DecisionBuilder, recipient: Recipient, *, is_over: bool = False) -> None:
    """End a message for a person when all its devices are final, or when it is past its deadline."""
    if recipient.ended:
        return
    devices = decision.facts.devices_of(recipient).values()
    contact = contacts.contact_of(decision.facts, recipient.target)
    if not is_over:
        if contact.pending_query is not None:
            return
        for device in tuple(devices):
            if device.state in (DeviceState.UNKNOWN, DeviceState.STALE):
                _signal(decision, device, DeviceSignal.GIVEN_UP)
        if any(device.state not in FINAL_DEVICE_STATES for device in devices):
            return
    decision.save(replace(recipient, ended=True))
    accepted = sum(device.state is DeviceState.ACCEPTED for device in decision.facts.devices_of(recipient).values())
    decision.add_event(Finished(recipient.message_id, recipient.target, accepted))


def _send_ready(decision: DecisionBuilder) -> None:
    """Send one request for each message and server, with all devices that are ready in it."""
    ready: dict[tuple[bytes, str, int], list[tuple[Recipient, RecipientDevice]]] = {}
    for name in decision.facts.open_recipients:
        recipient = decision.facts.recipients[name]
        waiting = [one for one in decision.facts.devices_of(recipient).values() if one.state is DeviceState.READY]
        if waiting:
            ready.setdefault((recipient.message_id, recipient.chat_id, recipient.type), []).extend(
                (recipient, one) for one in waiting
            )
    for group in ready.values():
        servers = _by_server(decision, group)
        for server, items in servers.items():
            for part in _parts(items):
                _send(decision, server, part)


Item = tuple[Recipient, RecipientDevice, Info]


def _by_server(
    decision: DecisionBuilder, group: Iterable[tuple[Recipient, RecipientDevice]]
) -> dict[PublicKey, list[Item]]:
    """
    Choose a server for each device, by an order of servers that is drawn at random for the message.

    Members of a group who share a server thus share a request, and no server is preferred by all senders.
    """
    choices = [
        (recipient, device, _untried_infos(contacts.contact_of(decision.facts, recipient.target), device))
        for recipient, device in group
    ]
    order = {info.server: decision.random(8) for _, _, infos in choices for info in infos}
    servers: dict[PublicKey, list[Item]] = {}
    for recipient, device, infos in choices:
        if infos:
            info = min(infos, key=lambda one: order[one.server])
            servers.setdefault(info.server, []).append((recipient, device, info))
        else:  # the info was dropped meanwhile
            _signal(decision, replace(device, state=DeviceState.STALE), DeviceSignal.WRONG_TOKEN)
            contacts.start_query(decision, recipient.target)
    return servers


def _parts(items: Sequence[Item]) -> Iterable[Sequence[Item]]:
    part: list[Item] = []
    size = 0
    for item in items:
        message = len(item[0].message)
        if part and (len(part) >= MAX_ITEMS or size + message > MAX_PREVIEW_BYTES):
            yield part
            part, size = [], 0
        part.append(item)
        size += message
    yield part


def _send(decision: DecisionBuilder, server: PublicKey, items: Sequence[Item]) -> None:
    recipient = items[0][0]
    key = decision.draw_key()
    content = request.NotificationContent(
        recipient.message_id, recipient.chat_id, recipient.type, decision.identity.public
    )
    messages = {one.target: one.message for one, _, _ in items if one.message}
    (message,) = request.build_requests([info for _, _, info in items], content, key, messages)
    ephemeral = EphemeralKey(
        key=key,
        purpose=Purpose.REQUEST,
        until=Millis(max(one.deadline for one, _, _ in items) + contacts.KEY_LIFE),
        server=server,
        application=message.application,
        chat_message_id=recipient.message_id,
        items=tuple((one.target, device.installation_id) for one, device, _ in items),
    )
    for _, device, info in items:
        tried = (*device.tried, server)
        moved = replace(
            device,
            tried=tried,
            attempts=device.attempts + 1,
            since=decision.now,
            version=max(info.version, device.version),
        )
        _signal(decision, moved, DeviceSignal.SENT)
    _publish(decision, ephemeral)


def _repeat_requests(decision: DecisionBuilder) -> None:
    for ephemeral in tuple(decision.facts.ephemeral_keys.values()):
        if _awaits_response(decision.facts, ephemeral) and _repeat_at(ephemeral) <= decision.now:
            _publish(decision, ephemeral)


def _publish(decision: DecisionBuilder, ephemeral: EphemeralKey) -> None:
    assert ephemeral.server is not None
    decision.save(replace(ephemeral, sent_at=decision.now, trials=ephemeral.trials + 1))
    decision.add_effect(
        SendToKey(
            application=ephemeral.application,
            recipient=ephemeral.server,
            signer=ephemeral.key,
            content_topic=topics.partitioned_topic(ephemeral.server),
        )
    )


def _repeat_at(ephemeral: EphemeralKey) -> int:
    return ephemeral.sent_at + (RESPONSE_TIMEOUT << min(ephemeral.trials - 1, 16))


def _awaits_response(facts: ClientFacts, ephemeral: EphemeralKey) -> bool:
    """Say whether a request is worth repeating: for one device its server was asked last and has not responded."""
    if ephemeral.purpose is not Purpose.REQUEST or ephemeral.answered:
        return False
    for target, installation_id in ephemeral.items:
        device = facts.recipient_devices.get((ephemeral.chat_message_id, target), {}).get(installation_id)
        if device is not None and device.state is DeviceState.REQUESTED and device.tried[-1:] == (ephemeral.server,):
            return True
    return False


def _may_change(facts: ClientFacts, device: RecipientDevice) -> bool:
    return device.state is DeviceState.REQUESTED and bool(
        _untried_infos(contacts.contact_of(facts, device.target), device)
    )
