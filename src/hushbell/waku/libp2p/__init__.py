"""The part of libp2p that a Waku node needs: connections that are authenticated, encrypted and carry many streams."""
