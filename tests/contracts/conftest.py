"""The stores of the server, and facts to put into them."""

from tests.stores.fixtures import made, open_sqlite, store

__all__ = ["made", "open_sqlite", "store"]
