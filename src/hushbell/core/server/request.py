"""
Requests to notify devices (spec 16, "Sending a push notification").

A sender learns whether a device is registered and whether the access token is right, and nothing else: filtered,
repeated, coalesced and delivered notifications have the same report.
"""

import hashlib
import hmac
from dataclasses import dataclass, field

from hushbell.config.limits import Limits
from hushbell.core.delivery.notification import Draft, Message
from hushbell.core.rate_limit import Bucket, spend
from hushbell.core.server.events import RequestReceived
from hushbell.core.server.facts import Decision, Enqueue, Facts, FactsNeeded, MarkNotified, Reply, SaveResponse, Write
from hushbell.core.server.filters import NotificationFilter, notification_filter, passes
from hushbell.core.server.payloads import OTHER_QUEUE, QUEUES
from hushbell.core.server.push_body import FORM, PushBody, encode_push_body
from hushbell.core.server.query import KEY_HASH
from hushbell.core.server.registration import is_uuid
from hushbell.types import DeviceKey, InstallationId, KeyHash, Millis, NotificationKey, NotificationType
from hushbell.wire.codec import encode
from hushbell.wire.messages import (
    ApplicationType,
    NotificationResponse,
    PushNotification,
    Registration,
    Report,
    ReportError,
)

KNOWN_TYPES = frozenset(NotificationType) - {NotificationType.UNKNOWN}


def facts_needed(event: RequestReceived, limits: Limits) -> FactsNeeded:
    """Name the facts of a request: earlier responses and notifications, and the devices that can be registered."""
    request = event.request
    if len(request.requests) > limits.request_items or not request.message_id:
        return FactsNeeded()
    devices = frozenset(_device(item) for item in request.requests if item.type in KNOWN_TYPES and _registrable(item))
    return FactsNeeded(
        devices=devices,
        requests=frozenset({event.request_message_id}),
        notification_keys=frozenset(notification_key(device, request.message_id) for device in devices),
    )


def decide(event: RequestReceived, facts: Facts, now: Millis, limits: Limits) -> Decision:
    """Report on every item in its order, and put into the outbox what is to be delivered."""
    if len(event.request.requests) > limits.request_items:
        return Decision(refused=("request_items",))
    if not event.request.message_id:
        return Decision()
    responses = facts.responses.get(event.request_message_id)
    if responses is not None:  # the response was lost, the pushes were not
        return Decision(replies=(_reply(event, responses),))
    items = _Items(event, facts, now, limits)
    for item in event.request.requests:
        items.report(item)
    response = encode(NotificationResponse(message_id=event.request.message_id, reports=tuple(items.reports)))
    return Decision(
        writes=(*items.writes, SaveResponse(event.request_message_id, response, now)),
        replies=(_reply(event, response),),
        buckets=tuple(items.buckets.items()),
        refused=tuple(items.refused),
    )


def notification_key(device: DeviceKey, message_id: bytes) -> NotificationKey:
    """Return the SHA-256 that names one message to one device, 32 bytes. Each part carries its length."""
    digest = hashlib.sha256(b"hushbell ring")
    for part in (device.key_hash, device.installation_id.encode("utf-8", "surrogatepass"), message_id):
        digest.update(len(part).to_bytes(8, "big") + part)
    return NotificationKey(digest.digest())


def collapse_id(device_token: str, message_id: bytes) -> str:
    """
    Return SHA-256(device token || message id), 64 hex digits.

    Two servers that push the same message agree on it, and no observer can link it across devices.
    """
    return hashlib.sha256(device_token.encode("utf-8", "surrogatepass") + message_id).hexdigest()


@dataclass(slots=True)
class _Items:
    """The items of one request, decided in order; a later one sees what an earlier one did."""

    event: RequestReceived
    facts: Facts
    now: Millis
    limits: Limits
    reports: list[Report] = field(default_factory=list)
    writes: list[Write] = field(default_factory=list)
    buckets: dict[DeviceKey, Bucket] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    notified: set[NotificationKey] = field(default_factory=set)
    filters: dict[DeviceKey, NotificationFilter] = field(default_factory=dict)

    def report(self, item: PushNotification) -> None:
        """Report on one item, and write a push if it is to be delivered."""
        if item.type not in KNOWN_TYPES:  # met with silence, not with a report
            return
        device = _device(item)
        if device in self.facts.omitted or device in self.facts.damaged:
            self.refused.append("damaged" if device in self.facts.damaged else "facts")
            self._add(item, ReportError.INTERNAL_ERROR)
            return
        registration = self._registration(device)
        if registration is None:
            self._add(item, ReportError.NOT_REGISTERED)
            return
        if not _same(item.access_token, registration.access_token):
            self._add(item, ReportError.WRONG_TOKEN)
            return
        self._add(item, ReportError.NONE)
        if self._may_notify(device, registration, item):
            self._enqueue(item, device, registration)

    def _registration(self, device: DeviceKey) -> Registration | None:
        stored = self.facts.devices.get(device)
        if stored is None or stored.token_dead_since is not None:
            return None
        return stored.registration

    def _may_notify(self, device: DeviceKey, registration: Registration, item: PushNotification) -> bool:
        """Say whether an accepted item is delivered. The report must not depend on it."""
        wanted = self.filters.get(device)
        if wanted is None:
            wanted = self.filters[device] = notification_filter(registration)
        if not passes(wanted, item):
            return False
        key = notification_key(device, self.event.request.message_id)
        if key in self.facts.notified or key in self.notified:
            return False
        known = self.buckets.get(device, self.facts.buckets.get(device))
        per_minute, burst = self.limits.rings_per_minute, self.limits.ring_burst
        self.buckets[device], in_budget = spend(known, self.now, per_minute=per_minute, burst=burst)
        if not in_budget:
            self.refused.append("rings_coalesced")
            return False
        self.notified.add(key)
        self.writes.append(MarkNotified(key, self.now))
        return True

    def _enqueue(self, item: PushNotification, device: DeviceKey, registration: Registration) -> None:
        push = PushBody(
            device=device,
            token_type=registration.token_type,
            apn_topic=registration.apn_topic,
            type=NotificationType(item.type),
            chat_id=item.chat_id,
            message=item.message,
            created_at=self.now,
        )
        draft = Draft(
            "token",
            (registration.device_token,),
            Message(QUEUES.get(registration.token_type, OTHER_QUEUE), encode_push_body(push), form=FORM),
            collapse_id=collapse_id(registration.device_token, self.event.request.message_id),
        )
        self.writes.append(Enqueue(draft))

    def _add(self, item: PushNotification, error: ReportError) -> None:
        self.reports.append(
            Report(
                success=not error,
                error=error,
                public_key=item.public_key,
                installation_id=item.installation_id,
            )
        )


def _device(item: PushNotification) -> DeviceKey:
    return DeviceKey(KeyHash(item.public_key), InstallationId(item.installation_id))


def _registrable(item: PushNotification) -> bool:
    """Keep names that no registration can have away from the store."""
    return len(item.public_key) == KEY_HASH and is_uuid(item.installation_id)


def _same(given: str, expected: str) -> bool:
    """Compare two access tokens as they were sent, in a time that says nothing about where they differ."""
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), expected.encode("utf-8", "surrogatepass"))


def _reply(event: RequestReceived, response: bytes) -> Reply:
    return Reply(event.sender, ApplicationType.PUSH_NOTIFICATION_RESPONSE, response)
