"""Every cryptographic fact in the conversations that real status-go clients and servers had."""

from collections.abc import Callable, Iterator
from typing import Any

from hushbell.crypto import access_tokens, ciphers, ecies, grants, hashes, message_ids, secp256k1, signatures, topics
from hushbell.types import AccessToken, KeyHash, KeyPair, PrivateKey, PubsubTopic, SymmetricKey

Transcript = dict[str, Any]
h = bytes.fromhex
WITH_WRONG_GRANTS = {"t14_wrong_grant"}


def messages(transcript: Transcript, layer: str) -> Iterator[dict[str, Any]]:
    """Yield the layers of every message that has this one."""
    found = [step["layers"] for step in transcript["steps"] if layer in step.get("layers", {})]
    assert found, "a transcript without messages proves nothing"
    yield from found


def keys(transcript: Transcript) -> dict[str, KeyPair]:
    return {name: secp256k1.key_pair_from(h(key["private_key"])) for name, key in transcript["keys"].items()}


def test_public_keys_follow_from_private_ones(transcript: Transcript) -> None:
    for name, pair in keys(transcript).items():
        assert pair.public.hex() == transcript["keys"][name]["public_key"]


def test_application_signatures_are_recovered_and_made_again(transcript: Transcript) -> None:
    pairs = keys(transcript)

    for layers in messages(transcript, "application"):
        message = layers["application"]
        payload, signature = h(message["payload_hex"]), h(message["signature_hex"])
        signer = signatures.recover_signer(payload, signature)

        assert signer.hex() == message["signer_public_key"]
        assert signatures.sign_payload(payload, pairs[message["signer"]].private) == signature
        assert message_ids.message_id(signer, h(message["amm_hex"])).hex() == message["message_id"]


def test_frames_are_opened_and_their_signatures_made_again(
    transcript: Transcript, slow_topic_key: Callable[[str], SymmetricKey]
) -> None:
    pairs = keys(transcript)

    for layers in messages(transcript, "rfc26"):
        rfc26, payload = layers["rfc26"], h(layers["waku_message"]["payload_hex"])
        framed = h(rfc26["frame_hex"])
        # Whether the recorded frame includes its signature is the recording's choice, not the protocol's.
        signed = framed.removesuffix(h(rfc26["signature_hex"]))

        if rfc26["encryption"] == "symmetric":
            key = slow_topic_key(rfc26["password"])
            assert key.hex() == rfc26["sym_key"]
            opened = ciphers.open_symmetric(key, payload)
            assert ciphers.seal_symmetric(key, opened, payload[-12:]) == payload
        else:
            opened = ecies.decrypt(PrivateKey(h(rfc26["decryption_private_key"])), payload)

        assert opened == framed
        assert opened == signed + h(rfc26["signature_hex"])
        assert signatures.recover_frame_signer(signed, opened[-65:]).hex() == rfc26["signer_public_key"]
        assert signatures.sign_frame(signed, pairs[rfc26["signer"]].private) == opened[-65:]


def test_messages_have_the_recorded_hash(transcript: Transcript) -> None:
    for step in (step for step in transcript["steps"] if step["kind"] == "waku"):
        waku, shard = step["layers"]["waku_message"], PubsubTopic(step["pubsub_topic"])
        assert topics.content_topic(topics.parse_content_topic(waku["content_topic"]) or b"") == waku["content_topic"]
        found = message_ids.message_hash(
            shard, h(waku["payload_hex"]), waku["content_topic"], h(waku["meta_hex"]), waku["timestamp_ns"]
        )
        assert found.hex() == waku["message_hash"]


def test_registrations_open_for_both_sides_and_seal_again(transcript: Transcript) -> None:
    pairs = keys(transcript)

    for layers in messages(transcript, "registration_encryption"):
        sealing, sealed = layers["registration_encryption"], h(layers["application"]["payload_hex"])
        client, server = pairs[layers["application"]["signer"]], pairs[sealing["server"]]
        key = SymmetricKey(secp256k1.ecdh_x(server.private, client.public))

        assert key.hex() == sealing["shared_key"]
        assert secp256k1.ecdh_x(client.private, server.public) == key
        assert ciphers.open_gcm(key, sealed).hex() == sealing["plaintext_hex"]
        assert ciphers.seal_gcm(key, h(sealing["nonce_hex"]), h(sealing["plaintext_hex"])) == sealed
        assert message_ids.request_id(sealed).hex() == layers["request_id"]


def test_grants_are_valid_and_made_again(transcript: Transcript) -> None:
    pairs, wrong = keys(transcript), []

    for step in transcript["steps"]:
        decoded = step.get("decoded") or {}
        if step.get("type") != "PUSH_NOTIFICATION_REGISTRATION" or "access_token" not in decoded:
            continue
        layers = step["layers"]
        client = pairs[layers["application"]["signer"]]
        server = pairs[layers["registration_encryption"]["server"]].public
        token = AccessToken(decoded["access_token"])
        recorded = h(decoded.get("grant", ""))
        made = grants.make_grant(client, server, token)

        assert grants.grant_is_valid(made, client.public, server, token)
        assert grants.grant_is_valid(recorded, client.public, server, token) == (recorded == made)
        if recorded != made:
            wrong.append(recorded)
    # Wrong and missing grants are what two conversations are about.
    assert not wrong or transcript["name"] in WITH_WRONG_GRANTS


def test_contacts_and_only_contacts_find_the_access_token(transcript: Transcript) -> None:
    pairs = keys(transcript)
    contacts_only = [
        (step["decoded"], pairs[step["layers"]["application"]["signer"]])
        for step in transcript["steps"]
        if step.get("type") == "PUSH_NOTIFICATION_REGISTRATION" and (step.get("decoded") or {}).get("allowed_key_list")
    ]
    assert bool(contacts_only) == any("allowed_key_list" in (s.get("decoded") or {}) for s in transcript["steps"])

    for registration, client in contacts_only:
        entries = [h(entry) for entry in registration["allowed_key_list"]]
        found = {
            name: access_tokens.open_access_token(entries, pair.private, client.public) for name, pair in pairs.items()
        }
        readers = {name for name, token in found.items() if token is not None}

        assert {found[name] for name in readers} == {registration["access_token"]}
        assert len(readers) == len(entries)
        for name in readers:
            entry = next(e for e in entries if access_tokens.open_access_token([e], pairs[name].private, client.public))
            token = AccessToken(registration["access_token"])
            assert access_tokens.seal_access_token(token, client.private, pairs[name].public, entry[:12]) == entry


def test_topics_are_those_status_go_listens_to(transcript: Transcript) -> None:
    heard = {topic for one in transcript["subscriptions"] for topic in one["content_topics"]}
    bob, server = keys(transcript)["bob"].public, keys(transcript)["server"].public

    for public in (bob, server):
        assert topics.partitioned_topic(public) in heard
        assert topics.personal_topic(public) in heard
        assert topics.contact_code_topic(public) in heard
    owned = {name for name in transcript["symmetric_keys"] if len(name) == 128}
    assert {topics.query_topic(KeyHash(h(name))) for name in owned} <= heard


def test_symmetric_keys_are_derived_from_the_names(
    transcript: Transcript, slow_topic_key: Callable[[str], SymmetricKey]
) -> None:
    for name, key in transcript["symmetric_keys"].items():
        assert slow_topic_key(name).hex() == key


def test_owners_are_named_by_the_hash_of_their_keys(transcript: Transcript) -> None:
    owners = {hashes.hash_public_key(pair.public).hex() for pair in keys(transcript).values()}
    rows = transcript["databases_after"].get("server", {}).get("push_notification_server_registrations", [])
    stored = {row["public_key"] for row in rows}

    assert stored <= owners


def test_the_real_waku_layer_is_understood(real_post: Transcript) -> None:
    post = real_post["post"]
    raw = h(post["waku_message"])
    size = (raw[1] & 0x7F) | raw[2] << 7
    payload, topic = raw[3 : 3 + size], raw[5 + size : 5 + size + 24].decode()
    recipient = PrivateKey(h(post["private_key_of_recipient"]))

    framed = ecies.decrypt(recipient, payload)
    signer = secp256k1.public_key(PrivateKey(h(post["signer_private_key"])))
    digest = message_ids.message_hash(PubsubTopic(post["pubsub_topic"]), payload, topic, b"", post["timestamp"])

    assert framed[2 : 2 + framed[1]] == h(post["data"])
    assert signatures.recover_frame_signer(framed[:-65], framed[-65:]) == signer
    assert digest.hex() == post["message_hash"]
