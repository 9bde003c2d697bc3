"""Pushes for Pushy."""
