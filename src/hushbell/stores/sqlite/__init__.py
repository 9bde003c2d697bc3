"""Stores in SQLite files, one writer thread a file."""
