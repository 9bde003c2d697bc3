"""The name of :mod:`hushbell.http.ssrf` in 0.1.0, kept for one release."""

from hushbell.http.ssrf import Guard, Refused

__all__ = ["Guard", "Refused"]
