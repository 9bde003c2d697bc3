"""Settings: where values come from, which one wins, and how a mistake is told."""

import re
from dataclasses import fields, replace
from functools import partial
from typing import Any

import pytest

from hushbell.cli.init import template
from hushbell.config import loader
from hushbell.config.apps import AppSettings, KeySettings
from hushbell.config.gateway import GatewaySettings, ServerApnsSettings, ServerGorushSettings, Shape
from hushbell.config.limits import Limits
from hushbell.config.loader import Source
from hushbell.config.schema import keys
from hushbell.config.settings import Settings
from hushbell.errors import ConfigError
from hushbell.providers.apns.settings import ApnsSettings
from hushbell.providers.fcm.settings import FcmSettings
from hushbell.providers.registry import SETTINGS

load = partial(loader.load, providers=SETTINGS)

APNS = '[gateway.apns]\nkey_file = "k.p8"\nkey_id = "ABCDEFGHIJ"\nteam_id = "ABCDEFGHIJ"\n'
GORUSH = '[gateway.gorush]\nurl = "https://gorush.example.org"\n'


def told(text: str, environment: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(Source("h.toml", text), environment)
    return str(caught.value).splitlines()


def test_without_anything_the_defaults_hold() -> None:
    assert load() == Settings()


@pytest.mark.parametrize(
    "text,line",
    [
        ('[server]\ndta = "x"', "h.toml:2: server.dta: unknown; did you mean server.data?"),
        ("[gatway]\nx = 1", "h.toml:1: gatway: unknown; did you mean gateway?"),
        ("[server]\nworkers = true", "h.toml:2: server.workers: must be a whole number from 1"),
        ("[server]\nworkers = 0", "h.toml:2: server.workers: must be a whole number from 1"),
        ("server.workers = '1'", "h.toml:1: server.workers: must be a whole number from 1"),
        ("[server]\n\npubsub_topics = []", "h.toml:3: server.pubsub_topics: must be a list of at least one text"),
        (
            '[server]\npubsub_topics = ["x"]',
            "h.toml:2: server.pubsub_topics: each must look like /waku/2/rs/CLUSTER/SHARD",
        ),
        ('[store]\nurl = "redis"', 'h.toml:2: store.url: must be one of "sqlite", "memory"'),
        ("[log]\nblur = -1", "h.toml:2: log.blur: must be a whole number from 0"),
        ("[limits]\nenvelope = 1.5", "h.toml:2: limits.envelope: must be a whole number from 1"),
        (GORUSH + 'shape = "x"', 'h.toml:3: gateway.gorush.shape: must be one of "status", "spec", "own"'),
        (
            GORUSH + "sizes = [2, 1]",
            "h.toml:3: gateway.gorush.sizes: must be a list of whole numbers from 1, in ri",
        ),
        (APNS + 'connect = "x"', "h.toml:5: gateway.apns.connect: must look like HOST:PORT"),
        ("[gateway.gorush]", "h.toml:1: gateway.gorush.url: missing"),
        (
            "[gateway.gorush]\nurl = 'http://192.0.2.1/'",
            "h.toml:2: gateway.gorush.url: must begin with https://, or with http:// and a loopback address",
        ),
        (APNS + GORUSH, "h.toml:1: gateway.apns: everything goes to gateway.gorush; remove one of the two"),
        ("[server]\nx = = 1", "h.toml:2: not TOML: Invalid value"),
        ("[server\n", "h.toml:1: not TOML: "),
    ],
)
def test_a_mistake_is_reported_with_file_line_key_and_rule(text: str, line: str) -> None:
    (problem,) = told(text)

    assert problem.startswith(line)


APPS = """\
[[apps]]
name = "chat"
[apps.apns]
key_id = "ABCDEFGHIJ"
http_port = 1

[[apps]]
name = "chat"
queue = 0
[apps.fcm]
connect = "x"
"""


def test_mistakes_in_arrays_are_reported_where_they_stand() -> None:
    assert [line.split("; did")[0] for line in told(APPS)] == [
        "h.toml:5: apps.0.apns.http_port: unknown",
        "h.toml:9: apps.1.queue: must be a whole number from 1",
        "h.toml:10: apps.1.fcm.credentials_file: missing",
        "h.toml:8: apps.1.name: is another app's, too",
        "h.toml:11: apps.1.fcm.connect: must look like HOST:PORT",
    ]


def test_members_of_an_array_come_from_the_environment_too() -> None:
    settings = load(None, {"HUSHBELL_APPS__0__NAME": "chat", "HUSHBELL_APPS__0__FCM__CREDENTIALS_FILE": "c.json"})

    (app,) = settings.apps
    assert app.name == "chat"
    assert app.providers == {"fcm": FcmSettings(credentials_file="c.json")}


def test_every_mistake_is_reported_at_once() -> None:
    problems = told("[server]\nworkers = 0\nx = 1\n[log]\nlevel = 'loud'\n", {"HUSHBELL_LOG__BLUR": "soon"})

    assert [problem.split(": ")[0] for problem in problems] == [
        "h.toml:2",
        "h.toml:3",
        "h.toml:5",
        "environment HUSHBELL_LOG__BLUR",
    ]


def test_a_flag_goes_before_the_environment_before_the_file_before_the_default() -> None:
    file = Source("h.toml", '[server]\ndata = "file"\nworkers = 2\nidentity_file = "file"')
    environment = {"HUSHBELL_SERVER__DATA": "environment", "HUSHBELL_SERVER__WORKERS": "3"}

    server = load(file, environment, {"server.data": "flag", "server.workers": None}).server

    assert (server.data, server.workers, server.identity_file) == ("flag", 3, "file")
    assert server.query_keys_per_second == 4


@pytest.mark.parametrize(
    "variable,text,value",
    [
        ("SERVER__PUBSUB_TOPICS", '["/waku/2/rs/16/64", "/waku/2/rs/16/32"]', ("/waku/2/rs/16/64", "/waku/2/rs/16/32")),
        ("SERVER__DATA", "/a b/#c", "/a b/#c"),
        ("LOG__LEVEL", "debug", "debug"),
        ("GATEWAY__GORUSH__SHAPE", "own", Shape.OWN),
        ("GATEWAY__GORUSH__TIMEOUT", "3", 3.0),
    ],
)
def test_every_kind_of_value_can_come_from_the_environment(variable: str, text: str, value: Any) -> None:
    result: Any = load(Source("h.toml", GORUSH), {f"HUSHBELL_{variable}": text})

    for name in variable.lower().split("__"):
        result = getattr(result, name)
    assert result == value


def test_an_unknown_variable_is_refused_and_those_of_others_are_left_alone() -> None:
    load(None, {"HUSHBELL": "x", "HUSHBELL_X": "x", "PATH": "/bin"})
    with pytest.raises(ConfigError, match=r"environment HUSHBELL_SERVER__DTA: server.dta: unknown; did you mean"):
        load(None, {"HUSHBELL_SERVER__DTA": "x"})


def test_the_provider_keeps_its_own_default_where_the_shared_class_has_another() -> None:
    apns = load(Source("h.toml", APNS + 'connect = "127.0.0.1:2197"')).gateway.apns

    assert apns is not None
    assert apns.http.connect == "127.0.0.1:2197"
    assert apns.http.connections == 2


@pytest.mark.parametrize("url", ["http://127.0.0.1:8088", "http://localhost", "http://[::1]:1", "https://x.example"])
def test_a_gateway_is_reached_by_tls_or_on_this_machine(url: str) -> None:
    gorush = load(Source("h.toml", f'[gateway.gorush]\nurl = "{url}"')).gateway.gorush

    assert gorush is not None
    assert gorush.url == url


def test_what_init_writes_is_the_default() -> None:
    assert load(Source("h.toml", template())) == Settings()


@pytest.mark.parametrize(
    "other,gateway",
    [
        ("[gateway.apns]", GatewaySettings(gorush=ServerGorushSettings(url="https://gorush.example.org"))),
        (
            "[gateway.gorush]",
            GatewaySettings(
                apns=ServerApnsSettings(key_file="AuthKey_ABCDEFGHIJ.p8", key_id="ABCDEFGHIJ", team_id="ABCDEFGHIJ")
            ),
        ),
    ],
)
def test_what_init_writes_shows_every_default_in_force(other: str, gateway: GatewaySettings) -> None:
    shown = re.sub(r"^# (?=[a-z0-9_]+ = |\[)", "", template(), flags=re.MULTILINE)

    kept = "\n\n".join(part for part in shown.split("\n\n") if other not in part.splitlines())

    # The comment above gateway.gorush goes with its section; nothing else does.
    found = load(Source("h.toml", kept))
    assert replace(found, apps=(), keys=()) == Settings(gateway=gateway)
    (app,), (key,) = found.apps, found.keys
    assert app == AppSettings(name="chat", providers=app.providers)
    assert app.providers == {
        "apns": ApnsSettings(key_file="AuthKey_ABCDEFGHIJ.p8", key_id="ABCDEFGHIJ", team_id="ABCDEFGHIJ"),
        "fcm": FcmSettings(credentials_file="service-account.json"),
    }
    assert key == KeySettings(name="backend", sha256="0" * 64)


def test_what_init_writes_names_every_limit_and_every_key_of_the_server() -> None:
    named = set(re.findall(r"^(?:# )?([a-z0-9_]+) = ", template(), flags=re.MULTILINE))

    assert {path[-1] for path in keys(Settings, SETTINGS) if path[0] not in ("gateway", "apps")} <= named
    assert {field.name for field in fields(Limits)} <= named


@pytest.mark.parametrize("value", ["[" * 5000, "{a=" * 5000, "1" * 5000], ids=["lists", "tables", "digits"])
def test_a_value_beyond_what_a_parser_takes_is_a_mistake_like_any_other(value: str) -> None:
    with pytest.raises(ConfigError, match=r"h\.toml: not TOML"):
        load(Source("h.toml", f"a = {value}"))
    with pytest.raises(ConfigError, match=r"server.workers: must be"):
        load(None, {"HUSHBELL_SERVER__WORKERS": value})
