"""The HTTP/1.1 server of the gateway: parsing, keys, fairness between callers."""
