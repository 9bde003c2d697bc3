"""The mock of Huawei: the OAuth endpoint and messages:send (reference/gateway.md 5.4)."""

import json
import re
import secrets
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import orjson

from hushbell.testing.certificates import write_secret
from hushbell.testing.mock.http import Request, Response
from hushbell.testing.mock.jwt import json_object
from hushbell.testing.mock.rules import SUCCESS, RecordedPush, ScriptedReply, split_tokens

APP_ID = "100000001"
ACCESS_TOKEN_SECONDS = 3600
MAX_TOKENS = 1000  # of one request
MAX_PAYLOAD_BYTES = 4096  # without the tokens

_PATH = re.compile(r"/v[12]/([0-9]+)/messages:send")
_JSON = (("content-type", "application/json;charset=utf-8"),)
_DEAD = "80300007"


class MockHuawei:
    """Push Kit of one app, with the endpoint that gives out access tokens."""

    provider = "huawei"

    def __init__(self, folder: Path) -> None:
        """Make a secret in the folder."""
        self._secret = secrets.token_hex(32)
        self.secret_file = write_secret(folder / "huawei-secret", self._secret.encode() + b"\n")
        self.tokens: dict[str, int] = {}  # access token → ms at which it ends
        self._now = 0

    @staticmethod
    def matches(request: Request) -> bool:
        """Say whether a request is for Huawei."""
        return request.path.startswith("/oauth2/v") or bool(_PATH.fullmatch(request.path))

    def check(self, request: Request, now: int) -> tuple[RecordedPush, ScriptedReply | None]:
        """Return what the request asks for, and the refusal if Huawei refuses it."""
        if request.path.startswith("/oauth2/"):
            self._now = now
            form = dict(parse_qsl(request.body.decode("latin-1")))
            wanted = {"grant_type": "client_credentials", "client_id": APP_ID, "client_secret": self._secret}
            return RecordedPush("oauth", app="huawei"), None if form == wanted else ScriptedReply(
                status=400, reason="1101"
            )
        message = json_object(json_object(request.body).get("message"))
        listed = message.get("token")
        tokens = tuple(listed) if isinstance(listed, list) else ()
        target = " ".join(map(str, tokens)) or str(message.get("topic", message.get("condition", "")))
        push = RecordedPush(
            "huawei",
            target,
            request.path.split("/")[2],
            topic=str(message.get("topic", "")),
            bytes=len(request.body),
            tokens=tokens or (target,),
        )
        refused = self._refusal(request, message, push, now)
        return push, ScriptedReply(reason=refused) if refused else None

    def respond(self, request: Request, push: RecordedPush, reply: ScriptedReply) -> Response:
        """Return the reply in Huawei's form: errors have status 200 too."""
        del request
        if push.provider == "oauth":
            return self._grant(reply)
        if reply.status != 200:
            return Response(reply.status, _JSON, _coded(reply.reason, "refused") if reply.reason else b"")
        if reply is SUCCESS or not reply.reason:
            return Response(200, _JSON, _coded("80000000", "Success"))
        about, others = split_tokens(push, reply)
        if reply.reason == _DEAD and others:
            result = {"success": len(others), "failure": len(about), "illegal_tokens": about}
            return Response(200, _JSON, _coded("80100000", json.dumps(result)))
        return Response(200, _JSON, _coded(reply.reason, "refused"))

    def app(self, **changes: Any) -> dict[str, Any]:
        """Return settings of a provider that this mock accepts, by their names."""
        given = {"app_id": APP_ID, "secret_file": str(self.secret_file)}
        return given | changes

    def _refusal(self, request: Request, message: dict[str, Any], push: RecordedPush, now: int) -> str:
        scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or bearer not in self.tokens:
            return "80200001"
        if self.tokens[bearer] <= now:
            return "80200003"
        if push.app != APP_ID:
            return "80300002"
        targets = [name for name in ("token", "topic", "condition") if name in message]
        if len(targets) != 1 or not all(isinstance(token, str) and token for token in push.tokens):
            return "80100003"
        if len(push.tokens) > MAX_TOKENS or len(set(push.tokens)) != len(push.tokens):
            return "80300010"
        if not isinstance(message.get("data", ""), str):
            return "80100001"
        rest = {name: value for name, value in message.items() if name != targets[0]}
        return "80300008" if len(orjson.dumps(rest)) > MAX_PAYLOAD_BYTES else ""

    def _grant(self, reply: ScriptedReply) -> Response:
        if reply.status != 200:
            body = {"error": reply.reason or "1203", "sub_error": 0, "error_description": "refused"}
            return Response(reply.status, _JSON, json.dumps(body).encode())
        token = "DQEB+" + secrets.token_urlsafe(60) + "/="
        self.tokens[token] = self._now + ACCESS_TOKEN_SECONDS * 1000
        body = {"access_token": token, "expires_in": ACCESS_TOKEN_SECONDS, "token_type": "Bearer"}
        return Response(200, _JSON, json.dumps(body).replace("/", "\\/").encode())  # as theirs does


def _coded(code: str, text: str) -> bytes:
    return json.dumps({"code": code, "msg": text, "requestId": "157"}).encode()
