"""Our own certificate towards a provider, in the one form that TLS libraries take: a PEM file with its key."""

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    pkcs12,
)
from cryptography.hazmat.primitives.serialization.pkcs12 import PKCS12PrivateKeyTypes

from hushbell.errors import ConfigError
from hushbell.types import Millis


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate with its chain and its key."""

    pem: bytes = field(repr=False)
    expires_at: Millis


def load(content: bytes, password: bytes | None, setting: str) -> Certificate:
    """
    Return what a .p12 or .pem file holds.

    Raises:
        ConfigError: there is no certificate, no key to it, or the password is wrong.
    """
    try:
        key, chain = _from_pem(content, password) if b"-----BEGIN" in content else _from_p12(content, password)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # Not `from error`: its text is the library's and could quote the file.
        raise ConfigError(f"{setting}: not a certificate with its key (.p12 or .pem), or a wrong password") from None
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    pem += b"".join(one.public_bytes(Encoding.PEM) for one in chain)
    ends = min(one.not_valid_after_utc for one in chain)
    return Certificate(pem, Millis(int(ends.timestamp() * 1000)))


class SecretFile:
    """A path to bytes for libraries that only take paths: in memory where the system can, else a file of our own."""

    def __init__(self, content: bytes) -> None:
        if hasattr(os, "memfd_create"):
            self._file = os.memfd_create("certificate")
            self.path = f"/proc/{os.getpid()}/fd/{self._file}"
            self._remove: Callable[[], None] = lambda: None
        else:
            self._file, self.path = tempfile.mkstemp()  # mode 0600
            self._remove = Path(self.path).unlink
        os.write(self._file, content)

    def close(self) -> None:
        """Remove it."""
        os.close(self._file)
        self._remove()


def _from_pem(content: bytes, password: bytes | None) -> tuple[PKCS12PrivateKeyTypes, list[x509.Certificate]]:
    try:
        key = load_pem_private_key(content, password)
    except TypeError:  # a password for a key that has none
        key = load_pem_private_key(content, None)
    chain = x509.load_pem_x509_certificates(content)
    return _matching(key, chain)


def _from_p12(content: bytes, password: bytes | None) -> tuple[PKCS12PrivateKeyTypes, list[x509.Certificate]]:
    key, first, more = pkcs12.load_key_and_certificates(content, password)
    return _matching(key, [one for one in (first, *more) if one is not None])


def _matching(key: Any, chain: list[x509.Certificate]) -> tuple[PKCS12PrivateKeyTypes, list[x509.Certificate]]:
    """Put the key's own certificate first, as TLS wants it."""
    if not isinstance(key, get_args(PKCS12PrivateKeyTypes)):
        raise TypeError("no key")
    private: PKCS12PrivateKeyTypes = key
    public = private.public_key()
    own = [one for one in chain if one.public_key() == public]
    if not own:
        raise ValueError("no certificate for this key")
    return private, own + [one for one in chain if one not in own]
