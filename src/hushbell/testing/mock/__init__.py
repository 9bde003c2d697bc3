"""The parts of the stand-in for push providers (hushbell.testing.mock.server)."""
