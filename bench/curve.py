"""What the curve costs: the floor under everything a push notification server can do on one core."""

import hashlib
import os
import statistics
import time
from collections.abc import Callable

from hushbell.crypto.secp256k1 import ecdh_x, key_pair, recover, sign

RUNS = 7
CALLS = 400


def microseconds(call: Callable[[], object]) -> float:
    """Return the median, over several runs, of what one call takes."""
    times = []
    for _ in range(RUNS):
        start = time.perf_counter()
        for _ in range(CALLS):
            call()
        times.append((time.perf_counter() - start) / CALLS * 1e6)
    return statistics.median(times)


def curve_costs() -> dict[str, float]:
    """Return the microseconds of each operation."""
    alice, bob = key_pair(os.urandom), key_pair(os.urandom)
    digest = hashlib.sha256(b"hushbell").digest()
    signature = sign(digest, alice.private)
    return {
        "recover": microseconds(lambda: recover(digest, signature)),
        "sign": microseconds(lambda: sign(digest, alice.private)),
        "ecdh": microseconds(lambda: ecdh_x(alice.private, bob.public)),
        "keygen": microseconds(lambda: key_pair(os.urandom)),
    }


def requests_allowed(costs: dict[str, float]) -> float:
    """Return the requests a second that one core could answer if everything but the curve were free."""
    return 1e6 / (costs["recover"] + 2 * costs["ecdh"] + 2 * costs["sign"] + costs["keygen"])


def curve_limit() -> float:
    """Measure now, and return requests a second: one recovery, two ECDH, two signatures, one key generation each."""
    return requests_allowed(curve_costs())


def main() -> None:
    costs = curve_costs()
    for name, cost in costs.items():
        print(f"curve_{name} {cost:.1f} us")
    for name, cost in costs.items():
        print(f"curve_{name}_rate {1e6 / cost:.0f} ops/s")
    print(f"curve_limit {requests_allowed(costs):.0f} requests/s")


if __name__ == "__main__":
    main()
