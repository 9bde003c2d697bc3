"""Every value of status-go-vectors.json, made again and taken apart again through public functions."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from hushbell.crypto import ciphers, ecies, grants, hashes, message_ids, secp256k1, signatures, topics
from hushbell.types import AccessToken, KeyPair, PubsubTopic, SymmetricKey

CHOSEN = {  # what the author of the vectors picked; nothing can be computed for these
    "_note",
    "client_priv",
    "server_priv",
    "ephemeral_sender_priv",
    "access_token",
    "installation_id",
    "gcm_nonce",
    "ecies_ephemeral_priv",
    "ecies_iv",
    "padding_byte",
    "timestamp_ns",
    "pubsub_topic",
}
NOT_GIVEN = {f"topics.{name}.sym_key_pbkdf2" for name in (
    "client_partition", "server_partition", "server_personal", "ephemeral_partition")}  # fmt: skip
PASSWORD_TOPICS = ("client_contact_code", "query_client")


def leaves(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in table.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def frame(data: bytes, signer: KeyPair, padding: bytes) -> bytes:
    digits = (len(data).bit_length() + 7) // 8
    start = bytes((digits | 4,)) + len(data).to_bytes(digits, "little") + data
    signed = start + padding * (256 - (len(start) + 65) % 256)
    return signed + signatures.sign_frame(signed, signer.private)


class Remade:
    """All computed values, from the chosen ones alone, by their names in the file."""

    def __init__(self, given: Mapping[str, Any], protobuf: Callable[..., bytes]) -> None:
        def key(name: str) -> KeyPair:
            return secp256k1.key_pair_from(bytes.fromhex(given[name]))

        self.given = given
        self.protobuf = protobuf
        self.values: dict[str, str | int] = {}
        self.client, self.server = key("client_priv"), key("server_priv")
        self.sender, self.ephemeral = key("ephemeral_sender_priv"), key("ecies_ephemeral_priv")
        self.token = AccessToken(given["access_token"])
        self.owner = hashes.hash_public_key(self.client.public)
        self._keys()
        self._topics()
        self._registration()
        self._query()
        self._request()

    def _put(self, **values: bytes | str | int) -> None:
        self.values |= {name: value.hex() if isinstance(value, bytes) else value for name, value in values.items()}

    def _keys(self) -> None:
        self._put(
            client_pub_uncompressed=self.client.public,
            client_pub_compressed=secp256k1.compress(self.client.public),
            server_pub_uncompressed=self.server.public,
            server_pub_compressed=secp256k1.compress(self.server.public),
            ephemeral_sender_pub_uncompressed=self.sender.public,
            ephemeral_sender_partition=topics.partition(self.sender.public),
            hashed_client_pubkey=self.owner,
            author_hash_client=hashes.hash_author(self.client.public),
            shared_key_client_server=secp256k1.ecdh_x(self.client.private, self.server.public),
            grant_preimage_hash=grants.grant_digest(self.client.public, self.server.public, self.token),
            grant=grants.make_grant(self.client, self.server.public, self.token),
        )

    def _topics(self) -> None:
        named = {
            "client_partition": (topics.partitioned_topic_name, topics.partitioned_topic, self.client.public),
            "server_partition": (topics.partitioned_topic_name, topics.partitioned_topic, self.server.public),
            "server_personal": (topics.personal_topic_name, topics.personal_topic, self.server.public),
            "client_contact_code": (topics.contact_code_topic_name, topics.contact_code_topic, self.client.public),
            "query_client": (topics.query_topic_name, topics.query_topic, self.owner),
            "ephemeral_partition": (topics.partitioned_topic_name, topics.partitioned_topic, self.sender.public),
        }
        for name, (string, topic, argument) in named.items():
            text = string(argument)  # type: ignore[operator]
            self._put(**{
                f"topics.{name}.string": text,
                f"topics.{name}.topic4": topics.topic4(text),
                f"topics.{name}.content_topic": topic(argument),  # type: ignore[operator]
            })  # fmt: skip
            if name in PASSWORD_TOPICS:
                self._put(**{f"topics.{name}.sym_key_pbkdf2": topics.topic_key(text)})

    def _amm(self, payload: bytes, signer: KeyPair, kind: int) -> bytes:
        return self.protobuf((1, signatures.sign_payload(payload, signer.private)), (2, payload), (3, kind))

    def _wire(self, prefix: str, frame_bytes: bytes, payload: bytes, topic: str) -> None:
        when = self.given["timestamp_ns"]
        message = self.protobuf((1, payload), (2, topic), (3, 1), (10, when * 2), (11, b""), (31, 0))
        shard = PubsubTopic(self.given["pubsub_topic"])
        values: dict[str, bytes | str] = {
            f"{prefix}_rfc26_frame": frame_bytes,
            f"{prefix}_waku_payload": payload,
            f"{prefix}_content_topic": topic,
            f"{prefix}_waku_message": message,
            f"{prefix}_message_hash": message_ids.message_hash(shard, payload, topic, b"", when),
        }
        self._put(**values)

    def _registration(self) -> None:
        grant = bytes.fromhex(str(self.values["grant"]))
        installation = self.given["installation_id"]
        plain = self.protobuf(
            (1, 1), (2, "abc"), (3, installation), (4, self.token), (5, 1), (6, 1), (10, grant)
        )  # fmt: skip
        key = SymmetricKey(secp256k1.ecdh_x(self.server.private, self.client.public))
        sealed = ciphers.seal_gcm(key, bytes.fromhex(self.given["gcm_nonce"]), plain)
        amm = self._amm(sealed, self.client, 16)
        self._put(registration_plain=plain, registration_encrypted=sealed, request_id=message_ids.request_id(sealed))
        self._put(pnr_amm=amm, pnr_message_id=message_ids.message_id(self.client.public, amm))
        framed = frame(amm, self.client, bytes.fromhex(self.given["padding_byte"]))
        payload = ecies.encrypt(self.server.public, framed, self.ephemeral, bytes.fromhex(self.given["ecies_iv"]))
        self._wire("pnr", framed, payload, topics.personal_topic(self.server.public))

    def _query(self) -> None:
        amm = self._amm(self.protobuf((1, self.owner)), self.sender, 18)
        self._put(query_amm=amm, query_message_id=message_ids.message_id(self.sender.public, amm))
        framed = frame(amm, self.sender, bytes.fromhex(self.given["padding_byte"]))
        key = topics.topic_key(topics.query_topic_name(self.owner))
        payload = ciphers.seal_symmetric(key, framed, bytes.fromhex(self.given["gcm_nonce"]))
        self._wire("query", framed, payload, topics.query_topic(self.owner))

    def _request(self) -> None:
        author = hashes.hash_author(self.client.public)
        item = self.protobuf(
            (1, self.token), (2, author), (3, self.owner), (4, self.given["installation_id"]), (6, 1), (7, author)
        )  # fmt: skip
        payload = self.protobuf((1, item), (2, bytes(range(32))))
        amm = self._amm(payload, self.sender, 20)
        self._put(request_amm=amm, request_message_id=message_ids.message_id(self.sender.public, amm))


@pytest.fixture(scope="module")
def remade(vectors: dict[str, Any], protobuf: Callable[..., bytes]) -> dict[str, str | int]:
    return Remade(vectors, protobuf).values


def test_every_value_is_made_again_byte_for_byte(vectors: dict[str, Any], remade: dict[str, str | int]) -> None:
    computed = {name: value for name, value in leaves(vectors) if name not in CHOSEN | NOT_GIVEN}

    assert remade == computed


def test_no_value_of_the_file_is_left_unchecked(vectors: dict[str, Any], remade: dict[str, str | int]) -> None:
    names = {name for name, _ in leaves(vectors)}

    assert names == CHOSEN | NOT_GIVEN | set(remade)
    assert len(names) == 66
    assert all(value is None for name, value in leaves(vectors) if name in NOT_GIVEN)


def test_the_sealed_messages_open(vectors: dict[str, Any]) -> None:
    server = secp256k1.key_pair_from(bytes.fromhex(vectors["server_priv"]))
    shared = SymmetricKey(bytes.fromhex(vectors["shared_key_client_server"]))
    query = SymmetricKey(bytes.fromhex(vectors["topics"]["query_client"]["sym_key_pbkdf2"]))

    opened = ecies.decrypt(server.private, bytes.fromhex(vectors["pnr_waku_payload"]))
    registration = ciphers.open_gcm(shared, bytes.fromhex(vectors["registration_encrypted"]))
    asked = ciphers.open_symmetric(query, bytes.fromhex(vectors["query_waku_payload"]))

    assert opened.hex() == vectors["pnr_rfc26_frame"]
    assert registration.hex() == vectors["registration_plain"]
    assert asked.hex() == vectors["query_rfc26_frame"]


@pytest.mark.parametrize(
    "name,signer", [("pnr_amm", "client"), ("query_amm", "ephemeral_sender"), ("request_amm", "ephemeral_sender")]
)
def test_the_signer_of_each_message_is_recovered(vectors: dict[str, Any], name: str, signer: str) -> None:
    amm = bytes.fromhex(vectors[name])
    prefix = 3 if amm[68] < 0x80 else 4  # tag and length of the payload

    recovered = signatures.recover_signer(amm[67 + prefix - 1 : -2], amm[2:67])

    assert recovered.hex() == vectors[f"{signer}_pub_uncompressed"]


@pytest.mark.parametrize("name,signer", [("pnr_rfc26_frame", "client"), ("query_rfc26_frame", "ephemeral_sender")])
def test_the_signer_of_each_frame_is_recovered(vectors: dict[str, Any], name: str, signer: str) -> None:
    data = bytes.fromhex(vectors[name])

    assert signatures.recover_frame_signer(data[:-65], data[-65:]).hex() == vectors[f"{signer}_pub_uncompressed"]


def test_the_grant_holds_for_this_client_server_and_token_alone(vectors: dict[str, Any]) -> None:
    client = secp256k1.parse_public_key(bytes.fromhex(vectors["client_pub_compressed"]))
    server = secp256k1.parse_public_key(bytes.fromhex(vectors["server_pub_uncompressed"]))
    grant, token = bytes.fromhex(vectors["grant"]), AccessToken(vectors["access_token"])

    assert grants.grant_is_valid(grant, client, server, token)
    assert not grants.grant_is_valid(grant, server, client, token)
    assert not grants.grant_is_valid(grant, client, server, AccessToken(token.upper()))
    assert not grants.grant_is_valid(grant[:-1], client, server, token)
    assert not grants.grant_is_valid(grant, client, server, AccessToken("\ud800"))


def test_each_content_topic_is_read_back(vectors: dict[str, Any]) -> None:
    for topic in vectors["topics"].values():
        assert topics.parse_content_topic(topic["content_topic"]) == bytes.fromhex(topic["topic4"])
