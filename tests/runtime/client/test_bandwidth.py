"""A phone sends and receives no more than status-go's recorded client (docs/client-bandwidth.md)."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from hushbell.core.client.events import Target
from hushbell.crypto import secp256k1
from hushbell.runtime.client.client import Client
from hushbell.runtime.clock import system_random
from hushbell.transports.bus import Bus

RECORDED = Path(__file__).parents[2] / "vectors" / "status-go"
TOKEN = "apns-token-0123456789abcdef0123456789abcdef0123456789abcdef"  # as recorded


class Counting:
    """Bytes since the last look."""

    def __init__(self) -> None:
        self._counted: Counter[str] = Counter()

    def __call__(self, name: str, times: int) -> None:
        self._counted[name] += times

    def take(self) -> tuple[int, int]:
        ways = self._counted["client_bytes_sent"], self._counted["client_bytes_received"]
        self._counted.clear()
        return ways


def recorded(name: str, kind: str, answer: str) -> tuple[int, int]:
    [path] = RECORDED.glob(f"{name}_*.json")
    steps: list[dict[str, Any]] = json.loads(path.read_text())["steps"]
    sizes = {step["type"]: len(step["waku_message_hex"]) // 2 for step in steps if step["kind"] == "waku"}
    return sizes[f"PUSH_NOTIFICATION_{kind}"], sizes[f"PUSH_NOTIFICATION_{answer}"]


async def test_registration_query_and_request_cost_what_they_cost_before(served: Any, bus: Bus) -> None:
    bobs, alices = Counting(), Counting()
    async with Client(bus.connect(), count=bobs) as bob, Client(bus.connect(), count=alices) as alice:
        account = await bob.account(secp256k1.key_pair(system_random), advertises=False)
        sender = await alice.account(secp256k1.key_pair(system_random), advertises=False)

        await account.enable(TOKEN, servers=[served.identity.public], apn_topic="im.status.ethereum")
        assert await account.registered(served.identity.public)
        registration = bobs.take()
        assert await sender.learn(account.identity.public)
        query = alices.take()
        assert await sender.ring(b"m" * 32, "chat", [Target(account.identity.public)])
        request = alices.take()

    assert registration == recorded("t01", "REGISTRATION", "REGISTRATION_RESPONSE")
    assert query == recorded("t06", "QUERY", "QUERY_RESPONSE")
    assert request == recorded("t08", "REQUEST", "RESPONSE")
    assert bobs.take() == (0, 0)  # being rung costs the push alone
