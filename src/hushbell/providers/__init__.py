"""Adapters of the gateway port: each turns pushes into requests and answers into outcomes."""
