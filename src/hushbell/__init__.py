"""Push notifications for private messengers: ring the phone, learn as little as possible."""

from importlib import import_module as _import_module

__version__ = "0.1.0"

# The module of each public name. It is imported at the first use of a name, so that the command line starts quickly;
# type checkers read __init__.pyi instead.
_MODULES = {
    "Client": "runtime.client.client",
    "Account": "runtime.client.account",
    "join": "runtime.client.network",
    "new_key": "runtime.client.network",
    "open_store": "runtime.client.network",
    "parse_key": "runtime.client.network",
    "Target": "core.client.events",
    "AccountEvent": "core.client.events",
    "Registered": "core.client.events",
    "Refused": "core.client.events",
    "Unreachable": "core.client.events",
    "Unregistered": "core.client.events",
    "DevicesFound": "core.client.events",
    "Notified": "core.client.events",
    "Finished": "core.client.events",
    "Result": "core.client.events",
    "RegistrationState": "core.client.lifecycles",
    "Options": "core.client.registration",
    "SendOptions": "core.client.facts",
    "Preview": "core.client.preview",
    "ChatMessage": "core.client.inbox",
    "Step": "core.client.inbox",
    "Show": "core.client.inbox",
    "Dismiss": "core.client.inbox",
    "Fetch": "core.client.inbox",
    "Perform": "core.client.inbox",
    "Action": "core.client.inbox",
    "rotating_identity": "core.client.rotating_identity",
    "Transport": "ports.transport",
    "ClientStore": "ports.client_store",
    "KeyPair": "types",
    "PublicKey": "types",
    "KeyHash": "types",
    "InstallationId": "types",
    "Millis": "types",
    "NotificationType": "types",
    "TokenType": "types",
}
__all__ = tuple(_MODULES)


def __getattr__(name: str) -> object:
    path = _MODULES.get(name)
    if path is None:
        return _import_module("hushbell.old_names").find(name)
    module = _import_module(f"hushbell.{path}")
    return module if path.endswith(f".{name}") else getattr(module, name)


def __dir__() -> list[str]:
    return list(__all__)
