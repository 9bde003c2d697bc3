"""Files that commands read and write: the configuration, and secrets that nobody else may read."""

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hushbell.config.loader import Source, load
from hushbell.config.settings import Settings
from hushbell.crypto.secp256k1 import key_pair, key_pair_from
from hushbell.errors import ConfigError
from hushbell.providers.registry import SETTINGS
from hushbell.types import KeyPair

DEFAULT_FILE = "hushbell.toml"
CONFIG_LIMIT = 1024 * 1024  # bytes; a longer file is no configuration
SECRET_LIMIT = 64 * 1024  # bytes; keys are far smaller


def read_settings(config: str | None, flags: Mapping[str, Any] | None = None) -> Settings:
    """
    Return the settings from the file, the environment and the flags.

    Args:
        config: what ``--config`` named, or None for ``hushbell.toml``, which may be missing.
        flags: values from the command line by dotted key; None is a flag that was not given.

    Raises:
        ConfigError: a line for each mistake.
    """
    return load(_source(config), os.environ, flags, providers=SETTINGS)


def identity_path(settings: Settings) -> Path:
    """Return where the server's private key is."""
    return Path(settings.server.identity_file or Path(settings.server.data) / "identity.key")


def read_secret(path: Path, setting: str) -> bytes:
    """
    Return the content of a file that holds a secret.

    Raises:
        ConfigError: it cannot be read, is too long, or others may read it; names ``setting``.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read(SECRET_LIMIT + 1)
    except OSError as error:
        raise ConfigError(f"{setting}: cannot read {path}: {error.strerror}") from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigError(f"{setting}: {path} is open to others: chmod 600 {path}")
    if len(content) > SECRET_LIMIT:
        raise ConfigError(f"{setting}: {path} is longer than {SECRET_LIMIT} bytes")
    return content


def read_identity(path: Path, setting: str = "server.identity_file") -> KeyPair:
    """
    Return the key pair of an identity file: the private key as 64 hex digits.

    Raises:
        ConfigError: it cannot be read, others may read it, or it holds no key.
    """
    text = read_secret(path, setting)
    try:
        return key_pair_from(bytes.fromhex(text.decode("ascii").strip()))
    except ValueError:
        # Not `from error`: its text could quote the key.
        raise ConfigError(f"{setting}: {path} must hold a private key as 64 hex digits") from None


def made_identity(path: Path, setting: str = "server.identity_file") -> KeyPair:
    """Return the key pair of an identity file, made on first use. Raises ConfigError as :func:`read_identity`."""
    if not path.exists():
        write_secret(path, key_pair(os.urandom).private.hex().encode() + b"\n")
    return read_identity(path, setting)


def write_secret(path: Path, content: bytes) -> None:
    """Write a new file that only its owner may read, and return when it survives a power cut."""
    write_new(path, content, mode=0o600)


def write_new(path: Path, content: bytes, *, mode: int = 0o644) -> None:
    """
    Write a file that must not exist yet, and return when it survives a power cut.

    It appears under its name only when it is whole, so that nothing killed meanwhile leaves half a key behind.

    Raises:
        ConfigError: it exists; nothing was changed.
        OSError: it cannot be written.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.unlink(missing_ok=True)
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except OSError as error:
        error.filename = str(path)  # the other name would mean nothing to anybody
        raise
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        # A link, unlike a rename, never replaces what another process put there.
        os.link(beside, path)
    except FileExistsError as error:
        raise ConfigError(f"{path} exists and is left as it is") from error
    finally:
        beside.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _source(config: str | None) -> Source | None:
    path = Path(config or DEFAULT_FILE)
    try:
        with path.open("rb") as file:
            content = file.read(CONFIG_LIMIT + 1)
    except FileNotFoundError as error:
        if config is None:
            return None
        raise ConfigError(f"--config {path}: no such file") from error
    except OSError as error:
        raise ConfigError(f"--config {path}: {error.strerror}") from error
    if len(content) > CONFIG_LIMIT:
        raise ConfigError(f"{path}: longer than {CONFIG_LIMIT} bytes")
    try:
        return Source(str(path), content.decode())
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ConfigError(f"{path}:{line}: not UTF-8") from error
