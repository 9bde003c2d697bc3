"""How a part of the program counts what happens."""

from collections.abc import Callable

Count = Callable[[str, int], None]
"""Takes a counter's name and by how much it grew. Names are chosen by this program, never by a peer."""
