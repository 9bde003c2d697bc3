"""The /v1 API by its own document: whatever is asked, the answer is one that the document knows, and never a 5xx."""

import asyncio
import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

from hushbell.api.app import GatewayApi
from hushbell.api.v1 import openapi
from hushbell.config.apps import AppSettings
from hushbell.config.settings import Settings
from hushbell.observability.metrics import Counters
from hushbell.runtime.clock import SystemClock, system_random
from hushbell.runtime.delivery.engine import App, DeliveryEngine
from hushbell.stores.memory.outbox import MemoryOutbox
from hushbell.testing.scripted_provider import ScriptedProvider

EXAMPLES = int(os.environ.get("HUSHBELL_EXAMPLES", "25"))  # of each operation

pytestmark = pytest.mark.fuzz


class Served:
    """A gateway in a thread of its own."""

    def __init__(self) -> None:
        self.port = 0
        self.counters = Counters()
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._ready.wait(10)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._start())
        self._ready.set()
        self._loop.run_forever()
        self._loop.run_until_complete(self._front.server.close(0.0))

    async def _start(self) -> None:
        providers = {name: ScriptedProvider(name) for name in ("apns", "fcm", "webpush")}
        engine = DeliveryEngine(
            outbox=MemoryOutbox(random=os.urandom),
            apps=[App(name="chat", providers=providers)],
            clock=SystemClock(),
            random=system_random,
        )
        await engine.start()
        self._front = GatewayApi(
            engine,
            SETTINGS,
            clock=SystemClock(),
            random=system_random,
            counters=self.counters,
            version="0",
        )
        self.port = await self._front.server.listen("127.0.0.1", 0)


SETTINGS = Settings(apps=(AppSettings(name="chat"),))
SCHEMA = schemathesis.openapi.from_dict(openapi.document(SETTINGS, "0"))
CHECKS = [not_a_server_error, response_schema_conformance, content_type_conformance]


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    made = Served()
    yield made
    made.close()


@SCHEMA.parametrize()
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
def test_whatever_is_asked_is_answered_as_the_document_says(case: Any, served: Served) -> None:
    response = case.call(base_url=f"http://127.0.0.1:{served.port}", headers={"PeerConnection": "close"}, timeout=10)

    if str(response.status_code) in case.operation.definition.raw["responses"]:
        case.validate_response(response, checks=CHECKS)
    else:
        assert response.status_code in (400, 404, 405), "paths and methods that there are not"
    if response.status_code >= 400:
        assert response.headers.get("content-type", [""])[0] in ("application/problem+json", "")
    assert served.counters.snapshot().get("http_failures", 0) == 0
