"""How a lane hands what it begins to its provider, whatever that is and does."""

import logging
from collections.abc import Callable, Sequence
from functools import partial

from hushbell.core.delivery.outcome import Outcome, Verdict
from hushbell.ports.provider import Attempt, ManyAtOnce, Provider

UNCONFIGURED = Outcome(Verdict.MISCONFIGURED, "ProviderNotConfigured")
RAISED = Outcome(Verdict.UNKNOWN, "ProviderRaised")  # before or after it sent something

log = logging.getLogger(__name__)


def handing(provider: Provider | None) -> Callable[[Sequence[Attempt]], None]:
    """Return what hands attempts over; it never raises, and each place is told of."""
    if provider is None:
        return lambda attempts: _tell(attempts, UNCONFIGURED)
    attempt_all = provider.attempt_all if isinstance(provider, ManyAtOnce) else None

    def hand_over(attempts: Sequence[Attempt]) -> None:
        if attempt_all is not None:
            _guarded(provider.name, attempts, partial(attempt_all, attempts))
            return
        for one in attempts:
            _guarded(provider.name, (one,), partial(provider.attempt, *one))

    return hand_over


def _guarded(name: str, attempts: Sequence[Attempt], attempt: Callable[[], None]) -> None:
    """A provider promises not to raise; one that does holds up its own pushes, and those not for ever."""
    try:
        attempt()
    except Exception as error:  # noqa: BLE001  whatever it is, the lane must go on
        # The text of a foreign error may name a device.
        log.error("provider %s raised %s; its pushes are attempted again", name, type(error).__name__)  # noqa: TRY400
        _tell(attempts, RAISED)


def _tell(attempts: Sequence[Attempt], outcome: Outcome) -> None:
    for _, places, done in attempts:
        for place in places:
            done(place, outcome)
