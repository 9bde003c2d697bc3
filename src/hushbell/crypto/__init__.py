"""
Keys, hashes, signatures and ciphers. Pure: randomness is an argument.

| module | contents |
|---|---|
| ``secp256k1`` | keys, shared secrets, signatures |
| ``hashes`` | Keccak-256, SHAKE-256, and the names made of them |
| ``ciphers``, ``ecies`` | AES-GCM, AES-CTR and ECIES |
| ``signatures``, ``grants``, ``access_tokens`` | what is signed, and sealed for contacts |
| ``topics``, ``message_ids`` | names of topics, ids of messages |
| ``key_diversification`` | keys of rotating identities |
| ``web_push`` | messages for browsers (RFC 8291) |

Bytes of a peer raise ``Unauthentic``; mistakes of the caller, such as a key of the wrong length, ``ValueError``.
"""
