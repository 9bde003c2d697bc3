"""
What a phone sends and receives, beside what status-go's recorded client did; ends with lines ``name value unit``.

Ours is measured on a bus with a real server; envelopes are counted as a node carries them (WakuMessage), without what
libp2p adds. status-go's are the recorded ones of tests/vectors/status-go, with the same device token and topic.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hushbell.core.client.events import Target
from hushbell.core.client.preview import Preview
from hushbell.core.gorush import ios
from hushbell.crypto import hashes, secp256k1
from hushbell.runtime.client.account import Account
from hushbell.runtime.client.client import Client
from hushbell.runtime.clock import system_random
from hushbell.simulator.server import run_server
from hushbell.transports.bus import Bus
from hushbell.types import PublicKey

RECORDED = Path(__file__).parents[1] / "tests" / "vectors" / "status-go"
TOKEN = "apns-token-0123456789abcdef0123456789abcdef0123456789abcdef"  # as in the transcripts
TOPIC = "im.status.ethereum"
WORDS = "You have a new message"
GROUP = 8  # members who share a server
TEXTS = {"hello": "Hello", "200_characters": "x" * 200}


class Phone:
    """A client, one account, and the bytes since the last look."""

    def __init__(self, bus: Bus) -> None:
        self._counted: Counter[str] = Counter()
        self.client = Client(bus.connect(), count=self._count)
        self.account: Account

    async def open(self) -> None:
        """Start, with an account."""
        await self.client.__aenter__()
        self.account = await self.client.account(secp256k1.key_pair(system_random), advertises=False)

    def bytes(self) -> tuple[int, int]:
        """Return what was sent and received since the last call."""
        sent, received = (self._counted[f"client_bytes_{way}"] for way in ("sent", "received"))
        self._counted.clear()
        return sent, received

    def _count(self, name: str, times: int) -> None:
        self._counted[name] += times


def say(who: str, what: str, ways: tuple[int, int]) -> None:
    for way, count in zip(("sent", "received"), ways, strict=True):
        print(f"{who}_{what}_{way} {count} bytes")


async def registered(phone: Phone, server: PublicKey) -> None:
    await phone.account.enable(TOKEN, servers=[server], apn_topic=TOPIC)
    assert await phone.account.registered(server)


async def rung(alice: Phone, people: Sequence[Phone], text: str = "") -> None:
    message_id, author = system_random(32), alice.account.identity
    chat = hashes.contact_id(author.public)
    shown = Preview(message_id=message_id, chat_id=chat, author=author.public, text=text)
    targets = [
        alice.client.sealed_for(author, one.account.identity.public, shown)
        if text
        else Target(one.account.identity.public)
        for one in people
    ]
    ended = await alice.account.ring(message_id, chat, targets)
    assert len(ended) == len(people)


async def ours() -> None:
    bus = Bus()
    async with run_server(bus.connect()) as served:
        server = served.identity.public
        alice, advertising, *people = phones = [Phone(bus) for _ in range(2 + GROUP)]
        for phone in phones:
            await phone.open()
        for phone in people:
            await registered(phone, server)
        say("ours", "registration", registration := people[0].bytes())
        print(f"ours_advert_sent {await registered_aloud(advertising, server) - registration[0]} bytes")
        for phone in people:
            assert await alice.account.learn(phone.account.identity.public)
            if phone is people[0]:
                say("ours", "query", alice.bytes())
        alice.bytes()
        await rung(alice, people[:1])
        say("ours", "request", alice.bytes())
        for name, text in TEXTS.items():
            await rung(alice, people[:1], text)
            say("ours", f"request_preview_{name}", alice.bytes())
        await rung(alice, people)
        say("ours", f"request_group_of_{GROUP}", alice.bytes())
        for name, push in zip(("plain", *TEXTS), served.provider.pushes, strict=False):
            print(f"ours_notification_{name} {len(push.message.body)} bytes")
        for phone in phones:
            await phone.client.close()


async def registered_aloud(phone: Phone, server: PublicKey) -> int:
    """Register an account that advertises; return what was sent, the advert with it."""
    phone.account = await phone.client.account(secp256k1.key_pair(system_random))
    await registered(phone, server)
    return phone.bytes()[0]


def recorded(name: str) -> list[dict[str, Any]]:
    [path] = RECORDED.glob(f"{name}_*.json")
    steps: list[dict[str, Any]] = json.loads(path.read_text())["steps"]
    return steps


def size(steps: Sequence[dict[str, Any]], kind: str) -> int:
    """Return how large the first recorded envelope of a kind was."""
    return next(len(step["waku_message_hex"]) // 2 for step in steps if step.get("type") == kind)


def theirs() -> None:
    for what, name, kind in (
        ("registration", "t01", "REGISTRATION"),
        ("query", "t06", "QUERY"),
        ("request", "t08", "REQUEST"),
    ):
        steps = recorded(name)
        answer = "RESPONSE" if kind == "REQUEST" else f"{kind}_RESPONSE"
        ways = (size(steps, f"PUSH_NOTIFICATION_{kind}"), size(steps, f"PUSH_NOTIFICATION_{answer}"))
        say("status_go", what, ways)
        if kind == "REQUEST":  # one for each member
            say("status_go", f"request_group_of_{GROUP}", (GROUP * ways[0], GROUP * ways[1]))
    print(f"status_go_advert_sent {size(recorded('t20'), 'CONTACT_CODE_ADVERTISEMENT')} bytes")
    body = next(step["body"] for step in recorded("t08") if step["kind"] == "http")
    message = ios.message(json.loads(body)["notifications"][0])
    assert not isinstance(message, str)
    print(f"status_go_notification_plain {len(message.body)} bytes")


def main() -> None:
    asyncio.run(ours())
    theirs()


if __name__ == "__main__":
    main()
