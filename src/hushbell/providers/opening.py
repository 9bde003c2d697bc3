"""
The gateway that the settings describe.

The few hosts that carry the load, Apple's and Google's, are reached by the own HTTP/2 sender; everything else, which
may speak older HTTP, by libcurl.
"""

from pathlib import Path

from hushbell.config.gateway import GatewaySettings, ServerApnsSettings, Texts
from hushbell.errors import ConfigError
from hushbell.http.curl import CurlHttp
from hushbell.http.h2.client import H2Client
from hushbell.ports.clock import Clock
from hushbell.ports.gateway import Gateway
from hushbell.providers.apns.adapter import Apns
from hushbell.providers.apns.token import TokenSigner
from hushbell.providers.gorush.adapter import GorushGateway
from hushbell.providers.routing import Router
from hushbell.types import TokenType


def open_gateway(settings: GatewaySettings, clock: Clock) -> Gateway:
    """
    Return the gateway. No connection is made before the first push.

    Raises:
        ConfigError: a key file cannot be read or used.
    """
    if settings.gorush is not None:
        return GorushGateway(settings.gorush, CurlHttp(settings.gorush.http), settings.texts)
    providers: dict[int, Gateway] = {}
    if settings.apns is not None:
        providers[TokenType.APN] = _open_apns(settings.apns, settings.texts, clock)
    return Router(providers)


def _open_apns(settings: ServerApnsSettings, texts: Texts, clock: Clock) -> Apns:
    try:
        key = Path(settings.key_file).read_bytes()
    except OSError as error:
        raise ConfigError(f"apns.key_file: cannot read {settings.key_file}: {error.strerror}") from error
    signer = TokenSigner(key, key_id=settings.key_id, team_id=settings.team_id)
    return Apns(settings, H2Client(settings.http), signer, clock, texts)
