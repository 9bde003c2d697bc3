"""Pushes for another gateway with gorush's API."""
