"""The apps of the settings with their providers, and the app that the push server's pushes leave through."""

from dataclasses import fields
from pathlib import Path
from typing import Any

from hushbell.config.apps import AppSettings
from hushbell.config.gateway import Shape
from hushbell.config.settings import Settings
from hushbell.core.server.payloads import QUEUES
from hushbell.errors import ConfigError
from hushbell.http.client import open_http
from hushbell.ports.clock import Clock
from hushbell.ports.provider import Provider, ProviderContext
from hushbell.providers.apns.settings import ApnsSettings
from hushbell.providers.gorush.settings import GorushSettings
from hushbell.providers.registry import open_provider
from hushbell.runtime.clock import system_random
from hushbell.runtime.delivery.engine import App
from hushbell.runtime.server.app import SERVER_APP, choose, delivery_app


def open_apps(settings: Settings, clock: Clock) -> list[App]:
    """
    Return the apps with their providers.

    Raises:
        ConfigError: a credential cannot be read or used; names the app and the setting.
    """
    return [open_app(app, settings, clock) for app in settings.apps]


def open_app(app: AppSettings, settings: Settings, clock: Clock) -> App:
    """
    Return an app with its providers.

    Raises:
        ConfigError: a credential cannot be read or used; names the app and the setting.
    """
    try:
        providers = _open_providers(app, settings, clock)
    except ConfigError as error:
        raise ConfigError(f"app {app.name}: {error}") from error
    return App(
        name=app.name,
        providers=providers,
        queue=app.queue,
        ttl=app.ttl,
        retries=app.attempts - 1 if app.attempts else None,
    )


def _open_providers(app: AppSettings, settings: Settings, clock: Clock) -> dict[str, Provider]:
    context = ProviderContext(clock=clock, random=system_random, open_http=open_http, allow=settings.ssrf.allow)
    providers = {name: open_provider(name, chosen, context) for name, chosen in app.providers.items()}
    if app.other:
        from hushbell.providers.third_parties import open_other  # looks through the installed packages

        providers |= {other.provider: open_other(other, context) for other in app.other}
    return providers


def server_app(settings: Settings) -> AppSettings:
    """Return the app that ``[server] app`` names, or one made of ``[gateway.gorush]`` or ``[gateway.apns]``."""
    if settings.server.app:
        return next(app for app in settings.apps if app.name == settings.server.app)
    providers: dict[str, object] = {}
    gorush, apns = settings.gateway.gorush, settings.gateway.apns
    if gorush is not None:
        providers["gorush"] = GorushSettings(**_values(gorush))
    elif apns is not None:
        values = _values(apns)
        values["route"] = "development" if values.pop("sandbox") else "production"
        providers["apns"] = ApnsSettings(**values, probe=False)
    return AppSettings(name=SERVER_APP, providers=providers)


def open_server_app(settings: Settings, clock: Clock) -> App:
    """
    Return the app that the push server's pushes leave through.

    Raises:
        ConfigError: a credential cannot be read or used; names the setting.
    """
    chosen = server_app(settings)
    gorush = chosen.providers.get("gorush")
    shape = gorush.shape if isinstance(gorush, GorushSettings) else Shape.STATUS
    sizes = gorush.sizes if isinstance(gorush, GorushSettings) else ()
    providers = _open_providers(chosen, settings, clock)
    return delivery_app(providers, settings.gateway.texts, ttl=settings.limits.push_ttl, shape=shape, sizes=sizes)


def server_provider_names(settings: Settings) -> list[str]:
    """Return the names of the providers that the push server's pushes leave through."""
    app = server_app(settings)
    return [*app.providers, *(other.provider for other in app.other)]


def server_files(settings: Settings) -> dict[tuple[str, str], list[Path]]:
    """Return the files with credentials of the server's providers, by app and queue."""
    app = server_app(settings)
    files = credential_files(app)
    served = {queue: choose(queue, app.providers) for queue in QUEUES.values()}
    return {(SERVER_APP, queue): files[app.name, name] for queue, name in served.items() if (app.name, name) in files}


def credential_files(app: AppSettings) -> dict[tuple[str, str], list[Path]]:
    """Return the files that an app's providers read their credentials from, by app and provider."""
    return {
        (app.name, name): [Path(value) for key, value in _values(chosen).items() if key.endswith("_file") and value]
        for name, chosen in app.providers.items()
    }


def _values(settings: Any) -> dict[str, Any]:
    return {part.name: getattr(settings, part.name) for part in fields(settings)}
