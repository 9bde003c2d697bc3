"""The stores of the server with facts to put into them, and networks of every kind with envelopes to send."""

from tests.stores.fixtures import made, open_sqlite, store
from tests.transports.fixtures import connect, connect_to_bus, envelope, socket_path

__all__ = ["connect", "connect_to_bus", "envelope", "made", "open_sqlite", "socket_path", "store"]
