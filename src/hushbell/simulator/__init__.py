"""Simulated devices, on the public interfaces only."""
