"""Request templates that are made once for all messages with the same headers and credential."""

from collections.abc import Hashable, Iterable
from typing import Generic, Protocol, TypeVar

from hushbell.ports.http import HttpClient, RequestItem, RequestTemplate

MAX_TEMPLATES = 1024  # of one provider of one app; beyond it all are made anew


class BearerTemplate(Protocol):
    """A template that carries one credential."""

    @property
    def bearer(self) -> str:
        """Return the credential in it."""


A = TypeVar("A", bound=BearerTemplate)


class TemplateCache(Generic[A]):
    """The templates that were used, each valid while its credential is the current one."""

    def __init__(self) -> None:
        self._templates: dict[Hashable, A] = {}

    def find(self, key: Hashable, bearer: str) -> A | None:
        """Return the template of a key, or None if there is none for this credential."""
        found = self._templates.get(key)
        return found if found is not None and found.bearer is bearer else None

    def add(self, key: Hashable, template: A) -> A:
        """Keep a template, and return it."""
        if len(self._templates) >= MAX_TEMPLATES:
            self._templates.clear()
        self._templates[key] = template
        return template


def submit_all(http: HttpClient, parts: Iterable[tuple[RequestTemplate, list[RequestItem]]]) -> None:
    """Send requests of several templates, with one call for neighbours of the same template."""
    current: RequestTemplate | None = None
    items: list[RequestItem] = []
    for template, more in parts:
        if template is current:
            items += more
            continue
        if current is not None:
            http.submit(current, items)
        current, items = template, more
    if current is not None:
        http.submit(current, items)
