"""``hushbell init``: a configuration file, a data folder, an identity."""

import os
from importlib import resources
from pathlib import Path

import click

from hushbell.cli.files import DEFAULT_FILE, identity_path, read_settings, write_new, write_secret
from hushbell.crypto.secp256k1 import compress, key_pair
from hushbell.errors import ConfigError
from hushbell.stores.at_rest import make_folder


@click.command("init", epilog="Example: hushbell init --data /var/lib/hushbell")
@click.option("--config", metavar="FILE", default=DEFAULT_FILE, show_default=True, help="The file to write.")
@click.option("--data", metavar="DIR", default="hushbell-data", show_default=True, help="The folder to make.")
def command(config: str, data: str) -> None:
    """Write FILE with every setting explained, and make DIR with a new identity. Overwrites nothing."""
    file, folder = Path(config), Path(data)
    key_file = folder / "identity.key"
    for path in (file, key_file):
        if path.exists():
            raise ConfigError(f"{path} exists and is left as it is")
    make_folder(folder)
    pair = key_pair(os.urandom)
    write_secret(key_file, pair.private.hex().encode() + b"\n")
    write_new(file, template().replace('data = "hushbell-data"', f"data = {_quoted(data)}").encode())
    identity_path(read_settings(config))
    click.echo(f"{file}: written; every setting in it is the default and explained")
    click.echo(f"{key_file}: a new identity, public key {compress(pair.public).hex()}")
    click.echo("Keep a copy of the identity: without it every registration is lost.")


def template() -> str:
    """Return the file that ``init`` writes: every setting with its default. A test compares it with the classes."""
    return resources.files("hushbell.config").joinpath("template.toml").read_text("utf-8")


def _quoted(text: str) -> str:
    """Return a TOML string."""
    escaped = "".join(f"\\u{ord(c):04X}" if c in '"\\' or ord(c) < 32 or ord(c) == 127 else c for c in text)
    return f'"{escaped}"'
