"""``hushbell push``: send one notification from the shell, as gorush's command line does."""

import json
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import click

from hushbell.cli.files import read_secret
from hushbell.errors import ConfigError, HushbellError, TransportError

PLATFORMS = {"ios": 1, "android": 2, "huawei": 3}
TIMEOUT = 60.0  # seconds; a synchronous gateway waits for Apple
MAX_RESPONSE_BYTES = 1024 * 1024  # of an answer
MAX_REFUSAL_LENGTH = 500  # characters of a refusal that are shown


@click.command("push", epilog="Example: hushbell push --ios -t 0a1b… --topic im.example -m hello")
@click.option("--url", metavar="URL", default="http://127.0.0.1:8088", show_default=True, help="The gateway.")
@click.option("--key-file", metavar="FILE", help="An API key, if the gateway asks for one.")
@click.option("--app", metavar="NAME", help="One of the gateway's apps.  [default: the key's first]")
@click.option("--ios", "platform", flag_value="ios", help="To Apple.")
@click.option("--android", "platform", flag_value="android", help="To Google.")
@click.option("--huawei", "platform", flag_value="huawei", help="To Huawei.")
@click.option("-t", "--token", "tokens", metavar="TOKEN", multiple=True, help="Device token; repeatable.")
@click.option("--topic", metavar="TOPIC", help="Apple: bundle id. Google, Huawei: a topic.")
@click.option("-m", "--message", metavar="TEXT", help="What a person sees.")
@click.option("--title", metavar="TEXT", help="Above it.")
@click.option("--data", metavar="JSON", help="An object for the app.")
@click.option("--development", is_flag=True, help="Apple's environment for tests.")
@click.option("--ping", is_flag=True, help="Only ask whether the gateway is there.")
def command(**options: object) -> int:
    """Send one notification through a gateway, and print its answer; one that names a failure exits with 1."""
    url = str(options["url"]).rstrip("/")
    if options["ping"]:
        _request(url + "/healthz", None, {})
        return 0
    body = json.dumps({"notifications": [_notification(options)]}).encode()
    headers = {"Content-Type": "application/json"}
    if options["key_file"]:
        key = read_secret(Path(str(options["key_file"])), "--key-file").decode("ascii", "replace").strip()
        headers["Authorization"] = f"Bearer {key}"
    if options["app"]:
        headers["X-Hushbell-App"] = str(options["app"])
    answer = _request(url + "/api/push", body, headers)
    click.echo(answer.decode("utf-8", "replace"))
    return 1 if _has_failures(answer) else 0


def _notification(options: dict[str, object]) -> dict[str, object]:
    if options["platform"] is None:
        raise click.UsageError("give one of --ios, --android and --huawei")
    if not options["tokens"] and (options["platform"] == "ios" or not options["topic"]):
        raise click.UsageError("give --token")
    made: dict[str, object] = {"platform": PLATFORMS[str(options["platform"])], "tokens": options["tokens"]}
    for name in ("topic", "message", "title"):
        if options[name]:
            made[name] = options[name]
    if options["development"]:
        made["development"] = True
    if options["data"]:
        try:
            data = json.loads(str(options["data"]))
        except ValueError:
            data = None
        if not isinstance(data, dict):
            raise click.BadParameter("must be a JSON object", param_hint="--data")
        made["data"] = data
    return made


def _request(url: str, body: bytes | None, headers: dict[str, str]) -> bytes:
    if not url.startswith(("http://", "https://")):
        raise ConfigError("--url: must begin with http:// or https://")
    request = Request(url, body, headers)  # noqa: S310  checked above
    try:
        with urlopen(request, timeout=TIMEOUT) as answer:  # noqa: S310  checked above
            content: bytes = answer.read(MAX_RESPONSE_BYTES)
            return content
    except HTTPError as error:
        text = _first_line(error.read(MAX_RESPONSE_BYTES))
        if error.code in (429, 503):
            raise TransportError(f"the gateway has no room now: {text}") from None
        raise HushbellError(f"the gateway refuses ({error.code}): {text}") from None
    except (URLError, OSError) as error:
        reason = error.reason if isinstance(error, URLError) else error
        words = reason.strerror if isinstance(reason, OSError) else reason
        raise TransportError(f"{request.host} cannot be reached: {words}") from None


def _first_line(answer: bytes) -> str:
    """Return the start of an answer as one line: a server at a wrong address may send a whole page."""
    lines = answer.decode("utf-8", "replace").split("\n", 1)
    return lines[0][:MAX_REFUSAL_LENGTH] + ("…" if len(lines) > 1 or len(lines[0]) > MAX_REFUSAL_LENGTH else "")


def _has_failures(answer: bytes) -> bool:
    try:
        return any(log["type"] == "failed-push" for log in json.loads(answer)["logs"])
    except (ValueError, LookupError, TypeError):
        return False
