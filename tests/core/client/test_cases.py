"""Cases of reference/status-go.md 8.3, 8.4 and 10 that no other test holds; client_cases.toml names all of them."""

from typing import Any

from hushbell import wire
from hushbell.core.client.events import (
    EnvelopeReceived,
    Learn,
    Notified,
    Notify,
    Result,
    SendToKey,
    SendToTopic,
    Target,
)
from hushbell.core.client.facts import ClientFacts, EphemeralKey, Purpose, Save
from hushbell.core.client.lifecycles import DeviceState, RegistrationState
from hushbell.core.client.machine import decide
from hushbell.core.client.query import Info
from hushbell.core.client.registration import Options
from hushbell.core.envelope import OpenedEnvelope, open_application
from hushbell.crypto.grants import make_grant
from hushbell.crypto.hashes import hash_public_key
from hushbell.crypto.secp256k1 import key_pair_from
from hushbell.types import AccessToken, InstallationId, KeyPair, MessageId, Millis
from hushbell.wire import ReportError

ALICE, BOB, ONE, OTHER, ASKING = (key_pair_from(bytes([n]) * 32) for n in range(1, 6))
NOW = Millis(1_600_000_000_000)


def pushed_tokens(server: Any) -> list[str]:
    return [token for token, _, _ in server.pushes]


def report(server: Any, ring: SendToKey, device: Any, **said: Any) -> EnvelopeReceived:
    """Return a server's word on one device of a request."""
    asked = wire.decode(wire.NotificationRequest, open_application(ring.application).payload)
    one = wire.Report(
        public_key=hash_public_key(device.identity.public), installation_id=device.installation_id, **said
    )
    response = wire.encode(wire.NotificationResponse(message_id=asked.message_id, reports=(one,)))
    kind = wire.ApplicationType.PUSH_NOTIFICATION_RESPONSE
    return EnvelopeReceived(OpenedEnvelope(server.keys.public, MessageId(b""), kind, response), ring.signer.public)


def stages(client: Any) -> dict[tuple[bytes, str], DeviceState]:
    return {
        (one.message_id, one.installation_id): one.state
        for devices in client.facts.recipient_devices.values()
        for one in devices.values()
    }


def test_a_message_rings_each_device_of_each_person_once(world: Any) -> None:  # C3
    server = world.server()
    alice, bob, carol = (world.client(name) for name in ("alice", "bob", "carol"))
    tablet = world.client("tablet", identity=bob.identity)
    for each in (bob, tablet, carol):
        each.enable(server)
    world.run(1)

    for _ in range(3):
        alice.notify(bob, carol)
        world.run(1)

    assert sorted(pushed_tokens(server)) == ["token-of-bob", "token-of-carol", "token-of-tablet"]


def test_only_the_devices_that_a_message_is_for_ring(world: Any) -> None:  # CP2
    server = world.server()
    alice = world.client("alice")
    people = [world.client(f"{name}0") for name in ("bob", "carol")]
    others = [world.client(f"bob{n}", identity=people[0].identity) for n in (1, 2)]
    others += [world.client(f"carol{n}", identity=people[1].identity) for n in (1, 2)]
    for each in (*people, *others):
        each.enable(server)
    world.run(1)

    bob = [people[0], *others[:2]]
    alice.notify(Target(bob[0].identity.public, devices=(bob[2].installation_id, bob[1].installation_id)))
    world.run(1)

    assert sorted(pushed_tokens(server)) == ["token-of-bob1", "token-of-bob2"]


def test_a_device_without_a_token_takes_nobodys_place(world: Any) -> None:
    server = world.server()
    alice, bob = world.client("alice"), world.client("bob")
    others = [world.client(f"other{n}", identity=bob.identity) for n in range(3)]
    for each in (bob, *others):
        each.enable(server)
    world.run(1)

    named = [InstallationId("never registered"), *(each.installation_id for each in (*others, bob))]
    alice.notify(Target(bob.identity.public, devices=tuple(named)))
    world.run(1)

    assert sorted(pushed_tokens(server)) == ["token-of-other0", "token-of-other1", "token-of-other2"]


def test_of_several_servers_one_is_asked_to_ring_a_device(world: Any) -> None:
    servers = [world.server() for _ in range(3)]
    alice, bob = world.client("alice"), world.client("bob")
    bob.enable(*servers)
    world.run(1)

    alice.notify(bob)
    world.run(60)

    assert len([one for one in alice.left if isinstance(one, SendToKey)]) == 1
    assert sum(len(server.pushes) for server in servers) == 1


def test_what_the_advert_lacks_is_asked_for(world: Any) -> None:
    server = world.server()
    alice, bob = world.client("alice"), world.client("bob")
    tablet = world.client("tablet", identity=bob.identity, advertises=False)
    alice.follow(bob)
    bob.enable(server)
    tablet.enable(server)
    world.run(1)
    assert not alice.left

    alice.notify(Target(bob.identity.public, devices=(tablet.installation_id, bob.installation_id)))
    world.run(1)

    assert [type(one) for one in alice.left].count(SendToTopic) == 1
    assert sorted(pushed_tokens(server)) == ["token-of-bob", "token-of-tablet"]


def hears(facts: ClientFacts, server: KeyPair, version: int) -> tuple[Info, ...]:
    """Let a server answer one more query about Bob's phone; return what is known then."""
    token, asked = AccessToken("b6ae4fde-bb65-11ea-b3de-0242ac130004"), MessageId(b"q" * 32)
    told = wire.QueryInfo(
        access_token=token,
        installation_id="phone",
        public_key=hash_public_key(BOB.public),
        grant=make_grant(BOB, server.public, token),
        version=version,
    )
    payload = wire.encode(wire.QueryResponse(info=(told,), message_id=asked, success=True))
    opened = OpenedEnvelope(
        server.public, MessageId(b""), wire.ApplicationType.PUSH_NOTIFICATION_QUERY_RESPONSE, payload
    )
    facts.apply(
        Save(
            EphemeralKey(key=ASKING, purpose=Purpose.QUERY, until=Millis(NOW + 1), target=BOB.public, message_id=asked)
        )
    )
    decide(facts, [EnvelopeReceived(opened, ASKING.public)], identity=ALICE, now=NOW, random=bytes)
    return facts.contacts[BOB.public].infos


def test_of_a_device_only_the_newest_version_is_known_with_all_its_servers() -> None:  # CP3
    facts = ClientFacts()

    hears(facts, ONE, 1)
    assert {info.server for info in hears(facts, OTHER, 1)} == {ONE.public, OTHER.public}

    assert [(info.server, info.version) for info in hears(facts, ONE, 2)] == [(ONE.public, 2)]
    assert [(info.server, info.version) for info in hears(facts, OTHER, 1)] == [(ONE.public, 2)]


def test_a_refusal_is_tried_again_and_a_success_is_final(world: Any) -> None:  # CP4
    server = world.server()
    alice, bob = world.client("alice"), world.client("bob")
    bob.enable(server, options=Options(contacts=(alice.identity.public, ONE.public)))
    world.run(1)
    alice.take(Learn(bob.identity.public))
    world.run(1)
    bob.change(Options(contacts=(alice.identity.public,)))
    world.run(1)

    alice.notify(bob)
    world.run(1)
    first, again = [one for one in alice.left if isinstance(one, SendToKey)]
    alice.take(report(server, again, bob, error=ReportError.WRONG_TOKEN))
    alice.take(report(server, first, bob, error=ReportError.WRONG_TOKEN))
    world.run(10)

    assert [one.result for one in alice.heard(Notified)] == [Result.ACCEPTED]
    assert list(stages(alice).values()) == [DeviceState.ACCEPTED]
    assert len([one for one in alice.left if isinstance(one, SendToKey)]) == 2


def test_an_answer_changes_how_far_a_server_is_and_nothing_else_of_it(world: Any) -> None:  # 10.17
    server = world.server()
    bob = world.client("bob")
    server.troubled = True
    bob.enable(server)
    world.run(40)
    server.troubled = False
    before = bob.facts.registrations[server.keys.public]

    world.run(200)

    after = bob.facts.registrations[server.keys.public]
    assert (before.state, after.state) == (RegistrationState.WAITING, RegistrationState.REGISTERED)
    assert after.trials == before.trials + 1
    assert after.last > before.last
    bob.restart()
    assert bob.facts.registrations[server.keys.public] == after


def test_many_messages_at_once_wait_for_nobody(world: Any) -> None:  # 10.19
    server = world.server()
    alice, bob, stranger = (world.client(name) for name in ("alice", "bob", "stranger"))
    bob.enable(server)
    world.run(1)
    alice.take(Learn(bob.identity.public))
    world.run(1)
    people = (Target(stranger.identity.public), Target(bob.identity.public))
    wishes = [Notify(message_id=bytes([n // 256, n % 256]) * 16, chat_id="chat", targets=people) for n in range(300)]

    made = alice.take(*wishes)

    assert len([one for one in made.effects if isinstance(one, SendToKey)]) == 300
    assert len(made.effects) == 301  # one query for the stranger
    world.run(1)
    assert len(server.pushes) == 300


def test_a_report_moves_only_the_message_and_the_device_it_names(world: Any) -> None:  # 10.25
    server = world.server()
    alice, bob = world.client("alice"), world.client("bob")
    tablet = world.client("tablet", identity=bob.identity)
    bob.enable(server)
    tablet.enable(server)
    world.run(1)
    alice.take(Learn(bob.identity.public))
    world.run(1)
    server.silent = True
    alice.notify(bob, message_id=b"1" * 32)
    alice.notify(bob, message_id=b"2" * 32)
    first, _second = [one for one in alice.left if isinstance(one, SendToKey)]

    alice.take(report(server, first, bob, success=True))

    assert stages(alice) == {
        (b"1" * 32, bob.installation_id): DeviceState.ACCEPTED,
        (b"1" * 32, tablet.installation_id): DeviceState.REQUESTED,
        (b"2" * 32, bob.installation_id): DeviceState.REQUESTED,
        (b"2" * 32, tablet.installation_id): DeviceState.REQUESTED,
    }
