"""Webhooks: told once they can be, signed, again until somebody heard, and never towards our own network."""

import asyncio
import hmac
import json
import os
from collections.abc import AsyncIterator, Sequence

import pytest
from tests.inline import inline

from hushbell.core.delivery.notification import Draft, Message
from hushbell.core.delivery.outcome import Outcome, Verdict
from hushbell.core.delivery.webhook import Webhook
from hushbell.http.ssrf import SsrfGuard
from hushbell.ports.http import (
    FailureKind,
    HttpFailure,
    HttpRequest,
    HttpResponse,
    RequestItem,
    RequestTemplate,
    ResponseHandler,
)
from hushbell.runtime.delivery.engine import App, DeliveryEngine
from hushbell.runtime.delivery.webhooks import Webhooks, feedback_webhook, signature
from hushbell.stores.memory.outbox import MemoryOutbox
from hushbell.testing.clock import FakeClock
from hushbell.testing.scripted_provider import ScriptedProvider

DEAD = Outcome(Verdict.DEAD_TOKEN, "Unregistered")
OK = HttpResponse(204, (), b"")


MESSAGE = Message(provider="apns", body=b'{"aps":{"alert":{"title":"T","body":"B"}}}')


def ask(targets: tuple[str, ...] = ("token",)) -> Draft:
    return Draft("token", targets, MESSAGE, "mine")


class Web:
    """Answers requests as told."""

    def __init__(self) -> None:
        self.requests: list[HttpRequest] = []
        self.answer: HttpResponse | HttpFailure = OK

    def submit(self, template: RequestTemplate, items: Sequence[RequestItem]) -> None:
        for handler, key, end, _, body in items:
            url, address = template.url + end, template.address
            self.requests.append(
                HttpRequest(url, template.headers, body, template.timeout, template.method, address=address)
            )
            asyncio.get_running_loop().call_soon(handler.on_response, key, self.answer)

    def cancel(self, handler: ResponseHandler) -> None:
        pass

    async def close(self) -> None:
        pass


class Rig:
    def __init__(self) -> None:
        self.apns = ScriptedProvider("apns")
        self.queue = MemoryOutbox(random=os.urandom)
        self.clock = FakeClock(manual=True)
        self.engine = DeliveryEngine(
            outbox=self.queue,
            apps=[App(name="chat", providers={"apns": self.apns})],
            clock=self.clock,
            random=os.urandom,
        )
        self.web = Web()
        self.names = {"hook.example": ("93.184.216.34",), "inside.example": ("10.0.0.1",)}
        self.hooks = Webhooks(
            outbox=self.queue,
            commits=self.engine.commits,
            http=self.web,
            guard=SsrfGuard((), lambda name: self.names[name]),
            clock=self.clock,
            random=lambda size: b"\x80" * size,
            feedback=[feedback_webhook("chat", "http://127.0.0.1:9/hook", ["x-one: 1", "x-two:http://a:b", "bad"])],
        )
        self.engine.add_listener(self.hooks)
        self.tasks = [asyncio.create_task(self.engine.run()), asyncio.create_task(self.hooks.run())]

    async def subscribe(self, url: str = "https://hook.example/x", shape: str = "event", *events: str) -> None:
        wanted = events or ("bridge_transmitted", "not_delivered")
        await self.engine.save_webhook(Webhook("h1", "chat", url, b"secret", wanted, shape))

    def send(self, *tokens: str) -> None:
        self.engine.submit("chat", [ask(tokens)], lambda *_: None)

    async def until(self, claim: object) -> None:
        assert callable(claim)
        for _ in range(3000):
            if claim():
                return
            self.clock.advance(0.01)
            await asyncio.sleep(0.001)
        raise AssertionError("never came true")

    def to(self, url: str) -> list[HttpRequest]:
        return [request for request in self.web.requests if request.url == url]


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    made = Rig()
    yield made
    made.engine.stop()
    made.tasks[1].cancel()
    await asyncio.gather(*made.tasks, return_exceptions=True)


async def test_a_hook_is_told_of_each_final_state_with_a_signature(rig: Rig) -> None:
    await rig.subscribe()
    rig.apns.script["gone"].append(DEAD)
    rig.send("gone", "here")

    await rig.until(lambda: len(rig.to("https://hook.example/x")) == 2)

    told = {json.loads(one.body)["place"]: json.loads(one.body) for one in rig.to("https://hook.example/x")}
    assert (told[0]["state"], told[0]["reason"], told[0]["id"]) == ("not_delivered", "Unregistered", "mine")
    assert told[1]["state"] == "bridge_transmitted"
    request = rig.to("https://hook.example/x")[0]
    headers = dict(request.headers)
    seconds = int(headers["hushbell-signature"].split(",")[0].removeprefix("t="))
    assert hmac.compare_digest(headers["hushbell-signature"], signature(b"secret", seconds, request.body))
    assert request.address == "93.184.216.34"
    assert b"gone" not in request.body
    await rig.until(lambda: not inline(rig.queue.due_events(rig.clock.now(), 0, 9)))


async def test_tokens_are_told_only_where_that_was_asked_for(rig: Rig) -> None:
    await rig.subscribe("https://hook.example/x", "tokens", "bridge_transmitted")
    rig.send("token-1")

    await rig.until(lambda: rig.web.requests)

    assert json.loads(rig.web.requests[0].body)["token"] == "token-1"


@pytest.mark.parametrize(
    "answer",
    [HttpResponse(500, (), b""), HttpResponse(302, (), b""), HttpFailure(FailureKind.TIMEOUT, sent=True)],
    ids=["500", "302", "timeout"],
)
async def test_a_hook_that_did_not_hear_is_told_again_under_the_same_number(
    rig: Rig, answer: HttpResponse | HttpFailure
) -> None:
    await rig.subscribe()
    rig.web.answer = answer
    rig.send("token")
    await rig.until(lambda: len(rig.web.requests) == 2)
    rig.web.answer = OK

    await rig.until(lambda: rig.hooks.delivered == 1)
    await rig.until(lambda: not inline(rig.queue.due_events(rig.clock.now(), 0, 9)))

    assert len({dict(request.headers)["hushbell-event"] for request in rig.web.requests}) == 1


async def test_an_address_in_our_own_network_is_never_reached(rig: Rig) -> None:
    await rig.subscribe("https://inside.example/x")
    rig.send("token")

    await rig.until(lambda: rig.engine.is_idle and not inline(rig.queue.due_events(rig.clock.now(), 0, 9)))

    assert not rig.web.requests


async def test_feedback_is_told_in_gorushs_words(rig: Rig) -> None:
    token = bytes(range(100, 132)).hex()
    rig.apns.script[token].append(DEAD)
    rig.send(token, "fine")

    await rig.until(lambda: rig.web.requests)

    (request,) = rig.web.requests
    assert json.loads(request.body) == {
        "notif_id": "mine",
        "type": "failed-push",
        "platform": "ios",
        "token": "*" * 10 + token[10:-10] + "*" * 10,
        "message": "B",
        "error": "Unregistered",
    }
    assert ("x-one", "1") in request.headers
    assert ("x-two", "http://a:b") in request.headers


async def test_events_nobody_wants_any_more_are_forgotten(rig: Rig) -> None:
    await rig.subscribe()
    rig.web.answer = HttpResponse(500, (), b"")
    rig.send("token")
    await rig.until(lambda: rig.web.requests)

    await rig.engine.drop_webhook("h1")

    await rig.until(lambda: not inline(rig.queue.due_events(rig.clock.now(), 0, 9)))
    assert rig.engine.queues["chat", "apns"].listeners, "feedback is still wanted"
