"""Adapters that carry envelopes. Every one passes tests/contracts/test_transport.py."""
