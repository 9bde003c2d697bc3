"""Bytes to values and back. Pure; no protobuf type leaves this package."""
