"""Public stand-ins for tests, demos and benchmarks: all push providers, Apple alone, gorush, and time."""

from hushbell.testing.mock.server import MockProviders

__all__ = ["MockProviders"]
