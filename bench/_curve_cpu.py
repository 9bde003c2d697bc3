"""The curve's limit by CPU time, the clock the server is measured with: a busy machine must not lower the bar."""

import hashlib
import os
import statistics
import time
from collections.abc import Callable

from curve import CALLS, RUNS, requests_allowed

from hushbell.crypto.secp256k1 import ecdh_x, key_pair, recover, sign


def _microseconds(call: Callable[[], object]) -> float:
    times = []
    for _ in range(RUNS):
        start = time.process_time()
        for _ in range(CALLS):
            call()
        times.append((time.process_time() - start) / CALLS * 1e6)
    return statistics.median(times)


def curve_limit_cpu() -> float:
    """Return requests for each second of CPU if everything but the curve were free; see ``curve.curve_limit``."""
    alice, bob = key_pair(os.urandom), key_pair(os.urandom)
    digest = hashlib.sha256(b"hushbell").digest()
    signature = sign(digest, alice.private)
    return requests_allowed(
        {
            "recover": _microseconds(lambda: recover(digest, signature)),
            "sign": _microseconds(lambda: sign(digest, alice.private)),
            "ecdh": _microseconds(lambda: ecdh_x(alice.private, bob.public)),
            "keygen": _microseconds(lambda: key_pair(os.urandom)),
        }
    )
