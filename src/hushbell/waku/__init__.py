"""A Waku node of our own: the part of libp2p it needs, gossipsub, and Waku's protocols."""
