"""Pushes for Apple (APNs)."""
