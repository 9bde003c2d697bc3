"""Settings of a gorush elsewhere."""

from dataclasses import dataclass, field

from hushbell.config.gateway import HttpSettings, Shape


@dataclass(frozen=True, slots=True, kw_only=True)
class GorushSettings:
    """A gorush elsewhere."""

    url: str
    key_file: str = ""  # holds a bearer token, for a proxy in front of it
    batch: int = 100  # notifications in one request: gorush's core.max_notification
    shape: Shape = Shape.STATUS  # of the push server's notifications; what callers of an API write stays as it is
    gather: float = 0.002  # seconds that the push server's notifications in the shape "own" wait for further ones
    sizes: tuple[int, ...] = (512, 1024, 2048, 3584)  # bytes of data in the shape "own"; () means no padding
    timeout: float = 20.0  # seconds for one request
    http: HttpSettings = field(default_factory=HttpSettings)
