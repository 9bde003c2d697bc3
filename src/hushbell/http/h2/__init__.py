"""An HTTP/2 client for the few hosts that carry the load (RFC 9113)."""
