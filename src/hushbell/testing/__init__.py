"""Public mocks for tests, demos and benchmarks: all push providers, nwaku's REST API, and time."""

from hushbell.testing.mock.server import MockProviders

__all__ = ["MockProviders"]
