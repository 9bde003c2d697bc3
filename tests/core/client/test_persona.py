"""Anonymous mode: which key rings when, and what an invitation tells."""

import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hushbell.core.client import persona
from hushbell.crypto import secp256k1
from hushbell.errors import Unauthentic, Undecodable
from hushbell.types import Millis

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "anonymous-mode.json").read_bytes())
DRAW = random.Random(7).randbytes
DAY = persona.EPOCH
START = Millis(20_778 * DAY + DAY // 2)


@pytest.mark.parametrize("vector", VECTORS["epochs"], ids=lambda vector: str(vector["epoch"]))
def test_an_invitation_leads_to_the_published_addresses(vector: dict[str, str]) -> None:
    invited = persona.decode(bytes.fromhex(VECTORS["invitation"]))

    address = persona.address(invited, Millis(int(vector["epoch"]) * DAY))

    assert secp256k1.compress(address).hex() == vector["address"]
    assert persona.encode(invited).hex() == VECTORS["invitation"]


@given(st.integers(0, 60 * DAY))
def test_whatever_the_time_the_address_that_a_contact_computes_is_served(later: int) -> None:
    ours = persona.create(START, DRAW)
    now = Millis(START + later)

    served = {persona.key(ours, epoch).public for epoch in persona.epochs_to_serve(ours, now)}

    assert persona.address(persona.invitation(ours), now) in served
    assert 1 <= len(served) <= 2


@given(st.integers(-persona.OVERLAP + 1, persona.OVERLAP - 1), st.integers(1, 5 * DAY))
def test_a_clock_that_is_two_hours_wrong_still_rings(wrong: int, later: int) -> None:
    ours = persona.create(START, DRAW)
    now = Millis(START + later)

    served = {persona.key(ours, epoch).public for epoch in persona.epochs_to_serve(ours, now)}

    assert persona.address(persona.invitation(ours), Millis(now + wrong)) in served


@given(st.integers(0, 3 * DAY))
def test_what_is_served_changes_only_when_foretold(later: int) -> None:
    ours = persona.create(START, DRAW)
    now = Millis(START + later)
    change = persona.next_change(now)

    before = persona.epochs_to_serve(ours, now)

    assert change > now
    assert persona.epochs_to_serve(ours, Millis(change - 1)) == before
    assert persona.epochs_to_serve(ours, change) != before or change % DAY == 0


def test_a_device_that_went_forward_cannot_tell_old_addresses_but_all_new_ones() -> None:
    ours = persona.create(START, DRAW)
    later = Millis(START + 10 * DAY)

    moved = persona.forward(ours, later)

    with pytest.raises(ValueError, match="reach"):
        persona.key(moved, ours.epoch)
    epoch = persona.epoch_at(later)
    assert persona.key(moved, epoch) == persona.key(ours, epoch)
    assert persona.forward(moved, START) == moved


def test_an_invitation_tells_nothing_about_epochs_before_it() -> None:
    invited = persona.invitation(persona.create(START, DRAW))

    with pytest.raises(ValueError, match="reach"):
        persona.address(invited, Millis(START - DAY))


def test_an_invitation_that_is_years_old_costs_no_endless_work() -> None:
    invited = persona.invitation(persona.create(START, DRAW))

    with pytest.raises(ValueError, match="reach"):
        persona.address(invited, Millis(START + (persona.FARTHEST + 1) * DAY))


@pytest.mark.parametrize("data", [b"", bytes(73), bytes(75), b"\x02" + bytes(73)])
def test_other_bytes_are_no_invitation(data: bytes) -> None:
    with pytest.raises(Undecodable):
        persona.decode(data)


def test_a_root_off_the_curve_is_refused() -> None:
    with pytest.raises(Unauthentic):
        persona.decode(b"\x01\x02" + b"\xff" * 32 + bytes(40))


def test_nothing_secret_is_shown() -> None:
    ours = persona.create(START, DRAW)

    assert ours.secret.hex() not in repr(ours) + repr(persona.invitation(ours))
    assert str(ours.secret) not in repr(ours) + repr(persona.invitation(ours))
