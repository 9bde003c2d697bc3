"""The gateway as a whole: credentials are read again when they change, and a stop is an end."""

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

from hushbell.http.ssrf import SsrfGuard
from hushbell.ports.http import RequestItem, RequestTemplate, ResponseHandler
from hushbell.runtime.delivery.engine import App, DeliveryEngine
from hushbell.runtime.delivery.service import DeliveryService, GatewayService
from hushbell.runtime.delivery.webhooks import Webhooks
from hushbell.stores.memory.outbox import MemoryOutbox
from hushbell.testing.clock import FakeClock
from hushbell.testing.scripted_provider import ScriptedProvider


class NoHttp:
    is_closed = False

    def submit(self, template: RequestTemplate, items: Sequence[RequestItem]) -> None:
        raise NotImplementedError

    def cancel(self, handler: ResponseHandler) -> None:
        raise NotImplementedError

    async def close(self) -> None:
        self.is_closed = True


async def test_a_credential_is_read_again_when_its_file_changes_and_a_stop_closes_everything(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_bytes(b"one")
    apns, fcm, clock = ScriptedProvider("apns"), ScriptedProvider("fcm"), FakeClock(manual=True)
    queue, http = MemoryOutbox(random=os.urandom), NoHttp()
    app = App(name="chat", providers={"apns": apns, "fcm": fcm})
    engine = DeliveryEngine(outbox=queue, apps=[app], clock=clock, random=os.urandom)
    await engine.start()
    hooks = Webhooks(
        outbox=queue,
        commits=engine.commits,
        http=http,
        guard=SsrfGuard(()),
        clock=clock,
        random=os.urandom,
    )
    closed: list[float] = []

    async def close(grace: float) -> None:
        closed.append(grace)

    files = {("chat", "apns"): [key], ("chat", "fcm"): [tmp_path / "missing"]}
    delivery = DeliveryService(engine=engine, outbox=queue, clock=clock, keep_days=7, files=files)
    service = GatewayService(delivery=delivery, webhooks=hooks, webhook_http=http, servers=[close])
    running = asyncio.create_task(service.run())
    for content in (b"one", b"two, and longer"):
        key.write_bytes(content)
        for _ in range(20):
            await asyncio.sleep(0)
        clock.advance(10.0)
        for _ in range(20):
            await asyncio.sleep(0)

    assert apns.reloads in (1, 2)
    assert fcm.reloads == 0
    service.reload()
    assert fcm.reloads == 1
    service.stop()
    await running
    assert closed
    assert apns.is_closed
    assert fcm.is_closed
    assert http.is_closed
