"""What idle connections and many interests cost in memory, each in processes of their own."""

import asyncio
import json
import os
import secrets
import sys
from pathlib import Path

from _relay_rig import REPOSITORY, ours, started

from hushbell.crypto import secp256k1
from hushbell.runtime.clock import SystemClock
from hushbell.runtime.server.topic_index import TopicIndex
from hushbell.testing.child_processes import kill_with_parent
from hushbell.types import KeyHash
from hushbell.waku.libp2p.host import Host
from hushbell.waku.libp2p.keys import new_identity, peer_id_text
from hushbell.waku.libp2p.multiaddr import Multiaddr
from hushbell.waku.relay.relay import Relay
from hushbell.waku.relay.settings import RelaySettings

TOPIC = "/waku/2/rs/16/32"
SETTLED = 3.0  # seconds in which identify, the relay's streams and the first heartbeats are over
FIRST = 10  # connections before the measurement begins, so that it is about one more


async def idle_connection(connections: int) -> float:
    """Return what one more idle peer costs a relay of ours, KiB: identified, subscribed, both relay streams open."""
    async with started(ours(), "127.0.0.4") as node:
        crowd = await asyncio.create_subprocess_exec(
            sys.executable, __file__, "crowd", node.address(), str(FIRST), str(connections),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY / "src")},
        )  # fmt: skip
        kill_with_parent(crowd.pid)
        assert crowd.stdin is not None
        assert crowd.stdout is not None
        held = []
        for _ in range(2):
            async with asyncio.timeout(120):
                json.loads(await crowd.stdout.readline())
            held.append((await node.do("usage"))["rss"])
            crowd.stdin.write(b"\n")
        seen = len((await node.do("peers"))["peers"])
        crowd.kill()
        await crowd.wait()
    if seen < FIRST + connections:
        raise SystemExit(f"only {seen} of {FIRST + connections} connections are there")
    return (held[1] - held[0]) / connections / 1024


async def crowd(address: str, *steps: int) -> None:
    """Connect so many relays, each with an identity of its own, then wait for a line and connect more."""
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    kept: list[tuple[Host, Relay]] = []
    for step in steps:
        kept += [await _member(Multiaddr.parse(address)) for _ in range(step)]
        await asyncio.sleep(SETTLED)
        print(json.dumps({"connected": len(kept)}), flush=True)
        await lines.readline()
    await lines.readline()


async def _member(address: Multiaddr) -> tuple[Host, Relay]:
    clock, random = SystemClock(), secrets.token_bytes
    host = Host(new_identity(random), clock=clock, random=random, count=_uncounted)
    relay = Relay(host, RelaySettings(), clock=clock, random=random, count=_uncounted)
    relay.start()
    relay.subscribe(TOPIC)
    assert peer_id_text(await host.dial(address))
    return host, relay


def _uncounted(_name: str, _number: int) -> None:
    return None


async def interests(number: int) -> float:
    """Return what the query topics of so many registered users cost, MiB."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, __file__, "interests", str(number), stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY / "src")},
    )  # fmt: skip
    kill_with_parent(process.pid)
    out, _ = await process.communicate()
    return float(out)


def _interests(number: int) -> float:
    before = _rss()
    interest = TopicIndex(secp256k1.key_pair(secrets.token_bytes).public, map(_owner, range(number)))
    assert len(interest) > 0.99 * number
    return (_rss() - before) / 1024 / 1024


def _owner(number: int) -> KeyHash:
    return KeyHash(number.to_bytes(8) * 8)


def _rss() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    if sys.argv[1] == "crowd":
        asyncio.run(crowd(sys.argv[2], *map(int, sys.argv[3:])))
    else:
        print(_interests(int(sys.argv[2])))
