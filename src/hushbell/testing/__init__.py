"""Public stand-ins for tests, demos and benchmarks: Apple, gorush and time."""
