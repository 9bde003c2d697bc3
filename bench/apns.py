"""
What a push to Apple costs this process, over TLS on one connection: the HTTP client alone and the whole gateway.

The stand-in runs in another process, so its cost is not in the figures; but it is slower than Apple, and an event
loop that gets its answers one by one works more for each. Ends with lines ``name value unit``.
"""

import asyncio
import json
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import uvloop

from hushbell.config.gateway import ApnsSettings, HttpSettings, Texts
from hushbell.core.push import Push
from hushbell.ports.gateway import ACCEPTED
from hushbell.ports.http import HttpAnswer
from hushbell.providers.apns import PRODUCTION, Apns, App, request
from hushbell.providers.apns_token import TokenSigner
from hushbell.providers.http_curl import CurlHttp
from hushbell.testing.clock import FakeClock
from hushbell.types import (
    DeviceKey,
    DeviceToken,
    InstallationId,
    KeyHash,
    MessageId,
    Millis,
    NotificationId,
    NotificationType,
)

PUSHES = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
Send = Callable[[Sequence[Any]], Awaitable[None]]


def push(number: int) -> Push:
    return Push(
        notification_id=NotificationId(str(uuid.UUID(int=number))),
        request=MessageId(bytes(32)),
        position=0,
        device=DeviceKey(KeyHash(bytes(64)), InstallationId("phone")),
        token_type=1,
        device_token=DeviceToken(f"{number:064x}"),
        apn_topic="im.status.ethereum",
        type=NotificationType.MESSAGE,
        chat_id=bytes(64),
        message=b"",
        collapse_id=f"{number:064x}",
        created_at=Millis(0),
        expires_at=Millis(time.time_ns() // 1_000_000 + 86_400_000),
    )


async def measure(name: str, send: Send, items: Sequence[Any], *, callers: int, batch: int = 1) -> None:
    batches = iter([items[start : start + batch] for start in range(0, len(items), batch)])

    async def caller() -> None:
        for some in batches:
            await send(some)

    wall, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(caller() for _ in range(callers)))
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    print(f"{name}_cpu {cpu / len(items) * 1e6:.1f} us")
    print(f"{name} {len(items) / wall:.0f} pushes/s")


async def main(ready: dict[str, Any]) -> None:
    http_settings = HttpSettings(connect=ready["connect"], ca_file=ready["ca_file"], connections=1, streams=1000)
    settings = ApnsSettings(
        key_file=ready["key_file"], key_id=ready["key_id"], team_id=ready["team_id"], http=http_settings
    )
    clock = FakeClock(Millis(time.time_ns() // 1_000_000))
    signer = TokenSigner(
        Path(settings.key_file).read_bytes(),  # noqa: ASYNC240 - before the clock starts
        key_id=settings.key_id,
        team_id=settings.team_id,
    )
    http = CurlHttp(http_settings)
    apns = Apns(settings, http, signer, clock)
    app = App(host=PRODUCTION, topic="", texts=Texts(), sizes=settings.sizes, timeout=settings.timeout)

    async def deliver(pushes: Sequence[Push]) -> None:
        assert await apns.deliver(pushes) == [ACCEPTED] * len(pushes)

    async def send(requests: Sequence[Any]) -> None:
        assert all(isinstance(answer, HttpAnswer) and answer.status == 200 for answer in await http.send(requests))

    pushes = [push(number) for number in range(PUSHES)]
    requests = [request(one, app, signer.token(clock.now())) for one in pushes]
    await deliver(pushes[:1])  # connects
    await measure("apns_client_c100", send, requests, callers=100)
    await measure("apns_client_batch100", send, requests, callers=2, batch=100)
    await measure("apns_gateway_c1", deliver, pushes[: PUSHES // 4], callers=1)
    await measure("apns_gateway_c16", deliver, pushes, callers=16)
    await measure("apns_gateway_batch100", deliver, pushes, callers=2, batch=100)
    await measure("apns_gateway", deliver, pushes, callers=128)
    await apns.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        command = [sys.executable, "-m", "hushbell.testing.apns", "--dir", directory]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as stand_in:
            assert stand_in.stdin is not None
            assert stand_in.stdout is not None
            uvloop.run(main(json.loads(stand_in.stdout.readline())))
            stand_in.stdin.close()
