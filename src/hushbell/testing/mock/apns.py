"""What the stand-in for Apple checks, and how it says no. The checks themselves are those of testing/apns_rules."""

from pathlib import Path

from hushbell.config.providers import ApnsApp
from hushbell.testing.apns_rules import Answer, Judge
from hushbell.testing.certificates import Authority, new_key
from hushbell.testing.mock.http import Reply, Request
from hushbell.testing.mock.rules import FINE, RecordedPush, ScriptedReply

KEY_ID = "TESTKEY123"
TEAM_ID = "TESTTEAM12"


class MockApns:
    """Apple's push service, production and sandbox; the host says which."""

    provider = "apns"

    def __init__(self, folder: Path, authority: Authority, *, echo: bool = True) -> None:
        """
        Make keys and certificates.

        Args:
            folder: where they are written.
            authority: issues the client's certificate.
            echo: whether good answers carry apns-id, as Apple's do.
        """
        key, pem = new_key()
        self.key_file = folder / f"AuthKey_{KEY_ID}.p8"
        self.key_file.touch(mode=0o600)
        self.key_file.write_bytes(pem)
        self.certificate_file, self.p12_file = authority.client_files("apns-client", "org.example.app")
        self.judge = Judge(key.public_key(), key_id=KEY_ID, team_id=TEAM_ID, topics=frozenset())
        self._echo = echo

    @staticmethod
    def takes(request: Request) -> bool:
        """Say whether a request is for Apple."""
        return request.path.startswith("/3/device/") or "push.apple.com" in request.headers.get("host", "")

    def look(self, request: Request, now: int) -> tuple[RecordedPush, ScriptedReply | None]:
        """Return what the request is about, and the answer if Apple would not take it."""
        headers = request.headers
        token = headers.get("authorization", "")[7:]
        answer: Answer | None
        if request.method != "POST":
            answer = Answer(status=405, reason="MethodNotAllowed")
        elif "duplicate" in headers:
            answer = Answer(status=400, reason="DuplicateHeaders")
        else:
            answer = self.judge.refusal(request.path, headers, request.body, now, certified=request.certified)
        issued = self.judge.bearers.get(token, 0)
        seen = RecordedPush(
            "apns",
            request.path[10:],
            headers.get("apns-topic", ""),
            headers.get("apns-id", ""),
            headers.get("apns-collapse-id", ""),
            headers.get("apns-topic", ""),
            headers.get("apns-push-type", ""),
            headers.get("apns-priority", ""),
            issued if isinstance(issued, int) else 0,
            len(request.body),
        )
        return seen, None if answer is None else ScriptedReply(status=answer.status, reason=answer.reason)

    def reply(self, request: Request, seen: RecordedPush, said: ScriptedReply) -> Reply:
        """Say it as Apple does."""
        del request
        headers = (("apns-id", seen.ident),) if self._echo and seen.ident else ()
        if said is FINE:
            return Reply(200, headers)
        body = Answer(status=said.status, reason=said.reason, timestamp=said.timestamp, body=said.body).bytes()
        return Reply(said.status, headers, body)

    def app(self, **changes: object) -> ApnsApp:
        """Return settings of a provider that fit."""
        given: dict[str, object] = {"key_file": str(self.key_file), "key_id": KEY_ID, "team_id": TEAM_ID}
        return ApnsApp(**given | changes)  # type: ignore[arg-type]
