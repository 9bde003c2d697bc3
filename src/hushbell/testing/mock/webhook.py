"""The mock of a plain HTTP endpoint: takes any request to ``/hook…``."""

from hushbell.testing.mock.http import Request, Response
from hushbell.testing.mock.rules import RecordedPush, ScriptedReply


class MockWebhook:
    """Some program's endpoint, for providers of other packages, webhooks, and tests of HTTP clients."""

    provider = "webhook"

    @staticmethod
    def matches(request: Request) -> bool:
        """Say whether a request is for the endpoint."""
        return request.path.startswith("/hook")

    def check(self, request: Request, now: int) -> tuple[RecordedPush, ScriptedReply | None]:
        """Return what the request asks for; nothing is refused."""
        del now
        return RecordedPush(self.provider, request.path, bytes=len(request.body)), None

    def respond(self, request: Request, push: RecordedPush, reply: ScriptedReply) -> Response:
        """Return the reply without a body."""
        del request, push
        return Response(reply.status)
