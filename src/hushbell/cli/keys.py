"""``hushbell keys``: identities, and what is public of them."""

import base64
import hashlib
import json
import os
from pathlib import Path

import click

from hushbell.cli.files import read_identity, write_secret
from hushbell.crypto import topics
from hushbell.crypto.hashes import hash_public_key
from hushbell.crypto.secp256k1 import compress, key_pair
from hushbell.types import PublicKey


@click.group("keys", epilog="Example: hushbell keys show hushbell-data/identity.key")
def command() -> None:
    """Make an identity or an API key, or show what is public of an identity. A private key is never printed."""


@command.command("new", epilog="Example: hushbell keys new --file identity.key")
@click.option("--file", "path", metavar="FILE", required=True, help="Where the private key goes; must not exist.")
def new(path: str) -> None:
    """Make an identity in FILE, which only you may read."""
    pair = key_pair(os.urandom)
    write_secret(Path(path), pair.private.hex().encode() + b"\n")
    _show(pair.public)


@command.command("show", epilog="Example: hushbell keys show hushbell-data/identity.key")
@click.argument("path", metavar="FILE")
def show(path: str) -> None:
    """Show the public key of the identity in FILE, its hash, and the topics it listens to."""
    _show(read_identity(Path(path), "FILE").public)


@command.command("api", epilog="Example: hushbell keys api --name backend --file backend.key")
@click.option("--name", metavar="NAME", required=True, help="Whose key it is.")
@click.option("--file", "path", metavar="FILE", required=True, help="Where the key goes; must not exist.")
def api(name: str, path: str) -> None:
    """Make an API key for the gateway in FILE, and print the section that lets it in."""
    key = base64.urlsafe_b64encode(os.urandom(32)).rstrip(b"=")
    write_secret(Path(path), key + b"\n")
    digest = hashlib.sha256(key).hexdigest()
    click.echo(f'[[keys]]\nname = {json.dumps(name)}\nsha256 = "{digest}"')
    click.echo('apps = []  # all of them\nscopes = ["send", "read"]  # also "tokens", "webhooks", "operate"')


def _show(public: PublicKey) -> None:
    compressed = compress(public)
    owner = hash_public_key(public)
    for name, value in (
        ("public key", public.hex()),
        ("compressed", compressed.hex()),
        ("key hash", owner.hex()),
        ("personal topic", topics.personal_topic(public)),
        ("partitioned topic", topics.partitioned_topic(public)),
        ("query topic", topics.query_topic(owner)),
    ):
        click.echo(f"{name:<18} {value}")
