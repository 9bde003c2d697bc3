"""Settings of a hushbell gateway elsewhere."""

from dataclasses import dataclass

from hushbell.providers.gorush.settings import GorushSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class HushbellSettings(GorushSettings):
    """A hushbell gateway elsewhere, whose responses say more than those of a gorush."""

    key_file: str  # holds an API key that may send
