"""
The numbers of the relay: gossipsub's parameters as Waku sets them, and our limits.

Source of the parameters: reference/waku.md section 5, and go-waku ``waku/v2/protocol/relay/config.go``.
Times are in milliseconds, sizes in bytes.
"""

from dataclasses import dataclass, field

KIB = 1024
MIB = 1024 * 1024
SECOND = 1000  # ms
MINUTE = 60_000  # ms

PROTOCOL = "/vac/waku/relay/2.0.0"
ID_SIZE = 32  # a message's id is the SHA-256 of its data


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicScoreSettings:
    """The score of a peer in one topic: P1 to P4 of gossipsub v1.1."""

    weight: float = 1.0
    time_in_mesh: float = 0.01  # P1, for each second in the mesh
    time_in_mesh_cap: float = 10.0  # seconds that count
    first: float = 1.0  # P2, for each message that the peer delivered first
    first_decay: float = 0.5
    first_cap: float = 10.0
    mesh: float = 0.0  # P3, times the square of what is missing to the threshold; Waku switches it off
    mesh_decay: float = 0.5
    mesh_cap: float = 100.0
    mesh_threshold: float = 1.0
    mesh_window: int = 10  # ms after the first delivery in which another one counts
    mesh_activation: int = 30 * SECOND  # time in the mesh before P3 counts
    failure: float = 0.0  # P3b, for what was missing when the peer was pruned
    failure_decay: float = 0.5
    invalid: float = -100.0  # P4, times the square of the invalid messages
    invalid_decay: float = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreSettings:
    """The score of a peer over all topics, and the thresholds that apply to it."""

    topic: TopicScoreSettings = field(default_factory=TopicScoreSettings)
    topics_cap: float = 0.0  # on the sum of the topics; 0 is none
    colocation: float = -50.0  # P6, times the square of the peers above the threshold at one address
    colocation_threshold: int = 5
    colocation_exempt: tuple[str, ...] = ("127.", "::/64")  # beginnings of addresses on this machine
    behaviour: float = -10.0  # P7, times the square of the penalties
    behaviour_threshold: float = 0.0
    behaviour_decay: float = 0.986
    decay_interval: int = 12 * SECOND
    decay_to_zero: float = 0.01  # smaller counters are none
    retain: int = 10 * MINUTE  # until the record of a disconnected peer is removed
    retained: int = 10_000  # records of disconnected peers
    gossip_threshold: float = -100.0  # below: no gossip to or from the peer
    publish_threshold: float = -1000.0  # below: our own messages are not sent to it
    graylist_threshold: float = -10_000.0  # below: nothing of it is read, and it is cut
    opportunistic_threshold: float = 0.0  # a mesh with a median below looks for better peers


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayLimits:
    """The limits of one peer, and of all peers together."""

    rpc: int = 4 * MIB  # of one RPC
    partial: int = 64 * MIB  # kept of all peers: RPCs that arrived in part, and what a turn had no room for
    share: int = 64 * KIB  # of it that every peer may have, even when others use it up
    messages_per_rpc: int = 4096
    subscriptions_per_rpc: int = 1024
    fields_per_rpc: int = 32_768  # of protobuf, at all levels; some milliseconds to read
    control_per_rpc: int = 1024  # entries; ids are counted apart
    subscriptions: int = 128  # topics of one peer that are remembered
    subscription_changes: int = 256  # of one peer in a heartbeat; more are ignored and penalised
    topics: int = 64  # of ours, joined or published to
    topic_name: int = 256  # bytes in UTF-8
    ihave_messages: int = 10  # of one peer in a heartbeat
    ids: int = 5000  # asked of one peer, offered to one and taken from one in a heartbeat
    iwant_batch: int = 64  # ids in one request, so that the answer is no huge RPC
    iwant_served: int = 3  # how often one message is sent to the same peer on demand
    backoffs: int = 10_000  # of one topic
    backoff: int = 60 * MINUTE  # a peer that asks for longer gets this
    tick_bytes: int = 512 * KIB  # read from one peer in one turn of the loop
    tick_messages: int = 512  # read from one peer in one turn of the loop
    in_stream: int = 1 * MIB  # handed to a stream that its peer has not taken
    forwarded: int = 16 * MIB  # waiting for one peer; beyond it the oldest are dropped
    urgent: int = 8 * MIB  # control and own messages waiting for one peer; beyond it own ones are not sent to it
    overflow: int = 9 * MIB  # beyond it the peer is cut
    waiting: int = 128 * MIB  # waiting for all peers; beyond it a peer is held to its share, one message counted often
    waiting_share: int = 256 * KIB  # that may wait for every peer, even when others use it up
    stalled: int = 15  # heartbeats in which a waiting peer takes nothing before it is cut
    dropping: int = 30  # heartbeats in a row in which a peer's messages are dropped before it is cut
    openings: int = 3  # attempts to open a stream to a peer


@dataclass(frozen=True, slots=True, kw_only=True)
class RelaySettings:
    """All parameters. The degrees are the D of gossipsub."""

    message: int = (
        1 * MIB
    )  # of an RPC with one message; go-waku and nwaku reset the stream of a peer that sends a larger one
    content_topic: int = 256  # bytes in UTF-8; a message with a longer one is ignored
    meta: int = 64  # RFC 14
    future: int = 20 * SECOND  # a message dated later is ignored; stores of the network keep none that is so far off
    degree: int = 6
    degree_low: int = 4
    degree_high: int = 8
    degree_score: int = 4  # of those kept when the mesh shrinks, so many are the best
    degree_out: int = 3  # we dialled at least so many in the mesh
    degree_lazy: int = 6
    gossip_factor: float = 0.25  # of the peers outside the mesh get gossip, if that is more than degree_lazy
    heartbeat: int = 1 * SECOND
    history: int = 6  # heartbeats in which a message can be asked for
    history_gossip: int = 3  # heartbeats in which it is offered
    cached: int = 64 * MIB  # bytes of messages that can be asked for
    seen: int = 500_000  # ids remembered; about 80 MB
    seen_for: int = 2 * MINUTE
    prune_backoff: int = 1 * MINUTE
    unsubscribe_backoff: int = 5 * SECOND
    backoff_slack: int = 2 * SECOND  # our clock may be ahead of the peer's
    graft_flood: int = 10 * SECOND  # a GRAFT so soon after a PRUNE costs twice
    fanout_for: int = 1 * MINUTE
    flood_publish: bool = True  # own messages go to every subscriber, not to the mesh alone
    opportunistic_ticks: int = 60  # heartbeats
    opportunistic_peers: int = 2
    promise: int = 3 * SECOND  # until a peer that offered a message must have sent it
    scoring: ScoreSettings = field(default_factory=ScoreSettings)
    limits: RelayLimits = field(default_factory=RelayLimits)
