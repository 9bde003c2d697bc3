"""
What lies on the disk is sealed, and the key is not in the database: a stolen database must not ring phones.

A sealed value is ``generation(8) || nonce(12) || AES-256-GCM(ciphertext || tag(16))``. The key of a generation is
HMAC-SHA256(file key, generation); a process starts a new random one when it opens the store and after 2^30 values. The
upper half of a nonce is random and belongs to the generation, the lower half counts: under one key none comes twice,
and if two generations ever were the same, their nonces would still differ.
"""

import contextlib
import errno
import hmac
import os
import stat
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hushbell.errors import ConfigError, StoreCorrupt
from hushbell.types import Random, SymmetricKey

KEY_SIZE = 32
GENERATION_SIZE = 8
NONCE_SIZE = 12
OVERHEAD = GENERATION_SIZE + NONCE_SIZE + 16  # bytes that sealing adds
VALUES_PER_GENERATION = 2**30
KEYS_REMEMBERED = 1024  # derived keys held in memory; deriving one again costs 3 µs
_LABEL = b"hushbell at rest 1"


def load_or_create_key(path: Path, *, random: Random) -> SymmetricKey:
    """
    Return the 32-byte key in the file; a missing file is made, and is on the disk before this returns.

    Raises:
        ConfigError: the file is no such key, others may read it, or it cannot be read or made.
    """
    try:
        if not path.exists():
            _create(path, random(KEY_SIZE), suffix=random(8).hex())
        return load_key(path)
    except OSError as error:
        raise ConfigError(f"{path}: the storage key cannot be read or made: {error.strerror}") from error


def load_key(path: Path) -> SymmetricKey:
    """
    Return the 32-byte key in the file.

    Raises:
        ConfigError: the file is no such key, or others may read it.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        key = file.read(KEY_SIZE + 1)
    if mode & 0o077:
        raise ConfigError(f"{path}: a storage key that others may use (mode {mode:04o}); run: chmod 600 {path}")
    if len(key) != KEY_SIZE:
        raise ConfigError(f"{path}: a storage key has exactly {KEY_SIZE} bytes; restore the file from a backup")
    return SymmetricKey(key)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_folder(folder: Path) -> None:
    """Make a folder for this user alone (0700), with its parents. An existing one stays as it is."""
    if folder.is_dir():
        return
    if folder.exists():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
    make_folder(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    sync_folder(folder.parent)


def _create(path: Path, key: bytes, *, suffix: str) -> None:
    """Write the key under another name, sync it, and give it its name only if none exists yet."""
    make_folder(path.parent)
    temporary = path.with_name(f".{path.name}.{suffix}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(key)
            file.flush()
            os.fsync(file.fileno())
        # A rename would replace the key that a second process may be using by now.
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        temporary.unlink()
    sync_folder(path.parent)


class AtRest:
    """Seals and opens rows. A value opens only in the place it was sealed for."""

    def __init__(self, key: SymmetricKey, *, random: Random) -> None:
        self._key = key
        self._random = random
        self._ciphers: dict[bytes, AESGCM] = {}
        self._generation = b""
        self._nonces = b""  # the upper half of the generation's
        self._left = 0

    def seal(self, table: str, row: bytes, plaintext: bytes) -> bytes:
        """Return the plaintext and :data:`OVERHEAD` bytes, bound to the table and the row's key."""
        if self._left == 0:
            self._generation = self._random(GENERATION_SIZE)
            self._nonces = self._random(NONCE_SIZE // 2)
            self._left = VALUES_PER_GENERATION
        self._left -= 1
        nonce = self._nonces + self._left.to_bytes(NONCE_SIZE // 2, "big")
        sealed = self._cipher(self._generation).encrypt(nonce, plaintext, _place(table, row))
        return self._generation + nonce + sealed

    def open(self, table: str, row: bytes, sealed: bytes) -> bytes:
        """
        Return the plaintext.

        Raises:
            StoreCorrupt: altered, from another place, or sealed with another key.
        """
        start = GENERATION_SIZE + NONCE_SIZE
        cipher = self._cipher(sealed[:GENERATION_SIZE])
        try:
            return cipher.decrypt(sealed[GENERATION_SIZE:start], sealed[start:], _place(table, row))
        except (InvalidTag, ValueError) as error:
            raise StoreCorrupt(f"a row of {table} does not decrypt") from error

    def _cipher(self, generation: bytes) -> AESGCM:
        cipher = self._ciphers.get(generation)
        if cipher is None:
            if len(self._ciphers) >= KEYS_REMEMBERED:
                self._ciphers.clear()
            cipher = AESGCM(hmac.digest(self._key, _LABEL + generation, "sha256"))
            self._ciphers[generation] = cipher
        return cipher


def _place(table: str, row: bytes) -> bytes:
    return table.encode() + b"\0" + row
