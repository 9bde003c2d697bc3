"""What an operator can set: frozen settings with their bounds and units, and how they are read."""
