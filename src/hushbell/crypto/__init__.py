"""Keys, hashes, signatures and ciphers. Pure: randomness is an argument."""
