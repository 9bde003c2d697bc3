"""The bounds of the push notification server. Each has a default, a reason and a counter for what it refused."""

from dataclasses import dataclass

from hushbell.types import SECONDS_PER_DAY


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Section ``[limits]``: sizes in bytes, times in seconds."""

    envelope: int = 1024 * 1024  # what Status nodes relay at most; larger is dropped before parsing
    registration: int = 512 * 1024  # decrypted; over it MALFORMED_MESSAGE
    list_entries: int = 4096  # of each list in a registration; a very large address book
    installations: int = 32  # live devices of one key; more is not a person
    tombstones: int = 96  # of one key, so that unregistering cannot fill the disk
    query_keys: int = 256  # of one query; over it the message is dropped
    request_items: int = 2048  # of one request: a large community's members at once
    answer: int = 768 * 1024  # of one query answer; what would not fit into an envelope is left out
    facts: int = 64 * 1024 * 1024  # of registrations loaded for one batch
    rings_per_minute: int = 60  # of one device; over it reported as success, coalesced
    ring_burst: int = 120
    ring_buckets: int = 100_000  # devices whose rate is remembered
    push_ttl: int = SECONDS_PER_DAY  # a push that could not be delivered for so long expires
    dedup_days: int = 30  # how long answers and rings are remembered
