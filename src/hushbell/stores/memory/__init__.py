"""Stores in memory: for tests, and for servers that must forget."""
