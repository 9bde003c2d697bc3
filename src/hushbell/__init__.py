"""Push notifications for private messengers: ring the phone, learn as little as possible."""

__version__ = "0.1.0"
