"""Identifiers of pushes are valid, distinct and the same every time."""

import uuid

from hypothesis import given
from hypothesis import strategies as st

from hushbell.core.delivery.push_ids import push_id

idents = st.binary(min_size=16, max_size=16)


@given(idents, st.integers(0, 2**48 - 1))
def test_a_push_is_named_by_a_valid_uuid(ident: bytes, place: int) -> None:
    named = push_id(ident, place)

    assert str(uuid.UUID(named)) == named
    assert uuid.UUID(named).version == 8
    assert push_id(ident, place) == named


@given(idents, st.sets(st.integers(0, 2**48 - 1), min_size=2, max_size=20))
def test_the_pushes_of_a_notification_have_different_names(ident: bytes, places: set[int]) -> None:
    assert len({push_id(ident, place) for place in places}) == len(places)
