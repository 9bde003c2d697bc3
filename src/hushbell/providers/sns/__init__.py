"""Pushes for Amazon (SNS)."""
