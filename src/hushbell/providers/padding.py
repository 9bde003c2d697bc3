"""Payloads padded to few sizes, so that their length reveals less. Pure functions."""

from collections.abc import Sequence
from typing import Any

import orjson

_KEY = b'"padding":""'


def size_above(length: int, sizes: Sequence[int]) -> int:
    """Return the smallest of the sizes that is at least ``length``, or ``length`` if none is."""
    found = 0
    for size in sizes:  # a generator costs a push more than all the rest of its text
        if size >= length and (size < found or not found):
            found = size
    return found or length


def padded(body: bytes, sizes: Sequence[int]) -> bytes:
    """
    Return a JSON object with a key ``padding`` that brings it to the next of the sizes.

    What is larger than all of them, has such a key or is no object stays as it is.
    """
    if not sizes or not body.startswith(b"{") or not body.endswith(b"}") or b'"padding"' in body:
        return body
    comma = b"" if body[1:-1].isspace() or len(body) == 2 else b","
    least = len(body) + len(comma) + len(_KEY)
    fill = size_above(least, sizes)
    if fill not in sizes:
        return body
    return body[:-1] + comma + _KEY[:-1] + b"0" * (fill - least) + b'"}'


def padded_data(body: bytes, sizes: Sequence[int]) -> bytes:
    """Return a JSON object whose object ``data`` is brought to the next of the sizes; without one it gets one."""
    if not sizes:
        return body
    try:
        outer: Any = orjson.loads(body)
    except ValueError:
        return body
    if not isinstance(outer, dict) or not isinstance(outer.setdefault("data", {}), dict):
        return body
    outer["data"] = orjson.Fragment(padded(orjson.dumps(outer["data"]), sizes))
    return orjson.dumps(outer)
