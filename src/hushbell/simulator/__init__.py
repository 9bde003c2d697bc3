"""Simulated devices, on the public interfaces only, and a server for them within the process."""
