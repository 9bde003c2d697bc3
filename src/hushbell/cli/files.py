"""Files of the commands: the configuration, and secrets that only their owner may read."""

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
MAX_CONFIG_BYTES = 1024 * 1024  # bytes; a longer file is no configuration
MAX_SECRET_BYTES = 64 * 1024  # bytes; keys are far smaller


def read_settings(config: str | None, flags: Mapping[str, Any] | None = None) -> Settings:
    """
    Return the settings from the file, the environment and the flags.

    Args:
        config: what ``--config`` named, or None for ``hushbell.toml``, which may be missing.
        flags: values from the command line by dotted key; None is a flag that was not given.

    Raises:
        ConfigError: a line for each mistake.
    """
    return load(_read_source(config), os.environ, flags, providers=SETTINGS)


def identity_path(settings: Settings) -> Path:
    """Return the path of the server's private key."""
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
            content = file.read(MAX_SECRET_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{setting}: cannot read {path}: {error.strerror}") from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigError(f"{setting}: {path} is open to others: chmod 600 {path}")
    if len(content) > MAX_SECRET_BYTES:
        raise ConfigError(f"{setting}: {path} is longer than {MAX_SECRET_BYTES} bytes")
    return content


def read_identity(path: Path, setting: str = "server.identity_file") -> KeyPair:
    """
    Return the key pair of an identity file: the private key as 64 hex digits.

    Raises:
        ConfigError: it cannot be read, others may read it, or it does not contain a key.
    """
    text = read_secret(path, setting)
    try:
        return key_pair_from(bytes.fromhex(text.decode("ascii").strip()))
    except ValueError:
        # Not `from error`: its text could quote the key.
        raise ConfigError(f"{setting}: {path} must hold a private key as 64 hex digits") from None


def load_or_create_identity(path: Path, setting: str = "server.identity_file") -> KeyPair:
    """Return the key pair of an identity file, created if missing. Raises ConfigError as :func:`read_identity`."""
    if not path.exists():
        write_secret(path, key_pair(os.urandom).private.hex().encode() + b"\n")
    return read_identity(path, setting)


def write_secret(path: Path, content: bytes) -> None:
    """Write a new file that only its owner may read. It is on the disk when this returns."""
    write_new(path, content, mode=0o600)


def write_new(path: Path, content: bytes, *, mode: int = 0o644) -> None:
    """
    Write a file that must not exist yet. It is on the disk when this returns.

    It gets its name when it is complete, so that a process that is killed leaves no partial file under the name.

    Raises:
        ConfigError: it exists; nothing was changed.
        OSError: it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except OSError as error:
        error.filename = str(path)  # the temporary name means nothing to the user
        raise
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        # A link, unlike a rename, never replaces what another process put there.
        os.link(temporary, path)
    except FileExistsError as error:
        raise ConfigError(f"{path} exists and is left as it is") from error
    finally:
        temporary.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _read_source(config: str | None) -> Source | None:
    path = Path(config or DEFAULT_FILE)
    try:
        with path.open("rb") as file:
            content = file.read(MAX_CONFIG_BYTES + 1)
    except FileNotFoundError as error:
        if config is None:
            return None
        raise ConfigError(f"--config {path}: no such file") from error
    except OSError as error:
        raise ConfigError(f"--config {path}: {error.strerror}") from error
    if len(content) > MAX_CONFIG_BYTES:
        raise ConfigError(f"{path}: longer than {MAX_CONFIG_BYTES} bytes")
    try:
        return Source(str(path), content.decode())
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ConfigError(f"{path}:{line}: not UTF-8") from error
