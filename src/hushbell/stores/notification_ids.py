"""
Identifiers of notifications: their numbers under a cipher, so that one reveals nothing of another.

Nothing is stored for them, none is given twice, and one that we never gave is recognised without a look-up.
"""

import hmac
import struct
from collections.abc import Sequence

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

from hushbell.types import SymmetricKey

SIZE = 16
EPOCH_SHIFT = 40  # each opening of an outbox has its own 2^40 numbers
_BLOCK = struct.Struct(">QQ")
_LABEL = b"hushbell notification ids 1"


class NotificationIds:
    """One block of AES for each number: a number that decrypts with a second half of zeros is ours."""

    def __init__(self, key: SymmetricKey) -> None:
        # ECB is right for single blocks that never repeat: it is a permutation of numbers here.
        cipher = Cipher(AES(hmac.digest(key, _LABEL, "sha256")), ECB())  # noqa: S305
        self._encrypt = cipher.encryptor()
        self._decrypt = cipher.decryptor()

    def of(self, first: int, count: int) -> Sequence[bytes]:
        """Return the identifiers of consecutive numbers, 16 bytes each."""
        if count == 1:
            return (self._encrypt.update(_BLOCK.pack(first, 0)),)
        blocks = b"".join([_BLOCK.pack(number, 0) for number in range(first, first + count)])
        sealed = self._encrypt.update(blocks)
        return [sealed[start : start + SIZE] for start in range(0, len(sealed), SIZE)]

    def number(self, ident: bytes) -> int | None:
        """Return the number, or None if the identifier is not ours."""
        if len(ident) != SIZE:
            return None
        number, zeros = _BLOCK.unpack(self._decrypt.update(ident))
        return None if zeros or number >> 63 else int(number)
