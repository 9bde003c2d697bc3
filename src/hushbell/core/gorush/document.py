"""A request's bytes as JSON, as forgiving as gorush: what follows the first value and broken UTF-8 are no errors."""

import json
import re
from math import isfinite
from typing import Any, NoReturn

import orjson

from hushbell.errors import Undecodable

_BROKEN = re.compile("[\ud800-\udfff]")
_SPACE = " \t\r\n"


def parse(body: bytes) -> Any:
    """
    Return the first JSON value.

    Raises:
        Undecodable: there is none, or it is nested deeper than any notification.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return _parse_leniently(body)


def _parse_leniently(body: bytes) -> Any:
    start = body.decode("utf-8", "surrogateescape").lstrip(_SPACE)
    decoder = json.JSONDecoder(parse_constant=_refuse, parse_int=_integer, parse_float=_finite)
    try:
        value, _ = decoder.raw_decode(start)
        return _whole(value)
    except (ValueError, RecursionError):
        raise Undecodable("no JSON") from None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)  # NaN and Infinity are no JSON


def _integer(digits: str) -> int | float:
    if len(digits) > 20:
        return _finite(digits)  # nothing takes longer for being longer
    exact = int(digits)
    return exact if -(1 << 63) <= exact < 1 << 64 else float(exact)


def _finite(digits: str) -> float:
    value = float(digits)
    if not isfinite(value):
        raise ValueError("beyond a float")
    return value


def _whole(value: Any) -> Any:
    """Put the replacement character where a string is no Unicode."""
    if isinstance(value, str):
        return _BROKEN.sub("\ufffd", value)
    if isinstance(value, list):
        return [_whole(one) for one in value]
    if isinstance(value, dict):
        return {_whole(key): _whole(one) for key, one in value.items()}
    return value
