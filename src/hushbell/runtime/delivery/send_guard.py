"""A provider queue's calls of its provider, which are safe whatever the provider does."""

import logging
from collections.abc import Callable, Sequence

from hushbell.core.delivery.outcome import Outcome, Verdict
from hushbell.ports.provider import Attempt, Provider

UNCONFIGURED = Outcome(Verdict.MISCONFIGURED, "ProviderNotConfigured")
RAISED = Outcome(Verdict.UNKNOWN, "ProviderRaised")  # before or after it sent something

log = logging.getLogger(__name__)


def guard_send(provider: Provider | None) -> Callable[[Sequence[Attempt]], None]:
    """Return a ``send`` that never raises: every push is reported, if need be as RAISED or UNCONFIGURED."""
    if provider is None:
        return lambda attempts: _report(attempts, UNCONFIGURED)

    def send(attempts: Sequence[Attempt]) -> None:
        try:
            provider.send(attempts)
        except Exception as error:  # noqa: BLE001  whatever it is, the queue must go on
            # The text of a foreign error may name a device.
            log.error("provider %s raised %s; its pushes are attempted again", provider.name, type(error).__name__)  # noqa: TRY400
            _report(attempts, RAISED)

    return send


def _report(attempts: Sequence[Attempt], outcome: Outcome) -> None:
    for attempt in attempts:
        attempt.report(outcome)
