"""Adapters that carry envelopes. Every one passes tests/transports/test_contract.py."""
