"""
Queries: how to notify the devices of a key (spec 16, "Querying the push notification server").

Every sender that knows a key may query it. The response holds what its owner registered for queries.
"""

from collections.abc import Iterable, Iterator, Sequence

from hushbell.config.limits import Limits
from hushbell.core.server.events import QueryReceived
from hushbell.core.server.facts import Decision, Facts, FactsNeeded, Reply, StoredRegistration
from hushbell.types import DeviceKey, KeyHash, MessageId
from hushbell.wire.codec import encode
from hushbell.wire.messages import ApplicationType, QueryInfo, QueryResponse, Registration

KEY_HASH = 64  # bytes


def facts_needed(event: QueryReceived, limits: Limits) -> FactsNeeded:
    """Name the facts of a query: every registration of the owners asked for."""
    if len(event.query.public_keys) > limits.query_keys:
        return FactsNeeded()
    key_hashes = frozenset(_owners(event))
    return FactsNeeded(installations=key_hashes, queried=key_hashes)


def decide(event: QueryReceived, facts: Facts, limits: Limits) -> Decision:
    """Respond with what is registered. Where nothing is, there is no response."""
    if len(event.query.public_keys) > limits.query_keys:
        return Decision(refused=("query_keys",))
    devices = [device for key_hash in sorted(_owners(event)) for device in _devices(key_hash, facts)]
    omitted = sum(device in facts.omitted for device in devices)
    infos = [query_info(device, new) for device, new in _live(devices, facts)]
    answer, left_out = fitting(infos, event.message_id, limits.answer)
    refused = ("facts",) * omitted + ("answer",) * left_out
    if not answer:
        return Decision(refused=refused)
    response = encode(_response(answer, event.message_id))
    reply = Reply(event.sender, ApplicationType.PUSH_NOTIFICATION_QUERY_RESPONSE, response)
    return Decision(replies=(reply,), refused=refused)


def query_info(device: DeviceKey, registration: Registration) -> QueryInfo:
    """Return how to notify a device: its access token, or only what its owner encrypted for contacts."""
    contacts_only = registration.allow_from_contacts_only
    return QueryInfo(
        access_token="" if contacts_only else registration.access_token,
        installation_id=registration.installation_id,
        public_key=device.key_hash,
        allowed_key_list=registration.allowed_key_list if contacts_only else (),
        grant=registration.grant,
        version=registration.version,
    )


def fitting(infos: Sequence[QueryInfo], message_id: MessageId, size: int) -> tuple[Sequence[QueryInfo], int]:
    """Return the infos that together encode to at most ``size`` bytes, in order, and how many were left out."""
    if not infos or len(encode(_response(infos, message_id))) <= size:
        return infos, 0
    room = size - len(encode(_response((), message_id)))
    kept = []
    for one in infos:
        cost = len(encode(QueryResponse(info=(one,))))  # entries of a list are encoded one after the other
        if cost <= room:
            room -= cost
            kept.append(one)
    return kept, len(infos) - len(kept)


def _owners(event: QueryReceived) -> set[KeyHash]:
    return {KeyHash(key) for key in event.query.public_keys if len(key) == KEY_HASH}


def _devices(key_hash: KeyHash, facts: Facts) -> list[DeviceKey]:
    return [DeviceKey(key_hash, name) for name in facts.installations.get(key_hash, {})]


def _live(devices: Iterable[DeviceKey], facts: Facts) -> Iterator[tuple[DeviceKey, Registration]]:
    """Yield the devices that can be notified, sorted by key hash, then age of the registration."""
    found: list[tuple[DeviceKey, StoredRegistration]] = []
    for device in devices:
        stored = facts.devices.get(device)
        if stored is not None:
            found.append((device, stored))
    found.sort(key=lambda each: (each[0].key_hash, each[1].registered_at, each[0].installation_id))
    for device, stored in found:
        if stored.registration is not None and stored.token_dead_since is None:
            yield device, stored.registration


def _response(infos: Sequence[QueryInfo], message_id: MessageId) -> QueryResponse:
    return QueryResponse(info=tuple(infos), message_id=message_id, success=True)
