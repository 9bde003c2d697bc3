"""Envelopes over Waku: our own relay node, a light client, an operator's node over REST."""
