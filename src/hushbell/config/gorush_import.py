"""gorush's configuration (reference/gateway.md 1.5) in our words."""

import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from hushbell.errors import ConfigError

APP = "default"

_DEFAULTS: dict[str, Any] = {
    "core.enabled": True,
    "core.address": "",
    "core.port": "8088",
    "core.max_notification": 100,
    "core.queue_num": 0,
    "core.sync": False,
    "core.feedback_hook_url": "",
    "core.feedback_header": [],
    "core.ssl": False,
    "core.auto_tls.enabled": False,
    "core.http_proxy": "",
    "core.pid.enabled": False,
    "grpc.enabled": False,
    "grpc.port": "9000",
    "api.push_uri": "/api/push",
    "api.stat_go_uri": "/api/stat/go",
    "api.stat_app_uri": "/api/stat/app",
    "api.config_uri": "/api/config",
    "api.sys_stat_uri": "/sys/stats",
    "api.metric_uri": "/metrics",
    "api.health_uri": "/healthz",
    "android.enabled": True,
    "android.key_path": "",
    "android.credential": "",
    "android.max_retry": 0,
    "huawei.enabled": False,
    "huawei.appid": "",
    "huawei.appsecret": "",
    "huawei.max_retry": 0,
    "ios.enabled": False,
    "ios.key_path": "",
    "ios.key_base64": "",
    "ios.key_type": "pem",
    "ios.password": "",
    "ios.production": False,
    "ios.max_retry": 0,
    "ios.key_id": "",
    "ios.team_id": "",
    "queue.engine": "local",
    "stat.engine": "memory",
    "log.hide_token": True,
    "log.hide_messages": False,
}
_PATHS = {
    "push": "push_uri",
    "stat_go": "stat_go_uri",
    "stat_app": "stat_app_uri",
    "config": "config_uri",
    "sys_stats": "sys_stat_uri",
    "metrics": "metric_uri",
    "health": "health_uri",
}
PREFIX = "GORUSH_"


@dataclass(slots=True)
class Translation:
    """What a gorush configuration becomes."""

    toml: str = ""
    secrets: dict[str, bytes] = field(default_factory=dict, repr=False)  # file name → what it must hold
    notes: list[str] = field(default_factory=list)  # what has no counterpart, and what to do about it


def translated(tree: Any, environment: Mapping[str, str], folder: str) -> Translation:
    """
    Return our configuration for one of gorush's.

    Args:
        tree: the parsed YAML, or None for an empty file.
        environment: variables; those of gorush go before the file, as there.
        folder: where the secrets will be, which stand in gorush's file and never in ours.

    Raises:
        ConfigError: it is not a configuration of gorush's.
    """
    if tree is not None and not isinstance(tree, dict):
        raise ConfigError("not a configuration of gorush: it has no sections")
    reading = _GorushFile(tree or {}, environment, folder)
    lines = [*reading.front(), *reading.app()]
    reading.note_the_rest()
    reading.made.toml = "\n".join(lines) + "\n"
    return reading.made


class _GorushFile:
    """Values of gorush's file, and what was made of them so far."""

    def __init__(self, tree: Mapping[str, Any], environment: Mapping[str, str], folder: str) -> None:
        self.made = Translation()
        self._tree = tree
        self._environment = environment
        self._folder = folder

    def front(self) -> Iterator[str]:
        """Yield ``[gateway]``."""
        yield "[gateway]"
        address, port = self._text("core.address"), self._text("core.port")
        yield f"listen = {_quoted(address + ':' + port)}"
        if self._truth("grpc.enabled"):
            yield f"grpc = {_quoted(address + ':' + self._text('grpc.port'))}"
        if not address:
            self._note("core.address: gorush listens on every address without asking who calls; so does this: add")
            self._note("  [[keys]] (`hushbell keys api` makes one) and remove gateway.anonymous")
            yield "anonymous = true"
        for ours, theirs in (
            ("sync", "core.sync"),
            ("hide_token", "log.hide_token"),
            ("hide_messages", "log.hide_messages"),
        ):
            yield f"{ours} = {str(self._truth(theirs)).lower()}"
        yield f"notifications = {max(1, self._number('core.max_notification'))}"
        yield 'full = "503"  # "gorush" answers a full queue with a 200 whose logs say so'
        yield ""
        yield "[gateway.paths]"
        for ours, theirs in _PATHS.items():
            yield f"{ours} = {_quoted(self._text('api.' + theirs))}"

    def app(self) -> Iterator[str]:
        """Yield the one app that gorush has."""
        yield ""
        yield "[[apps]]"
        yield f"name = {_quoted(APP)}"
        retries = max(self._number(f"{one}.max_retry") for one in ("ios", "android", "huawei"))
        if retries:
            yield f"attempts = {retries + 1}"
        if url := self._text("core.feedback_hook_url"):
            yield f"feedback_url = {_quoted(url)}"
            headers = self._value("core.feedback_header")
            listed = [str(one) for one in headers] if isinstance(headers, list) else []
            yield f"feedback_headers = [{', '.join(map(_quoted, listed))}]"
        if self._truth("ios.enabled"):
            yield from self._apns()
        if self._truth("android.enabled"):
            yield from self._fcm()
        if self._truth("huawei.enabled"):
            yield "[apps.huawei]"
            yield f"app_id = {_quoted(self._text('huawei.appid'))}"
            secret = self._secret("huawei-secret", self._text("huawei.appsecret").encode())
            yield f"secret_file = {_quoted(secret)}"

    def note_the_rest(self) -> None:
        """Say what has no counterpart."""
        if self._truth("core.ssl") or self._truth("core.auto_tls.enabled"):
            self._note("core.ssl, core.auto_tls: TLS ends at a proxy in front of the gateway")
        if self._text("core.http_proxy"):
            self._note("core.http_proxy: not taken over; each provider has `connect`")
        if self._text("queue.engine") != "local":
            self._note("queue.engine: the queue is on this machine's disk and needs no other program")
        if self._text("stat.engine") != "memory":
            self._note("stat.engine: counts begin anew at each start; Prometheus keeps them")
        if not self._truth("core.enabled"):
            self._note("core.enabled: false has no counterpart; the HTTP API is always there")
        known = {name.rpartition(".")[0] for name in _DEFAULTS} | {"queue", "stat", "log", "core"}
        for section in self._tree:
            if section not in known:
                self._note(f"{section}: gorush has no such section")

    def _apns(self) -> Iterator[str]:
        yield "[apps.apns]"
        path, kind = self._text("ios.key_path"), self._text("ios.key_type")
        if path:
            kind = path.rpartition(".")[2]
        elif encoded := self._text("ios.key_base64"):
            try:
                path = self._secret(f"apns.{kind}", base64.b64decode(encoded, validate=True))
            except (binascii.Error, ValueError):
                raise ConfigError("ios.key_base64: not base64") from None
        else:
            self._note("ios.key_path: missing; set apps.apns.key_file or certificate_file")
        if kind == "p8":
            yield f"key_file = {_quoted(path)}"
            for name in ("key_id", "team_id"):
                yield f"{name} = {_quoted(self._text('ios.' + name))}"
        else:
            yield f"certificate_file = {_quoted(path)}"
            if password := self._text("ios.password"):
                yield f"password_file = {_quoted(self._secret('apns-password', password.encode()))}"
        yield f"route = {_quoted('production' if self._truth('ios.production') else 'development')}"

    def _fcm(self) -> Iterator[str]:
        path = self._text("android.key_path")
        credential = self._text("android.credential")
        if not path and credential:
            path = self._secret("fcm.json", credential.encode())
        path = path or self._environment.get("GOOGLE_APPLICATION_CREDENTIALS", "")
        if not path:
            self._note("android: enabled, as by default, but without a credential; left out")
            return
        yield "[apps.fcm]"
        yield f"credentials_file = {_quoted(path)}"

    def _secret(self, name: str, content: bytes) -> str:
        self.made.secrets[name] = content
        return f"{self._folder}/{name}"

    def _note(self, text: str) -> None:
        self.made.notes.append(text)

    def _value(self, name: str) -> Any:
        variable = PREFIX + name.upper().replace(".", "_")
        if variable in self._environment:
            return self._environment[variable]
        found: Any = self._tree
        for part in name.split("."):
            if not isinstance(found, dict) or part not in found:
                return _DEFAULTS[name]
            found = found[part]
        return _DEFAULTS[name] if found is None else found

    def _text(self, name: str) -> str:
        value = self._value(name)
        if isinstance(value, dict | list):
            raise ConfigError(f"{name}: must be a text")
        return str(value)

    def _truth(self, name: str) -> bool:
        value = self._value(name)
        if isinstance(value, str):
            return value.lower() in ("1", "t", "true")
        return bool(value)

    def _number(self, name: str) -> int:
        try:
            return max(0, int(self._value(name)))
        except (TypeError, ValueError):
            raise ConfigError(f"{name}: must be a whole number") from None


def _quoted(text: str) -> str:
    """Return a TOML text; JSON's form is one."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
