"""
Keys and signatures on secp256k1, through the C library that coincurve carries.

coincurve's own classes are passed by for two reasons. Its raw-X multiplication runs in variable time, and the scalar is
the server's long-term key, which anyone who can send an envelope may trigger; and its objects cost up to a fifth of the
work.

Every length is checked here before C sees a pointer: the library reads 32, 33, 64 or 65 bytes whatever it is given, and
aborts the process for a recovery id above 3. Buffers are made per call (1 µs in 40), so calls may run in any number of
threads; the context is only read. coincurve blinded it with fresh randomness when it was imported.
"""

from typing import Any

from coincurve._libsecp256k1 import ffi, lib
from coincurve.context import GLOBAL_CONTEXT

from hushbell.errors import Unauthentic
from hushbell.types import CompressedKey, KeyPair, PrivateKey, PublicKey, Random, Signature

_CONTEXT = GLOBAL_CONTEXT.ctx
_NULL = ffi.NULL
_UNCOMPRESSED = 2  # SECP256K1_EC_UNCOMPRESSED

# Types parsed once; a string would be parsed at each call.
_POINT = ffi.typeof("secp256k1_pubkey *")
_RECOVERABLE = ffi.typeof("secp256k1_ecdsa_recoverable_signature *")
_LENGTH = ffi.typeof("size_t *")
_NUMBER = ffi.typeof("int *")
_BYTES_32 = ffi.typeof("unsigned char[32]")
_BYTES_64 = ffi.typeof("unsigned char[64]")
_BYTES_65 = ffi.typeof("unsigned char[65]")

_SCALAR_DRAWS = 8  # one draw in 2**128 is invalid; a source with eight invalid ones is broken


@ffi.callback("int (unsigned char *, const unsigned char *, const unsigned char *, void *)")  # type: ignore[untyped-decorator,unused-ignore]
def _copy_x(output: Any, x: Any, _y: Any, _data: Any) -> int:
    """Replace the hash of ``secp256k1_ecdh``: the shared secret is X itself."""
    ffi.memmove(output, x, 32)
    return 1


def public_key(private: PrivateKey) -> PublicKey:
    """
    Return the public key of a private one.

    Raises:
        ValueError: not 32 bytes, zero, or not below the order of the curve.
    """
    point = ffi.new(_POINT)
    if len(private) != 32 or not lib.secp256k1_ec_pubkey_create(_CONTEXT, point, private):
        raise ValueError("a private key is 32 bytes, above zero and below the order of the curve")
    return _serialized(point)


def key_pair(random: Random) -> KeyPair:
    """
    Draw a fresh key pair.

    Raises:
        ValueError: the source of randomness yields no scalar; it is broken.
    """
    for _ in range(_SCALAR_DRAWS):
        private = random(32)
        if len(private) == 32 and lib.secp256k1_ec_seckey_verify(_CONTEXT, private):
            return key_pair_from(private)
    raise ValueError("the source of randomness yields no private key")


def key_pair_from(private: bytes) -> KeyPair:
    """
    Return the key pair of 32 bytes that came from a file or a test.

    Raises:
        ValueError: not 32 bytes, zero, or not below the order of the curve.
    """
    return KeyPair(PrivateKey(private), public_key(PrivateKey(private)))


def compress(public: PublicKey) -> CompressedKey:
    """
    Return the 33-byte form of a key.

    That the point is on the curve was settled when the key was made or parsed.

    Raises:
        ValueError: not the 65-byte form.
    """
    if len(public) != 65 or public[0] != 4:
        raise ValueError("an uncompressed key is 65 bytes and begins with 04")
    return CompressedKey(bytes((2 | public[64] & 1,)) + public[1:33])


def parse_public_key(data: bytes) -> PublicKey:
    """
    Return the key that a peer sent, whichever of the two forms it chose.

    Args:
        data: 33 bytes beginning with 02 or 03, or 65 beginning with 04. The hybrid forms 06 and 07, which the C
            library would take, are refused: nobody sends them, and a key must have one name.

    Raises:
        Unauthentic: anything else, or not a point of the curve.
    """
    return _serialized(_parsed(data))


def ecdh_x(private: PrivateKey, public: PublicKey) -> bytes:
    """
    Return the X coordinate of ``private * public``, 32 bytes, big-endian, not hashed. Runs in constant time.

    Raises:
        Unauthentic: the public key is not a point of the curve.
        ValueError: the private key is not a scalar.

    Source: reference/status-go.md 2.5.
    """
    if len(private) != 32:
        raise ValueError("a private key is 32 bytes, above zero and below the order of the curve")
    point = _parsed(public)
    shared = ffi.new(_BYTES_32)
    if not lib.secp256k1_ecdh(_CONTEXT, shared, point, private, _copy_x, _NULL):
        raise ValueError("a private key is 32 bytes, above zero and below the order of the curve")
    return bytes(ffi.buffer(shared))


def sign(digest: bytes, private: PrivateKey) -> Signature:
    """
    Sign a digest: the nonce is that of RFC 6979, S is the lower one, V is 0 or 1.

    Args:
        digest: 32 bytes, already hashed.
        private: the signer's key.

    Raises:
        ValueError: a length is wrong, or the private key is not a scalar.

    Source: reference/status-go.md 2.3. RFC 26 says V is 27 or 28; status-go writes and takes 0 and 1, so we do.
    """
    if len(digest) != 32:
        raise ValueError("a digest is 32 bytes")
    signature = ffi.new(_RECOVERABLE)
    if len(private) != 32 or not lib.secp256k1_ecdsa_sign_recoverable(
        _CONTEXT, signature, digest, private, _NULL, _NULL
    ):
        raise ValueError("a private key is 32 bytes, above zero and below the order of the curve")
    compact = ffi.new(_BYTES_64)
    recovery_id = ffi.new(_NUMBER)
    lib.secp256k1_ecdsa_recoverable_signature_serialize_compact(_CONTEXT, compact, recovery_id, signature)
    return Signature(bytes(ffi.buffer(compact)) + bytes((recovery_id[0],)))


def recover(digest: bytes, signature: bytes) -> PublicKey:
    """
    Return the key that made a signature. Some key made almost any; the caller says whether it is the right one.

    Args:
        digest: 32 bytes, already hashed.
        signature: ``R || S || V``. V is 0..3, as status-go's library takes it; a high S is taken too, so a stranger
            can turn one valid signature into another of the same key: never use signatures as identifiers.

    Raises:
        Unauthentic: not 65 bytes, V above 3, R or S out of range, or no point for R.
        ValueError: the digest is not 32 bytes.
    """
    if len(digest) != 32:
        raise ValueError("a digest is 32 bytes")
    if len(signature) != 65 or signature[64] > 3:
        raise Unauthentic("a signature is 65 bytes and ends in a recovery id of 0 to 3")
    parsed = ffi.new(_RECOVERABLE)
    if not lib.secp256k1_ecdsa_recoverable_signature_parse_compact(_CONTEXT, parsed, signature, signature[64]):
        raise Unauthentic("R or S of the signature is out of range")
    point = ffi.new(_POINT)
    if not lib.secp256k1_ecdsa_recover(_CONTEXT, point, parsed, digest):
        raise Unauthentic("no key can have made the signature")
    return _serialized(point)


def _parsed(data: bytes) -> Any:
    """Return the point in the library's own form; raises Unauthentic."""
    length = len(data)
    if not (length == 65 and data[0] == 4) and not (length == 33 and data[0] in {2, 3}):
        raise Unauthentic("a public key is 33 bytes beginning with 02 or 03, or 65 beginning with 04")
    point = ffi.new(_POINT)
    if not lib.secp256k1_ec_pubkey_parse(_CONTEXT, point, data, length):
        raise Unauthentic("the public key is not a point of the curve")
    return point


def _serialized(point: Any) -> PublicKey:
    """Return 65 bytes. The point must be valid: the library aborts the process for another."""
    output = ffi.new(_BYTES_65)
    lib.secp256k1_ec_pubkey_serialize(_CONTEXT, output, ffi.new(_LENGTH, 65), point, _UNCOMPRESSED)
    return PublicKey(bytes(ffi.buffer(output)))
