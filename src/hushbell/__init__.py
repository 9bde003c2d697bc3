"""Push notifications for private messengers: ring the phone, learn as little as possible."""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from hushbell.runtime.client.device import Client as Client


def __getattr__(name: str) -> Any:
    # Imported when asked for: the command line must not wait for what it does not use.
    if name == "Client":
        from hushbell.runtime.client.device import Client  # noqa: PLC0415

        return Client
    raise AttributeError(f"module 'hushbell' has no attribute {name!r}")
