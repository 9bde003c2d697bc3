"""The drivers: load, decide, commit, send. All the waiting lives here."""
