"""The client's driver: what the rules of ``core.client`` decide is kept, sealed, sent and told."""
