"""Counters and gauges with names, helps and numbers. There are no labels, so there are no identities in them."""

import re
from collections.abc import Mapping

_NAME = re.compile(r"[a-z][a-z0-9_]*")
PREFIX = "hushbell_"


class Metric:
    """One number. A counter only grows; a gauge is set."""

    __slots__ = ("_value", "help", "kind", "name")

    def __init__(self, name: str, help_text: str, kind: str) -> None:
        self.name = name
        self.help = help_text
        self.kind = kind
        self._value = 0.0

    @property
    def value(self) -> float:
        """Return the number now."""
        return self._value

    def add(self, amount: float = 1) -> None:
        """
        Count.

        Raises:
            ValueError: a counter would fall.
        """
        if self.kind == "counter" and amount < 0:
            raise ValueError(f"{self.name}: a counter only grows")
        self._value += amount

    def put(self, value: float) -> None:
        """
        Set a gauge.

        Raises:
            ValueError: it is a counter.
        """
        if self.kind != "gauge":
            raise ValueError(f"{self.name}: only a gauge can be set")
        self._value = value


class Counters:
    """
    The numbers of one process, each named once, before it counts anything.

    Asking again for a name returns the same metric, so that two parts can count the same thing. Names come from
    the program alone: never make one from what a peer sent.
    """

    def __init__(self) -> None:
        self._metrics: dict[str, Metric] = {}

    def counter(self, name: str, help_text: str) -> Metric:
        """Return the counter of that name, such as ``envelopes_refused``."""
        return self._metric(name, help_text, "counter")

    def gauge(self, name: str, help_text: str) -> Metric:
        """Return the gauge of that name, such as ``outbox_pending``."""
        return self._metric(name, help_text, "gauge")

    def count(self, name: str, amount: int = 1) -> None:
        """Add to a counter. The first time creates it, with its name as help."""
        known = self._metrics.get(name)
        (known or self.counter(name, f"{name.replace('_', ' ').capitalize()}.")).add(amount)

    def snapshot(self) -> Mapping[str, float]:
        """Return every number by name, as of now."""
        return {name: metric.value for name, metric in sorted(self._metrics.items())}

    def exposition(self) -> str:
        """Return the text that Prometheus reads; each name gets the prefix ``hushbell_``, counters ``_total``."""
        parts = []
        for name, metric in sorted(self._metrics.items()):
            full = PREFIX + name + ("_total" if metric.kind == "counter" else "")
            helped = metric.help.replace("\\", "\\\\").replace("\n", "\\n")
            parts.append(f"# HELP {full} {helped}\n# TYPE {full} {metric.kind}\n{full} {metric.value:.17g}\n")
        return "".join(parts)

    def _metric(self, name: str, help_text: str, kind: str) -> Metric:
        known = self._metrics.get(name)
        if known is None:
            if not _NAME.fullmatch(name):
                raise ValueError("a metric is named in lower case, digits and underscores")
            known = self._metrics[name] = Metric(name, help_text, kind)
        if known.kind != kind:
            raise ValueError(f"{name} is a {known.kind}")
        return known
