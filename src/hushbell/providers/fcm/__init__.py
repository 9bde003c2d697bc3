"""Pushes for Google (Firebase Cloud Messaging)."""
