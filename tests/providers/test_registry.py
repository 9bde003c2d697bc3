"""The table of providers, and what is written about it elsewhere."""

import re
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest

from hushbell.cli.init import template
from hushbell.config.gateway import HttpSettings
from hushbell.errors import ConfigError
from hushbell.http.client import open_http
from hushbell.ports.provider import ProviderContext
from hushbell.providers.registry import PROVIDERS, open_provider
from hushbell.testing.clock import FakeClock

ROOT = Path(__file__).parents[2]
DOCS = (ROOT / "docs" / "providers.md").read_text()


def test_every_folder_of_a_provider_is_in_the_table() -> None:
    folders = {path.parent.name for path in (ROOT / "src" / "hushbell" / "providers").glob("*/settings.py")}

    assert folders == set(PROVIDERS)


@pytest.mark.parametrize("name", PROVIDERS)
def test_settings_are_a_dataclass_with_the_http_settings_that_every_provider_has(name: str) -> None:
    settings = PROVIDERS[name].settings

    assert is_dataclass(settings)
    assert {field.name: field.type for field in fields(settings)}["http"] is HttpSettings


@pytest.mark.parametrize("name", PROVIDERS)
def test_the_documents_name_every_provider_with_the_files_of_its_credential(name: str) -> None:
    (row,) = re.findall(rf"^\| `\[apps\.{name}\]` \| ([^|]*)\|", DOCS, flags=re.MULTILINE)

    if "as Web Push" not in row:
        assert {part.name for part in fields(PROVIDERS[name].settings) if part.name.endswith("_file")} <= set(
            re.findall(r"`(\w+)`", row)
        )


def test_the_documents_name_no_provider_that_there_is_not() -> None:
    assert set(re.findall(r"^\| `\[apps\.(\w+)\]`", DOCS, flags=re.MULTILINE)) == set(PROVIDERS)


def test_the_template_shows_providers_that_there_are() -> None:
    shown = set(re.findall(r"^# \[apps\.(\w+)\]", template(), flags=re.MULTILINE))

    assert shown
    assert shown <= set(PROVIDERS)


def test_an_unknown_provider_is_refused_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match=r"nothing: there is no such provider; known are apns, fcm"):
        open_provider("nothing", None, ProviderContext(clock=FakeClock(), random=bytes, open_http=open_http))
