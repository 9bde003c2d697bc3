"""``hushbell device``: a simulated phone, on a real network or a bus; many of them for load."""

import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from hushbell import wire
from hushbell.cli.device_fleet import run_fleet
from hushbell.cli.device_output import as_json, print_line
from hushbell.cli.device_phone import ClientSession, PhoneOptions, load_or_create, run_phone
from hushbell.cli.files import read_settings
from hushbell.cli.lifecycle import print_ready, stop_on_signals
from hushbell.core.client.events import Notified, Result, Target
from hushbell.core.client.preview import Preview
from hushbell.core.client.registration import Options
from hushbell.crypto import hashes
from hushbell.errors import ConfigError
from hushbell.observability.logs import start_logs
from hushbell.runtime.client.account import Account
from hushbell.runtime.client.network import parse_key
from hushbell.runtime.clock import SystemClock, system_random
from hushbell.types import NotificationType, PublicKey, TokenType

NOTIFICATION_TYPES = {
    "message": NotificationType.MESSAGE,
    "mention": NotificationType.MENTION,
    "join": NotificationType.REQUEST_TO_JOIN_COMMUNITY,
}
TOKEN_TYPES = {"apn": TokenType.APN, "firebase": TokenType.FIREBASE}


@click.group("device", invoke_without_command=True, epilog="Example: hushbell device --bus bus.sock register 04…")
@click.option("--data", metavar="DIR", default="phone", show_default=True, help="The phone's keys and state.")
@click.option("--peer", metavar="MULTIADDR", multiple=True, help="A Waku node to connect to. Repeatable.")
@click.option("--bus", metavar="SOCKET", help="In place of a node: the socket of a server's bus.")
@click.option("--patience", type=float, default=60.0, show_default=True, help="Seconds to wait for answers.")
@click.option("--count", type=click.IntRange(1, 100_000), help="So many phones, for load; needs --server.")
@click.option("--server", "servers", metavar="KEY", multiple=True, help="Public key of a server, for --count.")
@click.pass_context
def command(
    context: click.Context,
    *,
    data: str,
    peer: tuple[str, ...],
    bus: str | None,
    patience: float,
    count: int | None,
    servers: tuple[str, ...],
) -> int:
    """Be a phone: register, ring others, take pushes. Results are JSON lines."""
    settings = read_settings(None, {"node.peers": peer or None, "server.data": data, "transport.bus": ""})
    if bus and peer:
        raise ConfigError("command line: --bus and --peer: give one of them")
    context.obj = PhoneOptions(settings, Path(data), bus or "", patience)
    wire.assert_fast()
    start_logs(replace(settings.log, level="warning"))
    if count is not None:
        if not servers:
            raise ConfigError("command line: --count: name a server: --server KEY")
        return run_fleet(context.obj, count, [_parse_public_key(server, "--server") for server in servers])
    if context.invoked_subcommand is None:
        click.echo(context.get_help())
    return 0


@command.command("register", epilog="Example: hushbell device --bus bus.sock register 04…")
@click.argument("servers", metavar="SERVER...", nargs=-1, required=True)
@click.option("--token", metavar="TOKEN", help="The device token.  [default: one drawn on the first call]")
@click.option("--type", "token_type", type=click.Choice(list(TOKEN_TYPES)), default="apn", show_default=True)
@click.option("--topic", metavar="TOPIC", default="", help="The app's bundle id.")
@click.pass_obj
def register(common: PhoneOptions, servers: tuple[str, ...], token: str | None, token_type: str, topic: str) -> int:
    """Ask servers (public keys) to ring this phone."""
    keys = [_parse_public_key(server, "SERVER") for server in servers]

    async def work(phone: ClientSession) -> bool:
        device_token = token or load_or_create(common.folder / "device-token", lambda: system_random(32).hex())
        await phone.account.enable(device_token, TOKEN_TYPES[token_type], servers=keys, apn_topic=topic)
        return await _print_registrations(phone.account, keys)

    return run_phone(common, work)


@command.command("unregister", epilog="Example: hushbell device --bus bus.sock unregister")
@click.pass_obj
def unregister(common: PhoneOptions) -> int:
    """Ask all servers to forget this phone."""

    async def work(phone: ClientSession) -> bool:
        await phone.account.disable()
        for server in phone.account.servers:
            await phone.account.registered(server)
        print_line({"servers": {server.hex(): state.value for server, state in phone.account.servers.items()}})
        return True

    return run_phone(common, work)


@command.command("options", epilog="Example: hushbell device --bus bus.sock options --contacts-only --contact 04…")
@click.option("--contacts-only/--everybody", default=None, help="Who may ring this phone.")
@click.option("--contact", "contacts", metavar="KEY", multiple=True, help="A contact. Repeatable; replaces all.")
@click.option("--mute", "muted", metavar="CHAT", multiple=True, help="A chat that stays silent. Repeatable.")
@click.option("--block", "blocked", metavar="KEY", multiple=True, help="Somebody who never rings. Repeatable.")
@click.option("--mentions-in", metavar="CHAT", multiple=True, help="A chat whose mentions ring. Repeatable.")
@click.option("--no-mentions/--mentions", default=None, help="Whether mentions ring at all.")
@click.pass_obj
def options(common: PhoneOptions, /, **wishes: Any) -> int:
    """Change who may ring this phone; what is not named stays as it is."""
    changes = {
        "contacts_only": wishes["contacts_only"],
        "block_mentions": wishes["no_mentions"],
        "contacts": tuple(_parse_public_key(one, "--contact") for one in wishes["contacts"]) or None,
        "blocked": tuple(hashes.contact_id(_parse_public_key(one, "--block")) for one in wishes["blocked"]) or None,
        "muted": wishes["muted"] or None,
        "mentions_in": wishes["mentions_in"] or None,
    }

    async def work(phone: ClientSession) -> bool:
        named = {name: value for name, value in changes.items() if value is not None}
        wanted: Options = replace(phone.account.options, **named)
        await phone.account.set_options(wanted)
        return await _print_registrations(phone.account, list(phone.account.servers))

    return run_phone(common, work)


@command.command("ring", epilog="Example: hushbell device --bus bus.sock ring 04… --text Hello")
@click.argument("people", metavar="KEY...", nargs=-1, required=True)
@click.option("--text", default="", help="Shown on their phones; encrypted for them alone.")
@click.option("--chat", metavar="CHAT", help="The chat.  [default: the one between the two]")
@click.option("--type", "kind", type=click.Choice(list(NOTIFICATION_TYPES)), default="message", show_default=True)
@click.option("--message-id", metavar="HEX", help="32 bytes; ringing twice about one message rings once.")
@click.pass_obj
def ring(
    common: PhoneOptions,
    /,
    *,
    people: tuple[str, ...],
    text: str,
    chat: str | None,
    kind: str,
    message_id: str | None,
) -> int:
    """Ring people (public keys) about a message."""
    targets, message = [_parse_public_key(person, "KEY") for person in people], _parse_message_id(message_id)

    async def work(phone: ClientSession) -> bool:
        author = phone.account.identity
        chat_id = chat or hashes.contact_id(author.public)
        shown = Preview(
            message_id=message, chat_id=chat_id, author=author.public, text=text, sent_at=SystemClock().now()
        )
        sealed = [phone.client.sealed_for(author, target, shown) if text else Target(target) for target in targets]
        results = await phone.account.notify_and_wait(
            message, chat_id, sealed, type=NOTIFICATION_TYPES[kind], patience=common.patience
        )
        print_line({"message_id": message.hex(), "rings": [_result_json(one) for one in results]})
        return bool(results) and all(one.result is Result.ACCEPTED for one in results)

    return run_phone(common, work)


@command.command("receive", epilog="Example: hushbell device receive < pushes.jsonl")
@click.pass_obj
def receive(common: PhoneOptions) -> int:
    """Take pushes from standard input, a JSON object of data each line, and say what the phone does."""

    async def work(phone: ClientSession) -> bool:
        for line in sys.stdin:
            try:
                data = json.loads(line[:65_536])
            except ValueError:
                raise ConfigError("standard input: each line must be a JSON object") from None
            for step in await phone.client.pushed(data if isinstance(data, dict) else {}):
                print_line(as_json(step))
        print_line({"unread": phone.client.unread})
        return True

    return run_phone(common, work, online=False)


@command.command("run", epilog="Example: hushbell device --peer /dns4/node.example.org/tcp/30303 run")
@click.pass_obj
def run(common: PhoneOptions) -> int:
    """Stay online: renew registrations and adverts, and say what happens, until a signal comes."""

    async def work(phone: ClientSession) -> bool:
        stopped = asyncio.Event()
        stop_on_signals(stopped.set)
        print_ready({"identity": phone.account.identity.public.hex()})

        async def print_events() -> None:
            async for event in phone.account.events():
                print_line(as_json(event))

        printing = asyncio.create_task(print_events())
        await stopped.wait()
        printing.cancel()
        return True

    return run_phone(common, work, patient=False)


@command.command("status", epilog="Example: hushbell device status")
@click.pass_obj
def status(common: PhoneOptions) -> int:
    """Show the phone's key and its servers."""

    async def work(phone: ClientSession) -> bool:
        servers = {server.hex(): state.value for server, state in phone.account.servers.items()}
        print_line({"identity": phone.account.identity.public.hex(), "servers": servers, "unread": phone.client.unread})
        return True

    return run_phone(common, work, online=False)


async def _print_registrations(account: Account, servers: Sequence[PublicKey]) -> bool:
    is_success = True
    for server in servers:
        is_registered = await account.registered(server)
        is_success = is_success and is_registered
    print_line({"servers": {server.hex(): state.value for server, state in account.servers.items()}})
    return is_success


def _result_json(one: Notified) -> dict[str, str]:
    return {"key": one.target.hex(), "installation_id": one.installation_id, "result": one.result.value}


def _parse_public_key(text: str, name: str) -> PublicKey:
    try:
        return parse_key(text)
    except ValueError:
        raise ConfigError(f"command line: {name}: a public key is 66 or 130 hex digits") from None


def _parse_message_id(text: str | None) -> bytes:
    if text is None:
        return system_random(32)
    try:
        found = bytes.fromhex(text)
    except ValueError:
        found = b""
    if len(found) != 32:
        raise ConfigError("command line: --message-id: 64 hex digits")
    return found
