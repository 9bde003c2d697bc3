"""Laws over generated histories: whatever the network does, no client is stuck and no message shown twice or lost."""

import random
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from hushbell.core.client.events import Configure, Notified, Result, Tick
from hushbell.core.client.facts import ClientFacts
from hushbell.core.client.lifecycles import FINAL_DEVICE_STATES, RegistrationState
from hushbell.core.client.registration import Options
from hushbell.crypto import hashes

PEOPLE, SERVERS = 3, 2

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("enable"), st.integers(0, PEOPLE - 1), st.integers(1, 2**SERVERS - 1)),
        st.tuples(st.just("disable"), st.integers(0, PEOPLE - 1), st.just(0)),
        st.tuples(st.just("mute"), st.integers(0, PEOPLE - 1), st.integers(0, 3)),
        st.tuples(st.just("ring"), st.integers(0, PEOPLE - 1), st.integers(0, PEOPLE - 1)),
        st.tuples(st.just("restart"), st.integers(0, PEOPLE - 1), st.just(0)),
        st.tuples(st.just("silence"), st.integers(0, SERVERS - 1), st.integers(0, 1)),
        st.tuples(st.just("wait"), st.integers(0, 40), st.just(0)),
    ),
    max_size=14,
)
NETWORKS = st.tuples(st.integers(0, 2**32), st.sampled_from([0.0, 0.2, 0.5]), st.sampled_from([0.0, 0.5]))


def play(world: Any, steps: list[tuple[str, int, int]]) -> list[tuple[Any, Any, bytes]]:
    """Live through a history; return who rang whom about what."""
    servers = [world.server(like_status_go=number == 1) for number in range(SERVERS)]
    people = [world.client(f"person{number}") for number in range(PEOPLE)]
    rings = []
    for number, (step, first, second) in enumerate(steps):
        who = people[first] if first < PEOPLE and step not in ("silence", "wait") else None
        match step:
            case "enable":
                assert who is not None
                who.enable(*(server for bit, server in enumerate(servers) if second & 1 << bit))
            case "disable":
                assert who is not None
                who.take(Configure(device=None))
            case "mute":
                assert who is not None
                if who.facts.profile.device is not None:
                    who.change(Options(muted=(f"chat{second}",)))
            case "ring":
                assert who is not None
                message_id = number.to_bytes(32)
                who.notify(people[second], message_id=message_id)
                rings.append((who, people[second], message_id))
            case "restart":
                assert who is not None
                who.restart()
            case "silence":
                servers[first].silent = bool(second)
            case _:
                world.run(first)
        world.run(0.01)
    return rings


def calm(world: Any) -> None:
    """Let the network and the servers behave, long enough for everything that waits."""
    world.faults.loss = world.faults.repetition = 0.0
    world.faults.delay = 5
    for server in world.servers:
        server.silent = False
    world.run(40 * 86_400)


@settings(deadline=None, max_examples=60)
@given(steps=STEPS, network=NETWORKS, delay=st.sampled_from([0, 500, 8_000]))
def test_no_client_is_ever_stuck(
    new_world: Callable[..., Any], faults: Any, steps: list[Any], network: tuple[int, float, float], delay: int
) -> None:
    seed, loss, repetition = network
    world = new_world(faults(random.Random(seed), loss, repetition, delay), seed)
    play(world, steps)
    calm(world)

    for person in world.clients:
        facts = person.facts
        assert not facts.open_recipients
        assert not facts.pending_queries
        assert {
            ring.state for devices in facts.recipient_devices.values() for ring in devices.values()
        } <= FINAL_DEVICE_STATES
        wanted = facts.profile.device is not None
        for enrolment in facts.registrations.values():
            assert enrolment.state is (RegistrationState.REGISTERED if wanted else RegistrationState.UNREGISTERED)
        assert person.wakes_at is None or (wanted and person.wakes_at > world.now)


@settings(deadline=None, max_examples=60)
@given(steps=STEPS, network=NETWORKS, delay=st.sampled_from([0, 500, 8_000]))
def test_no_server_rings_a_phone_twice_and_an_accepted_message_did_ring(
    new_world: Callable[..., Any], faults: Any, steps: list[Any], network: tuple[int, float, float], delay: int
) -> None:
    seed, loss, repetition = network
    world = new_world(faults(random.Random(seed), loss, repetition, delay), seed)
    rings = play(world, steps)
    calm(world)

    for server in world.servers:
        told = [(token, collapse_id) for token, collapse_id, _ in server.pushes]
        assert len(told) == len(set(told))
    shown = {token for token, _ in world.shown()}
    for sender, target, message_id in rings:
        accepted = [
            one for one in sender.heard(Notified) if one.message_id == message_id and one.result is Result.ACCEPTED
        ]
        assert not accepted or f"token-of-{target.name}" in shown
        assert len(accepted) == len({one.installation_id for one in accepted})


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**32),
    network=st.tuples(st.sampled_from([0.0, 0.7]), st.sampled_from([0, 900])),
    many=st.booleans(),
)
def test_whoever_is_registered_is_rung_if_nothing_is_lost_for_good(
    new_world: Callable[..., Any], faults: Any, seed: int, network: tuple[float, int], many: bool
) -> None:
    repetition, delay = network
    world = new_world(faults(random.Random(seed), 0.3, repetition, delay), seed)
    servers = [world.server() for _ in range(2 if many else 1)]
    alice, bob = world.client("alice"), world.client("bob")
    bob.enable(*servers)
    world.run(400)
    world.faults.loss = 0.0
    world.run(86_400)

    alice.notify(bob, patience=60.0)
    world.run(60)

    assert [one.result for one in alice.heard(Notified)] == [Result.ACCEPTED]
    assert len(world.shown()) == 1  # on the phone: one, whoever told it


@settings(deadline=None, max_examples=60)
@given(steps=STEPS, network=NETWORKS)
def test_committed_changes_alone_rebuild_what_is_known(
    new_world: Callable[..., Any], faults: Any, steps: list[Any], network: tuple[int, float, float]
) -> None:
    seed, loss, repetition = network
    world = new_world(faults(random.Random(seed), loss, repetition, 500), seed)
    play(world, steps)

    for person in world.clients:
        person.take(Tick())
        rebuilt = ClientFacts()
        for decision in person.decisions:
            for change in decision.changes:
                rebuilt.apply(change)
        assert set(map(repr, rebuilt.all_facts())) == set(map(repr, person.facts.all_facts()))
        assert rebuilt.open_recipients.keys() == person.facts.open_recipients.keys()
        assert rebuilt.pending_queries.keys() == person.facts.pending_queries.keys()


@settings(deadline=None, max_examples=60)
@given(steps=STEPS, network=NETWORKS)
def test_an_identity_signs_nothing_but_registrations_and_adverts(
    new_world: Callable[..., Any], faults: Any, steps: list[Any], network: tuple[int, float, float]
) -> None:
    seed, loss, repetition = network
    world = new_world(faults(random.Random(seed), loss, repetition, 500), seed)
    play(world, steps)

    for person in world.clients:
        public = person.identity.public
        for effect in person.left:
            if hasattr(effect, "signer") and effect.signer.public == public:
                assert effect.recipient in {server.keys.public for server in world.servers}
            elif hasattr(effect, "signer"):
                assert public[1:33] not in effect.application
                assert hashes.hash_public_key(public) not in effect.application
