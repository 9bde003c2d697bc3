"""The names of :mod:`hushbell.http.ssrf` in 0.1.0, kept for one release."""

from hushbell.http.ssrf import AddressRefused as Refused
from hushbell.http.ssrf import SsrfGuard as Guard

__all__ = ["Guard", "Refused"]
