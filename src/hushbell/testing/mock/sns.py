"""The mock of Amazon SNS: Publish, and a signature that is computed anew (reference/gateway.md 5.4)."""

import hashlib
import hmac
import json
import re
import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from hushbell.testing.certificates import write_secret
from hushbell.testing.mock.http import Request, Response
from hushbell.testing.mock.rules import RecordedPush, ScriptedReply

MAX_CLOCK_SKEW_SECONDS = 900

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([A-Z0-9]+)/(\d{8})/([a-z0-9-]+)/sns/aws4_request, "
    r"SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})"
)
_ARN = re.compile(r"arn:aws:sns:([a-z0-9-]+):\d{12}:(.+)")
_XML = (("content-type", "text/xml"),)
_CODES = {400: "InvalidParameter", 403: "AuthorizationError", 404: "NotFound", 429: "Throttled", 500: "InternalError"}
_CODES |= {503: "ServiceUnavailable"}


class MockSns:
    """SNS of one account, in any region."""

    provider = "sns"

    def __init__(self, folder: Path) -> None:
        """Make an access key in the folder."""
        self._ident, self._secret = "AKIA" + secrets.token_hex(8).upper(), secrets.token_urlsafe(30)
        lines = ("[default]", f"aws_access_key_id = {self._ident}", f"aws_secret_access_key = {self._secret}", "")
        self.credentials_file = write_secret(folder / "aws-credentials", "\n".join(lines).encode())

    @staticmethod
    def matches(request: Request) -> bool:
        """Say whether a request is for Amazon."""
        return request.path == "/"

    def check(self, request: Request, now: int) -> tuple[RecordedPush, ScriptedReply | None]:
        """Return what the request asks for, and the refusal if Amazon refuses it."""
        form = dict(parse_qsl(request.body.decode("latin-1"), keep_blank_values=True))
        target = form.get("TargetArn", form.get("TopicArn", ""))
        topic = form.get("TopicArn", "")
        push = RecordedPush("sns", target, request.headers.get("host", ""), topic=topic, bytes=len(request.body))
        code = self._signature_error(request, now) or self._refusal(request, form, target)
        status = 403 if code and code not in ("InvalidParameter", "InvalidAction") else 400
        return push, ScriptedReply(status=status, reason=code) if code else None

    def respond(self, request: Request, push: RecordedPush, reply: ScriptedReply) -> Response:
        """Return the reply in Amazon's form."""
        del request, push
        space = "http://sns.amazonaws.com/doc/2010-03-31/"
        if reply.status == 200:
            result = f"<PublishResult><MessageId>{secrets.token_hex(16)}</MessageId></PublishResult>"
            return Response(200, _XML, f'<PublishResponse xmlns="{space}">{result}</PublishResponse>'.encode())
        code, text = reply.reason or _CODES.get(reply.status, "InternalError"), "refused"
        if code == "NoEndpoint":
            code = "InvalidParameter"
            text = "Invalid parameter: TargetArn Reason: No endpoint found for the target arn specified"
        error = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>{text}</Message></Error>"
        return Response(reply.status, _XML, f'<ErrorResponse xmlns="{space}">{error}</ErrorResponse>'.encode())

    def app(self, **changes: Any) -> dict[str, Any]:
        """Return settings of a provider that this mock accepts, by their names."""
        return {"credentials_file": str(self.credentials_file)} | changes

    def _signature_error(self, request: Request, now: int) -> str:
        headers = request.headers
        match = _AUTHORIZATION.fullmatch(headers.get("authorization", ""))
        if match is None:
            return "IncompleteSignature"
        ident, day, region, names, signature = match.groups()
        if ident != self._ident:
            return "InvalidClientTokenId"
        moment = headers.get("x-amz-date", "")
        try:
            at = datetime.strptime(moment, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
        except ValueError:
            return "IncompleteSignature"
        if not moment.startswith(day) or not {"host", "x-amz-date"} <= set(names.split(";")):
            return "SignatureDoesNotMatch"
        if abs(at - now / 1000) > MAX_CLOCK_SKEW_SECONDS:
            return "RequestExpired"
        lines = [request.method, "/", "", *(f"{name}:{headers.get(name, '')}" for name in names.split(";")), "", names]
        hashed = hashlib.sha256(("\n".join(lines) + "\n" + hashlib.sha256(request.body).hexdigest()).encode())
        text = f"AWS4-HMAC-SHA256\n{moment}\n{day}/{region}/sns/aws4_request\n{hashed.hexdigest()}"
        key = ("AWS4" + self._secret).encode()
        for part in (day, region, "sns", "aws4_request", text):
            key = hmac.digest(key, part.encode(), "sha256")
        return "" if key.hex() == signature else "SignatureDoesNotMatch"

    @staticmethod
    def _refusal(request: Request, form: dict[str, str], target: str) -> str:
        if form.get("Action") != "Publish" or form.get("Version") != "2010-03-31":
            return "InvalidAction"
        match = _ARN.fullmatch(target)
        if match is None or request.headers.get("host") != f"sns.{match[1]}.amazonaws.com":
            return "InvalidParameter"
        try:
            message = json.loads(form.get("Message", ""))
        except ValueError:
            return "InvalidParameter"
        fits = isinstance(message, dict) and isinstance(message.get("default"), str)
        return "" if fits and form.get("MessageStructure") == "json" else "InvalidParameter"
