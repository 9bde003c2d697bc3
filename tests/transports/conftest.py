"""Networks of every kind, and envelopes to send through them."""

from tests.transports.fixtures import connect, connect_to_bus, envelope, phone, socket_path

__all__ = ["connect", "connect_to_bus", "envelope", "phone", "socket_path"]
