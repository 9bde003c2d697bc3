"""The client's driver: stores, seals, sends and publishes what the rules of ``core.client`` decide."""
