"""Pushes for browsers and UnifiedPush (RFC 8030)."""
