"""``GET /api/config``: our settings in the form of gorush's configuration, without what is secret."""

from typing import Any

import yaml

from hushbell.config.apps import AppSettings
from hushbell.config.gateway import GatewaySettings
from hushbell.config.settings import Settings

HIDDEN = "[REDACTED]"

# gorush's settings of other queues and other stores of statistics, which have no counterpart here.
_QUEUE = {
    "engine": "local",
    "nsq": {"addr": "", "topic": "", "channel": ""},
    "nats": {"addr": "", "subj": "", "queue": ""},
    "redis": {
        "addr": "",
        "username": "",
        "password": "",
        "db": 0,
        "stream_name": "",
        "group": "",
        "consumer": "",
        "with_tls": False,
    },
}
_STAT = {
    "engine": "memory",
    "redis": {"cluster": False, "addr": "", "username": "", "password": "", "db": 0},
    "boltdb": {"path": "", "bucket": ""},
    "buntdb": {"path": ""},
    "leveldb": {"path": ""},
    "badgerdb": {"path": ""},
}


def config_yaml(settings: Settings) -> bytes:
    """Return the YAML. It shows the first app alone, since gorush has one."""
    app = settings.apps[0] if settings.apps else AppSettings(name="none")
    tree = {
        "core": _core(settings.gateway, app),
        "api": _api(settings.gateway),
        **_providers(app),
        "queue": _QUEUE,
        "log": {
            "format": "json",
            "access_log": "",
            "access_level": settings.log.level,
            "error_log": "stderr",
            "error_level": settings.log.level,
            "hide_token": settings.gateway.hide_token,
            "hide_messages": settings.gateway.hide_messages,
        },
        "stat": _STAT,
        "grpc": {"enabled": bool(settings.gateway.grpc), "port": settings.gateway.grpc.rpartition(":")[2]},
    }
    return yaml.safe_dump(tree, sort_keys=False, allow_unicode=True).encode()


def _core(gateway: GatewaySettings, app: AppSettings) -> dict[str, Any]:
    host, _, port = gateway.listen.rpartition(":")
    return {
        "enabled": True,
        "address": host,
        "shutdown_timeout": 10,
        "port": port,
        "max_notification": gateway.notifications,
        "worker_num": 1,
        "queue_num": app.queue,
        "mode": "release",
        "sync": gateway.sync,
        "ssl": False,
        "cert_path": "",
        "key_path": "",
        "cert_base64": "",
        "key_base64": "",
        "http_proxy": "",
        "pid": {"enabled": False, "path": "", "override": False},
        "auto_tls": {"enabled": False, "folder": "", "host": ""},
        "feedback_hook_url": HIDDEN if app.feedback_url else "",
        "feedback_timeout": 10,
        "feedback_header": [HIDDEN for _ in app.feedback_headers],
    }


def _api(gateway: GatewaySettings) -> dict[str, Any]:
    paths = gateway.paths
    return {
        "push_uri": paths.push,
        "stat_go_uri": paths.stat_go,
        "stat_app_uri": paths.stat_app,
        "config_uri": paths.config,
        "sys_stat_uri": paths.sys_stats,
        "metric_uri": paths.metrics,
        "health_uri": paths.health,
    }


def _providers(app: AppSettings) -> dict[str, Any]:
    retry = max(0, app.attempts - 1)
    apns: Any = app.providers.get("apns")
    huawei: Any = app.providers.get("huawei")
    return {
        "android": {
            "enabled": "fcm" in app.providers,
            "key_path": HIDDEN if "fcm" in app.providers else "",
            "credential": "",
            "max_retry": retry,
        },
        "huawei": {
            "enabled": huawei is not None,
            "appsecret": HIDDEN if huawei else "",
            "appid": huawei.app_id if huawei else "",
            "max_retry": retry,
        },
        "ios": {
            "enabled": apns is not None,
            "key_path": HIDDEN if apns else "",
            "key_base64": "",
            "key_type": "p8" if apns and apns.key_file else "pem",
            "password": HIDDEN if apns and apns.password_file else "",
            "production": apns is not None and apns.route == "production",
            "max_concurrent_pushes": apns.http.streams * apns.http.connections if apns else 0,
            "max_retry": retry,
            "key_id": HIDDEN if apns and apns.key_id else "",
            "team_id": HIDDEN if apns and apns.team_id else "",
        },
    }
