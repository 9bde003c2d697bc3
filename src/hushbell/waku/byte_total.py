"""A number of bytes that several queues or readers share, so that all of them together have a bound."""


class ByteTotal:
    """The bytes that all of them hold."""

    __slots__ = ("size",)

    def __init__(self) -> None:
        self.size = 0
