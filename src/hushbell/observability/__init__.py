"""Counters without identities, and log lines without secrets."""
