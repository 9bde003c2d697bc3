"""The delivery engine: what was accepted is attempted until it has its final state."""
