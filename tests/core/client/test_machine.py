"""A client from end to end, by its rules alone: I1 to I8 of reference/status-go.md 8.5, the mistakes of section 10."""

from collections.abc import Callable
from typing import Any

import pytest

from hushbell.core.client import contacts, retry
from hushbell.core.client.events import (
    AddServer,
    Advertise,
    Configure,
    DevicesFound,
    EnvelopeReceived,
    Finished,
    Learn,
    Notified,
    Notify,
    Refused,
    Registered,
    RemoveServer,
    Result,
    SendToKey,
    SendToTopic,
    Target,
    Tick,
    Unreachable,
    Unregistered,
)
from hushbell.core.client.facts import SendOptions
from hushbell.core.client.lifecycles import DeviceState, RegistrationState
from hushbell.core.client.registration import Options
from hushbell.core.envelope import OpenedEnvelope, open_application
from hushbell.crypto import hashes
from hushbell.types import InstallationId, MessageId, NotificationType


def ends(client: Any) -> list[Result]:
    return [one.result for one in client.heard(Notified)]


def test_notifications_are_off_until_the_user_asks_for_them(world: Any) -> None:
    alice, server = world.client("alice"), world.server()

    alice.take(AddServer(server.keys.public), Tick())
    world.run(10)

    assert not alice.left


def test_two_devices_register_and_both_ring(world: Any) -> None:  # I1, I7
    server = world.server()
    bob = world.client("bob")
    tablet = world.client("tablet", identity=bob.identity)
    alice = world.client("alice")
    bob.enable(server)
    tablet.enable(server)
    world.run(1)
    assert bob.heard(Registered) == [Registered(server.keys.public)]

    alice.notify(bob)
    world.run(1)

    assert ends(alice) == [Result.ACCEPTED] * 2
    assert alice.heard(Finished) == [Finished(b"m" * 32, bob.identity.public, 2)]
    assert {token for token, _, _ in server.pushes} == {"token-of-bob", "token-of-tablet"}


def test_contacts_only_lets_contacts_ring_and_nobody_else(world: Any) -> None:  # I2
    server = world.server()
    alice, bob, mallory = world.client("alice"), world.client("bob"), world.client("mallory")
    bob.enable(server, options=Options(contacts=(alice.identity.public,), contacts_only=True))
    world.run(1)

    alice.notify(bob)
    mallory.notify(bob)
    world.run(60)

    assert ends(alice) == [Result.ACCEPTED]
    assert mallory.heard(Finished) == [Finished(b"m" * 32, bob.identity.public, 0)]


def test_a_removed_contact_changes_the_token_and_the_others_find_the_new_one(world: Any) -> None:  # I3
    server = world.server()
    alice, bob, frank = world.client("alice"), world.client("bob"), world.client("frank")
    both = (alice.identity.public, frank.identity.public)
    bob.enable(server, options=Options(contacts=both, contacts_only=True))
    world.run(1)
    alice.notify(bob, message_id=b"1" * 32)
    world.run(1)
    before = bob.facts.profile.last.registration.access_token

    bob.change(Options(contacts=(alice.identity.public,), contacts_only=True))
    world.run(1)
    alice.notify(bob, message_id=b"2" * 32)
    frank.notify(bob, message_id=b"3" * 32)
    world.run(60)

    assert bob.facts.profile.last.registration.access_token != before
    assert ends(alice) == [Result.ACCEPTED] * 2
    assert ends(frank) == []


def test_an_advert_says_how_to_ring_without_a_query(world: Any) -> None:  # I4
    server = world.server()
    alice, bob = world.client("alice"), world.client("bob")
    alice.follow(bob)
    bob.enable(server)
    world.run(1)

    alice.notify(bob)
    world.run(1)

    assert ends(alice) == [Result.ACCEPTED]
    assert not [one for one in alice.left if isinstance(one, SendToTopic)]


def test_adverts_are_repeated_every_six_hours_and_after_each_change(world: Any) -> None:
    server, bob = world.server(), world.client("bob")
    bob.enable(server)
    world.run(1)
    assert len([one for one in bob.left if isinstance(one, Advertise)]) == 1

    world.run(6 * 3600 + 10)
    assert len([one for one in bob.left if isinstance(one, Advertise)]) == 2

    bob.change(Options(muted=("chat",)))
    world.run(1)
    assert len([one for one in bob.left if isinstance(one, Advertise)]) == 3


def test_a_mention_rings_all_devices_of_the_mentioned(world: Any) -> None:  # I5, I8
    server = world.server()
    bob = world.client("bob")
    others = [world.client(f"other{n}", identity=bob.identity) for n in range(4)]
    alice = world.client("alice")
    for device in (bob, *others):
        device.enable(server, options=Options(mentions_in=("status",)))
    world.run(1)

    alice.notify(bob, chat_id="status", type=NotificationType.MENTION, most=None)
    world.run(1)

    assert ends(alice) == [Result.ACCEPTED] * 5
    assert len(server.pushes) == 5


def test_a_message_rings_at_most_the_newest_three_devices(world: Any) -> None:
    server = world.server()
    bob = world.client("bob")
    others = [world.client(f"other{n}", identity=bob.identity) for n in range(4)]
    alice = world.client("alice")
    for device in (bob, *others):
        device.enable(server)
    world.run(1)

    named = tuple(one.installation_id for one in others[1:])
    alice.notify(Target(bob.identity.public, named), message_id=b"1" * 32)
    alice.notify(bob, message_id=b"2" * 32)
    world.run(1)

    rung = [token for token, _, _ in server.pushes]
    assert sorted(rung[:3]) == ["token-of-other1", "token-of-other2", "token-of-other3"]
    assert len(rung) == 6


def test_a_request_to_join_rings_each_of_those_who_decide(world: Any) -> None:  # I6
    server = world.server()
    admins = [world.client(f"admin{n}") for n in range(3)]
    alice = world.client("alice")
    for admin in admins:
        admin.enable(server)
    world.run(1)

    alice.notify(*admins, type=NotificationType.REQUEST_TO_JOIN_COMMUNITY, most=None)
    world.run(1)

    assert ends(alice) == [Result.ACCEPTED] * 3


def test_members_of_a_group_who_share_a_server_share_a_request(world: Any) -> None:
    server = world.server()
    members = [world.client(f"member{n}") for n in range(8)]
    alice = world.client("alice")
    for member in members:
        member.enable(server)
    alice.follow(*members)
    world.run(1)
    for member in members:
        member.change(Options(muted=("x",)))
    world.run(1)

    alice.notify(*members)
    world.run(1)

    assert ends(alice) == [Result.ACCEPTED] * 8
    assert len([one for one in alice.left if isinstance(one, SendToKey)]) == 1


def test_a_silent_server_costs_three_seconds_and_the_phone_shows_one_message(world: Any) -> None:
    lost, other = world.server(), world.server()
    alice, bob = world.client("alice"), world.client("bob")
    bob.enable(lost, other)
    world.run(1)
    alice.take(Learn(bob.identity.public))
    world.run(1)
    lost.answers_lost = other.answers_lost = True

    alice.notify(bob)
    world.run(2.5)
    assert len([one for one in alice.left if isinstance(one, SendToKey)]) == 1
    lost.answers_lost = other.answers_lost = False
    world.run(1)

    assert ends(alice) == [Result.ACCEPTED]
    assert set(world.shown().values()) == {2}  # both servers rang, under one collapse id
    assert len(world.shown()) == 1


def test_the_only_server_gets_the_same_bytes_again(world: Any) -> None:
    server = world.server()
    alice, bob = world.client("alice"), world.client("bob")
    bob.enable(server)
    world.run(1)
    server.answers_lost = True
    alice.take(Learn(bob.identity.public))
    server.answers_lost = False
    world.run(1)
    server.answers_lost = True
    alice.notify(bob)
    world.run(4)
    server.answers_lost = False
    world.run(20)

    sent = [one.application for one in alice.left if isinstance(one, SendToKey)]
    assert len(sent) >= 2
    assert len(set(sent)) == 1
    assert ends(alice) == [Result.ACCEPTED]
    assert set(world.shown().values()) == {1}


def test_nobody_answers_and_the_ring_ends_at_its_deadline(world: Any) -> None:
    server = world.server()
    alice, bob = world.client("alice"), world.client("bob")
    bob.enable(server)
    world.run(1)
    alice.take(Learn(bob.identity.public))
    world.run(1)
    server.silent = True

    alice.notify(bob, patience=30.0)
    world.run(31)

    assert ends(alice) == [Result.EXPIRED]
    assert alice.heard(Finished) == [Finished(b"m" * 32, bob.identity.public, 0)]
    assert not alice.facts.open_recipients


def test_a_success_after_the_deadline_still_counts(world: Any) -> None:
    server = world.server()
    alice, bob = world.client("alice"), world.client("bob")
    bob.enable(server)
    world.run(1)
    alice.take(Learn(bob.identity.public))
    world.run(1)
    world.faults.delay = 40_000
    world.faults.chance.seed(3)

    alice.notify(bob, patience=1.0)
    world.run(90)

    assert ends(alice) == [Result.EXPIRED, Result.ACCEPTED]


@pytest.mark.parametrize("like_status_go", [False, True])
def test_a_lost_answer_never_leaves_the_client_unregistered(world: Any, like_status_go: bool) -> None:  # 10.16
    server = world.server(like_status_go=like_status_go)
    bob = world.client("bob")
    server.answers_lost = True
    bob.enable(server)
    world.run(10)
    server.answers_lost = False

    world.run(60)

    assert bob.facts.registrations[server.keys.public].state is RegistrationState.REGISTERED
    assert len(bob.heard(Registered)) == 1


def test_a_server_with_a_much_later_version_is_caught_up_with(world: Any) -> None:  # after a restored backup
    server, bob = world.server(like_status_go=True), world.client("bob")
    bob.enable(server)
    world.run(1)
    for number in range(50):
        bob.change(Options(muted=(f"chat{number}",)))
        world.run(1)
    old = world.client("old", identity=bob.identity)
    old.installation_id = bob.installation_id

    old.enable(server)
    world.run(1)

    assert old.facts.registrations[server.keys.public].state is RegistrationState.REGISTERED


def test_what_a_server_calls_malformed_is_not_sent_again(world: Any) -> None:  # 10.16
    server, bob = world.server(), world.client("bob")
    bob.installation_id = InstallationId("not-a-uuid")
    bob.enable(server)

    world.run(86_400)

    assert [type(one) for one in bob.events] == [Refused]
    assert len(bob.left) == 1


def test_an_internal_error_is_tried_again_ever_longer(world: Any) -> None:
    server, bob = world.server(), world.client("bob")
    server.troubled = True
    bob.enable(server)
    times = [world.now]

    for seconds in (30, 120, 360):
        world.run(seconds)
        assert len(bob.left) == len(times) + 1, seconds
        times.append(world.now)
    server.troubled = False
    world.run(960)

    assert bob.heard(Registered) == [Registered(server.keys.public)]


def test_silence_is_tried_twelve_times_and_then_told(world: Any) -> None:
    server, bob = world.server(silent=True), world.client("bob")
    bob.enable(server)

    world.run(30 * 86_400)

    assert len(bob.left) == retry.MAX_TRIALS
    assert bob.heard(Unreachable) == [Unreachable(server.keys.public)]
    assert bob.wakes_at is None


def test_an_answer_to_a_trial_before_the_restart_counts(world: Any) -> None:  # 7.2: status-go forgets them
    server, bob = world.server(), world.client("bob")
    world.faults.delay = 5_000
    bob.enable(server)
    bob.restart()

    world.run(20)

    assert bob.facts.registrations[server.keys.public].state is RegistrationState.REGISTERED


def test_leaving_is_told_to_every_server_and_senders_learn_it(world: Any) -> None:
    server = world.server()
    alice, bob = world.client("alice"), world.client("bob")
    bob.enable(server)
    world.run(1)
    alice.notify(bob, message_id=b"1" * 32)
    world.run(1)

    bob.take(Configure(device=None))
    world.run(1)
    assert bob.heard(Unregistered) == [Unregistered(server.keys.public)]
    alice.notify(bob, message_id=b"2" * 32)
    world.run(60)
    assert ends(alice) == [Result.ACCEPTED, Result.FAILED]

    bob.enable(server)
    world.run(1)
    alice.notify(bob, message_id=b"3" * 32)
    world.run(60)
    assert ends(alice)[-1] is Result.ACCEPTED


def test_a_removed_server_is_left_and_forgotten_and_can_come_back(world: Any) -> None:  # 10.24
    first, second = world.server(), world.server()
    bob = world.client("bob")
    bob.enable(first, second)
    world.run(1)

    bob.take(RemoveServer(first.keys.public))
    world.run(1)
    assert bob.heard(Unregistered) == [Unregistered(first.keys.public)]
    assert set(bob.facts.registrations) == {second.keys.public}
    assert bob.facts.registrations[second.keys.public].state is RegistrationState.REGISTERED

    bob.take(AddServer(first.keys.public))
    world.run(1)
    assert bob.facts.registrations[first.keys.public].state is RegistrationState.REGISTERED


def test_wishes_that_change_nothing_are_told_to_nobody(world: Any) -> None:
    server, bob = world.server(), world.client("bob")
    bob.enable(server)
    world.run(1)
    sent = len(bob.left)

    bob.change(Options())
    bob.change(Options())
    world.run(1)

    assert len(bob.left) == sent


def test_a_message_is_announced_once_and_never_to_ourselves(world: Any) -> None:  # C3, C5, 10.18
    server = world.server()
    alice, bob = world.client("alice"), world.client("bob")
    alice.enable(server)
    bob.enable(server)
    world.run(1)

    alice.notify(bob, alice)
    world.run(1)
    alice.notify(bob, alice)
    world.run(1)

    assert ends(alice) == [Result.ACCEPTED]
    assert Finished(b"m" * 32, alice.identity.public, 0) in alice.events
    assert len(server.pushes) == 1


@pytest.mark.parametrize("sending", [SendOptions(off=True), SendOptions(silent_chats=frozenset({"chat"}))])
def test_sending_can_be_switched_off_for_everything_or_for_a_chat(world: Any, sending: SendOptions) -> None:
    server = world.server()
    alice, bob = world.client("alice"), world.client("bob")
    bob.enable(server)
    alice.change(Options(), sending)
    world.run(1)

    alice.notify(bob, chat_id="chat")
    world.run(60)

    assert not server.pushes
    assert alice.heard(Finished)


def test_an_unanswered_query_is_no_answer(world: Any) -> None:  # 10.21
    server = world.server()
    alice, bob = world.client("alice"), world.client("bob")
    alice.notify(bob, message_id=b"1" * 32)
    world.run(60)
    assert alice.heard(DevicesFound) == [DevicesFound(bob.identity.public, ())]
    assert len([one for one in alice.left if isinstance(one, SendToTopic)]) == contacts.MAX_TRIALS

    bob.enable(server)
    world.run(1)
    alice.notify(bob, message_id=b"2" * 32)
    world.run(10)

    assert ends(alice) == [Result.ACCEPTED]


def test_whom_nobody_knows_is_not_asked_about_with_every_message(world: Any) -> None:
    alice, bob = world.client("alice"), world.client("bob")
    alice.notify(bob, message_id=b"1" * 32)
    world.run(46)
    asked = len(alice.left)

    for number in range(10):
        alice.notify(bob, message_id=bytes([number]) * 32)
        world.run(1)

    world.run(60)
    assert len(alice.left) == asked + 1
    assert len(alice.heard(Finished)) == 11


def test_knowledge_of_yesterday_rings_at_once_and_is_renewed(world: Any) -> None:
    server = world.server()
    alice, bob = world.client("alice"), world.client("bob")
    bob.enable(server)
    world.run(1)
    alice.take(Learn(bob.identity.public))
    world.run(86_401)
    alice.left.clear()

    alice.notify(bob)
    world.run(1)

    assert sorted(type(one).__name__ for one in alice.left) == ["SendToKey", "SendToTopic"]
    assert ends(alice) == [Result.ACCEPTED]


def test_each_request_and_each_query_has_a_key_of_its_own(world: Any) -> None:  # 10.23
    servers = [world.server() for _ in range(3)]
    people = [world.client(f"bob{n}") for n in range(6)]
    alice = world.client("alice")
    for number, person in enumerate(people):
        person.enable(servers[number % 3])
    world.run(1)
    alice.take(*(Learn(person.identity.public) for person in people))
    world.run(1)

    for number in range(3):
        alice.notify(*people, message_id=bytes([number]) * 32)
        world.run(1)

    signers = [one.signer.public for one in alice.left if isinstance(one, SendToKey | SendToTopic)]
    assert len(signers) == len(set(signers)) == 6 + 9
    assert alice.identity.public not in signers


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_fast_answer_is_not_lost(world: Any, when: str) -> None:  # 10.18
    server = world.server()
    alice, bob = world.client("alice"), world.client("bob")
    bob.enable(server)
    world.run(1)
    alice.take(Learn(bob.identity.public))
    world.run(1)

    alice.notify(bob)
    if when == "after":
        alice.restart()
    world.run(30)

    assert ends(alice) == [Result.ACCEPTED]


def test_a_group_keeps_its_type_when_it_is_resent(world: Any) -> None:  # 10.20
    server = world.server()
    alice, bob = world.client("alice"), world.client("bob")
    bob.enable(server, options=Options(mentions_in=("status",), muted=("status",)))
    world.run(1)
    alice.take(Learn(bob.identity.public))
    world.run(1)
    bob.change(Options(mentions_in=("status",), muted=("status",), contacts_only=False, contacts=()))
    bob.take(Configure(device=None))
    world.run(1)
    bob.enable(server, options=Options(mentions_in=("status",)))
    world.run(1)

    alice.notify(bob, chat_id="status", type=NotificationType.MENTION)
    world.run(30)

    assert ends(alice) == [Result.ACCEPTED]
    assert len(server.pushes) == 1


@pytest.mark.parametrize("payload", [b"", b"\xff" * 40, b"\x0a\x00"])
def test_nonsense_from_anybody_changes_nothing(world: Any, payload: bytes) -> None:
    server, mallory = world.server(), world.client("mallory")
    alice, bob = world.client("alice"), world.client("bob")
    bob.enable(server)
    world.run(1)
    alice.notify(bob)
    keys = [alice.identity.public, *alice.facts.ephemeral_keys]
    before = list(alice.facts.all_facts())

    for to in keys:
        for kind in (0, 16, 17, 18, 19, 20, 21, 15, 99):
            alice.take(
                EnvelopeReceived(OpenedEnvelope(mallory.identity.public, MessageId(b"x" * 32), kind, payload), to)
            )

    assert list(alice.facts.all_facts()) == before


def test_another_server_cannot_speak_for_the_one_that_was_asked(world: Any) -> None:
    server, liar = world.server(), world.server()
    alice, bob = world.client("alice"), world.client("bob")
    bob.enable(server)
    world.run(1)
    alice.take(Learn(bob.identity.public))
    world.run(1)
    server.silent = True
    alice.notify(bob)

    (request,) = [one for one in alice.left if isinstance(one, SendToKey)]
    (reply,) = server_replies(server, request)
    forged = OpenedEnvelope(liar.keys.public, MessageId(b"x" * 32), reply.type, reply.payload)
    alice.take(EnvelopeReceived(forged, reply.recipient))

    assert ends(alice) == []


def server_replies(server: Any, request: SendToKey) -> Any:
    server.silent = False
    replies = server.hear(open_application(request.application), 0)
    server.silent = True
    return replies


def test_old_messages_and_keys_are_forgotten(world: Any) -> None:
    server = world.server()
    alice, bob = world.client("alice"), world.client("bob")
    bob.enable(server)
    world.run(1)
    alice.notify(bob)
    world.run(2 * 86_400)

    alice.take(Tick())

    assert not alice.facts.recipients
    assert not alice.facts.recipient_devices
    assert not alice.facts.ephemeral_keys
    assert hashes.hash_public_key(bob.identity.public)


def test_a_finished_client_waits_for_nothing(world: Any, new_world: Callable[..., Any]) -> None:
    server = world.server()
    alice, bob = world.client("alice", advertises=False), world.client("bob")
    bob.enable(server)
    world.run(1)

    alice.take(Notify(message_id=b"m" * 32, chat_id="c", targets=(Target(bob.identity.public),)))
    world.run(1)

    assert alice.wakes_at is None
    stages = [one.state for devices in alice.facts.recipient_devices.values() for one in devices.values()]
    assert stages == [DeviceState.ACCEPTED]
