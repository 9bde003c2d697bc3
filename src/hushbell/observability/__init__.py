"""What an operator may see: counters without identities, and log lines without secrets."""
