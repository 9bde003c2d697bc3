"""Amazon SNS (reference/gateway.md 5.4): one signed request for each platform endpoint or topic."""

import configparser
import re
from collections.abc import Sequence
from functools import partial
from typing import Any
from urllib.parse import urlencode

import orjson

from hushbell.core.delivery.notification import Message, Notification
from hushbell.core.delivery.outcome import Outcome, Verdict
from hushbell.errors import CallerError, ConfigError
from hushbell.http.client import submit_request
from hushbell.ports.http import HttpFailure, HttpRequest, HttpResponse
from hushbell.ports.provider import Attempt, ProviderContext
from hushbell.providers import checks, files
from hushbell.providers.batches import supported
from hushbell.providers.credentials import ReloadableCredential
from hushbell.providers.padding import padded, padded_data
from hushbell.providers.responses import failure
from hushbell.providers.sns.outcome import outcome
from hushbell.providers.sns.settings import SnsSettings
from hushbell.providers.sns.sigv4 import AwsKey, signed
from hushbell.types import Millis

MAX_BODY = 256 * 1024  # bytes that SNS takes
FORM = ("content-type", "application/x-www-form-urlencoded; charset=utf-8")

BAD_ARN = Outcome(Verdict.DEAD_TOKEN, "not an ARN of SNS")
OTHER_REGION = Outcome(Verdict.INVALID, "another region than the app's")

_ARN = re.compile(
    r"arn:(aws|aws-cn|aws-us-gov):sns:([a-z]{2,4}(?:-[a-z]{2,12}){1,3}-\d{1,2}):\d{12}:([A-Za-z0-9_./-]{1,512})",
    re.ASCII,
)
_REGION = re.compile(r"(?:[a-z]{2,4}(?:-[a-z]{2,12}){1,3}-\d{1,2})?", re.ASCII)
_ATTRIBUTE = re.compile(r"AWS\.SNS\.MOBILE\.[A-Z0-9_.]{1,100}", re.ASCII)


class SnsProvider:
    """Endpoints and topics by their ARN. Headers of a message are SNS' message attributes."""

    name = "sns"
    credential_expires_at: Millis | None = None  # an access key names no end

    def __init__(self, settings: SnsSettings, context: ProviderContext) -> None:
        """
        Read the access key; no connection is made.

        Raises:
            ConfigError: the file or its profile is bad, or the region is none.
        """
        if not _REGION.fullmatch(settings.region):
            raise ConfigError("sns.region: must look like eu-west-1")
        self._settings = settings
        self._clock = context.clock
        self._http = context.open_http(settings.http)
        self._key = ReloadableCredential(self._load)

    def check(self, message: Message) -> None:
        """Raise CallerError for what Amazon could never take."""
        for name, value in message.headers:
            if not _ATTRIBUTE.fullmatch(name):
                raise CallerError(f"headers.{name[:64]!a}", "must be a message attribute AWS.SNS.MOBILE.…")
            if not value or not value.isprintable():
                raise CallerError(f"headers.{name}", "must be a text without line breaks")
        body = checks.json_body(message, MAX_BODY)
        if not isinstance(body.get("default"), str):
            raise CallerError("body.default", "must be a text")
        for platform, value in body.items():
            if not isinstance(value, str):
                raise CallerError(f"body.{platform[:64]}", "must be a text that holds the platform's JSON")

    def send(self, attempts: Sequence[Attempt]) -> None:
        """Send pushes, each in a signed request."""
        for attempt in supported(attempts, ("token", "topic")):
            notification, indexes, done = attempt
            is_topic = notification.target_kind == "topic"
            fields = self._fields(notification)
            for index in indexes:
                arn = _ARN.fullmatch(notification.targets[index])
                if arn is None or ("/" in arn[3]) is is_topic:
                    done(index, BAD_ARN)
                elif self._settings.region not in ("", arn[2]):
                    done(index, OTHER_REGION)
                else:
                    self._send(arn, {"TopicArn" if is_topic else "TargetArn": arn[0], **fields}, partial(done, index))

    def reload(self) -> None:
        """Read the access key again."""
        self._key.reload()

    async def close(self) -> None:
        """Close the connections. Attempts under way end with UNKNOWN."""
        await self._http.close()

    def _send(self, arn: re.Match[str], fields: dict[str, str], done: partial[None]) -> None:
        host = f"sns.{arn[2]}.amazonaws.com" + (".cn" if arn[1] == "aws-cn" else "")
        body = urlencode(fields).encode()
        headers = signed(
            self._key.current,
            host=host,
            region=arn[2],
            service="sns",
            headers=(FORM,),
            body=body,
            now=self._clock.now(),
        )
        request = HttpRequest(f"https://{host}/", headers, body, self._settings.timeout)
        submit_request(self._http, request, self, done)

    def on_response(self, done: "partial[None]", result: HttpResponse | HttpFailure) -> None:
        """Report the outcome of one request."""
        done(failure(result) if isinstance(result, HttpFailure) else outcome(result))

    def _fields(self, notification: Notification) -> dict[str, str]:
        fields = {
            "Action": "Publish",
            "Version": "2010-03-31",
            "MessageStructure": "json",
            "Message": _padded(notification.message.body, self._settings.sizes),
        }
        for number, (name, value) in enumerate(notification.message.headers, 1):
            entry = f"MessageAttributes.entry.{number}"
            fields |= {f"{entry}.Name": name, f"{entry}.Value.DataType": "String", f"{entry}.Value.StringValue": value}
        return fields

    def _load(self) -> AwsKey:
        path, profile = self._settings.credentials_file, self._settings.profile
        parser = configparser.ConfigParser(interpolation=None)
        try:
            parser.read_string(files.read(path, "sns.credentials_file").decode())
            section = parser[profile]
            return AwsKey(
                section["aws_access_key_id"], section["aws_secret_access_key"], section.get("aws_session_token", "")
            )
        except (configparser.Error, UnicodeDecodeError, KeyError):
            # Not `from error`: its text quotes the file.
            raise ConfigError(f"sns.credentials_file: {path} has no access key in section [{profile}]") from None


def _padded(body: bytes, sizes: Sequence[int]) -> str:
    """Return the message with Apple's payloads, and the data of Google's, brought to the next of the sizes."""
    if not sizes:
        return body.decode()
    parts: dict[str, str] = orjson.loads(body)
    for platform, value in parts.items():
        if platform.startswith("APNS"):
            parts[platform] = padded(value.encode(), sizes).decode()
        elif platform == "GCM":
            parts[platform] = _padded_google(value, sizes)
    return orjson.dumps(parts).decode()


def _padded_google(value: str, sizes: Sequence[int]) -> str:
    try:
        content: Any = orjson.loads(value)
        message = content["fcmV1Message"]["message"]
    except (ValueError, LookupError, TypeError):
        return padded_data(value.encode(), sizes).decode()
    content["fcmV1Message"]["message"] = orjson.loads(padded_data(orjson.dumps(message), sizes))
    return orjson.dumps(content).decode()
