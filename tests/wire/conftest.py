"""What status-go v1.0.0 was recorded to send (tests/vectors)."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

VECTORS = Path(__file__).parents[1] / "vectors"

Layers = Mapping[str, Any]


@pytest.fixture(scope="session")
def vectors() -> Mapping[str, Any]:
    """Values computed in Python and recomputed by status-go."""
    loaded: Mapping[str, Any] = json.loads((VECTORS / "status-go-vectors.json").read_text())
    return loaded


@pytest.fixture(scope="session")
def steps() -> Sequence[Mapping[str, Any]]:
    """Every Waku message of every transcript, with its layers."""
    paths = sorted((VECTORS / "status-go").glob("*.json"))
    transcripts = [json.loads(path.read_text()) for path in paths]
    found = [step for one in transcripts for step in one.get("steps", ()) if "waku_message_hex" in step]
    assert len(found) == 212, "a law over nothing holds always"
    return found
