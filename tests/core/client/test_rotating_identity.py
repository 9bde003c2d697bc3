"""Anonymous mode: which key rings when, and what an invitation tells."""

import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hushbell.core.client import rotating_identity
from hushbell.crypto import secp256k1
from hushbell.errors import Unauthentic, Undecodable
from hushbell.types import Millis

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "anonymous-mode.json").read_bytes())
DRAW = random.Random(7).randbytes
DAY = rotating_identity.PERIOD
START = Millis(20_778 * DAY + DAY // 2)


@pytest.mark.parametrize("vector", VECTORS["epochs"], ids=lambda vector: str(vector["epoch"]))
def test_an_invitation_leads_to_the_published_addresses(vector: dict[str, str]) -> None:
    invited = rotating_identity.decode(bytes.fromhex(VECTORS["invitation"]))

    address = rotating_identity.address(invited, Millis(int(vector["epoch"]) * DAY))

    assert secp256k1.compress(address).hex() == vector["address"]
    assert rotating_identity.encode(invited).hex() == VECTORS["invitation"]


@given(st.integers(0, 60 * DAY))
def test_whatever_the_time_the_address_that_a_contact_computes_is_served(later: int) -> None:
    ours = rotating_identity.create(START, DRAW)
    now = Millis(START + later)

    served = {rotating_identity.key(ours, epoch).public for epoch in rotating_identity.periods_to_serve(ours, now)}

    assert rotating_identity.address(rotating_identity.invite(ours), now) in served
    assert 1 <= len(served) <= 2


@given(st.integers(-rotating_identity.OVERLAP + 1, rotating_identity.OVERLAP - 1), st.integers(1, 5 * DAY))
def test_a_clock_that_is_two_hours_wrong_still_rings(wrong: int, later: int) -> None:
    ours = rotating_identity.create(START, DRAW)
    now = Millis(START + later)

    served = {rotating_identity.key(ours, epoch).public for epoch in rotating_identity.periods_to_serve(ours, now)}

    assert rotating_identity.address(rotating_identity.invite(ours), Millis(now + wrong)) in served


@given(st.integers(0, 3 * DAY))
def test_what_is_served_changes_only_when_foretold(later: int) -> None:
    ours = rotating_identity.create(START, DRAW)
    now = Millis(START + later)
    change = rotating_identity.next_change(now)

    before = rotating_identity.periods_to_serve(ours, now)

    assert change > now
    assert rotating_identity.periods_to_serve(ours, Millis(change - 1)) == before
    assert rotating_identity.periods_to_serve(ours, change) != before or change % DAY == 0


def test_a_device_that_went_forward_cannot_tell_old_addresses_but_all_new_ones() -> None:
    ours = rotating_identity.create(START, DRAW)
    later = Millis(START + 10 * DAY)

    moved = rotating_identity.forward(ours, later)

    with pytest.raises(ValueError, match="reach"):
        rotating_identity.key(moved, ours.period)
    epoch = rotating_identity.period_at(later)
    assert rotating_identity.key(moved, epoch) == rotating_identity.key(ours, epoch)
    assert rotating_identity.forward(moved, START) == moved


def test_an_invitation_tells_nothing_about_epochs_before_it() -> None:
    invited = rotating_identity.invite(rotating_identity.create(START, DRAW))

    with pytest.raises(ValueError, match="reach"):
        rotating_identity.address(invited, Millis(START - DAY))


def test_an_invitation_that_is_years_old_costs_no_endless_work() -> None:
    invited = rotating_identity.invite(rotating_identity.create(START, DRAW))

    with pytest.raises(ValueError, match="reach"):
        rotating_identity.address(invited, Millis(START + (rotating_identity.MAX_PERIODS + 1) * DAY))


@pytest.mark.parametrize("data", [b"", bytes(73), bytes(75), b"\x02" + bytes(73)])
def test_other_bytes_are_no_invitation(data: bytes) -> None:
    with pytest.raises(Undecodable):
        rotating_identity.decode(data)


def test_a_root_off_the_curve_is_refused() -> None:
    with pytest.raises(Unauthentic):
        rotating_identity.decode(b"\x01\x02" + b"\xff" * 32 + bytes(40))


def test_nothing_secret_is_shown() -> None:
    ours = rotating_identity.create(START, DRAW)

    assert ours.secret.hex() not in repr(ours) + repr(rotating_identity.invite(ours))
    assert str(ours.secret) not in repr(ours) + repr(rotating_identity.invite(ours))
