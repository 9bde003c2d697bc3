"""
Keys, hashes, signatures and ciphers. Pure: randomness is an argument.

| module | what it answers |
|---|---|
| ``secp256k1`` | keys, shared secrets, signatures |
| ``hashes`` | Keccak-256, SHAKE-256, and the names made of them |
| ``ciphers``, ``ecies`` | the three ways bytes are encrypted |
| ``frames``, ``grants``, ``tokens`` | what is signed or sealed for whom |
| ``topics``, ``ids`` | where messages travel and what they are called |
| ``web_push`` | messages for browsers (RFC 8291) |

What a peer sent raises ``Unauthentic``; what our own code got wrong, such as a key of the wrong length, ``ValueError``.
"""
