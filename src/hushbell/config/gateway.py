"""How pushes leave: texts, the gorush client, Apple, and the HTTP beneath them."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal


class Shape(StrEnum):
    """What the gorush client writes into a notification."""

    STATUS = "status"  # byte for byte what status-go writes
    SPEC = "spec"  # tokens of one request side by side, as spec 16 shows
    OWN = "own"  # with ids, collapse keys and padding, many requests in one POST


@dataclass(frozen=True, slots=True, kw_only=True)
class Texts:
    """Section ``[texts]``: what a person sees when the app does not replace it."""

    message: str = "You have a new message"
    mention: str = "Someone mentioned you"
    join: str = "Someone requested to join a community you are an admin of"


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpSettings:
    """The HTTP client of one provider."""

    connect: str = ""  # HOST:PORT to connect to instead; authority and server name stay the provider's
    ca_file: str = ""  # certificates to trust instead of the system's
    certificate_file: str = ""  # PEM with a certificate and its key, shown to servers that ask who we are
    connections: int = 4  # to one host
    streams: int = 250  # side by side on one HTTP/2 connection; the server may allow fewer
    in_flight: int = 1000  # requests under way; more of them wait
    waiting: int = 65_536  # requests that may wait; more are refused at once, unsent
    answer: int = 64 * 1024  # bytes of an answer's body that are kept


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerGorushSettings:
    """Section ``[gateway.gorush]``: a gorush, or a server that speaks its API."""

    url: str  # such as https://gorush.example.org
    shape: Shape = Shape.STATUS
    timeout: float = 20.0  # seconds for one POST
    gather: float = 0.002  # seconds that a POST of the shape "own" waits for further items
    sizes: tuple[int, ...] = (512, 1024, 2048, 3584)  # bytes of data in the shape "own"; () means no padding
    http: HttpSettings = field(default_factory=HttpSettings)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerApnsSettings:
    """Section ``[gateway.apns]``: Apple's push service with a token key."""

    key_file: str  # the .p8 file that Apple gives out
    key_id: str  # ten characters
    team_id: str  # ten characters
    topic: str = ""  # the app's bundle id, for registrations that name none
    sandbox: bool = False  # Apple's test environment: device tokens of development builds
    timeout: float = 20.0  # seconds for one push
    sizes: tuple[int, ...] = (1024, 2048, 4096)  # bytes of a payload; () means no padding
    http: HttpSettings = field(default_factory=lambda: HttpSettings(connections=2))


@dataclass(frozen=True, slots=True, kw_only=True)
class PathSettings:
    """Section ``[gateway.paths]``: gorush's, where a client expects others."""

    push: str = "/api/push"
    stat_go: str = "/api/stat/go"
    stat_app: str = "/api/stat/app"
    config: str = "/api/config"
    sys_stats: str = "/sys/stats"
    metrics: str = "/metrics"
    health: str = "/healthz"


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySettings:
    """
    Section ``[gateway]``: how the push server's pushes leave, and the front of the program ``hushbell gateway``.

    With a gorush all pushes of the push server go there; otherwise each token type to its provider.
    """

    listen: str = "127.0.0.1:8088"  # HOST:PORT of the HTTP API; port 0 picks one, which the ready line names
    grpc: str = ""  # HOST:PORT of the gRPC API; "" is off
    anonymous: bool = False  # serve callers without a key beyond this machine, too
    sync: bool = False  # answer gorush's API when each push had its first attempt, with the failures
    sync_timeout: float = 30.0  # seconds such an answer waits; what is open then goes on
    hide_token: bool = True  # star the ends of tokens in answers and feedback
    hide_messages: bool = False  # leave texts out of answers and feedback
    notifications: int = 100  # in one request
    full: Literal["503", "gorush"] = "503"  # answer of a full queue; gorush's is a 200 whose logs say so
    body: int = 16 * 1024 * 1024  # bytes of a request; gorush has no bound
    keep_days: int = 7  # how long ends, dead tokens and answers to repeated requests are remembered
    paths: PathSettings = field(default_factory=PathSettings)
    gorush: ServerGorushSettings | None = None
    apns: ServerApnsSettings | None = None
    texts: Texts = field(default_factory=Texts)
