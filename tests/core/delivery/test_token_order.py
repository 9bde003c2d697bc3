"""One push a token at a time, in the order of arrival."""

from hypothesis import given
from hypothesis import strategies as st

from hushbell.core.delivery.token_order import TokenOrder


def test_the_second_push_to_a_token_waits_for_the_first() -> None:
    order: TokenOrder[str] = TokenOrder()

    assert order.acquire("first", ("a", "b"), range(2)) == [0, 1]
    assert order.acquire("second", ("b", "c", "b"), range(3)) == [1]

    assert order.release("a") is None
    assert order.release("b") == ("second", 0)
    assert order.release("b") == ("second", 2)
    assert order.release("b") is None
    assert order.release("c") is None
    assert not order.held
    assert not order.waiting


def test_only_the_given_indexes_are_taken() -> None:
    order: TokenOrder[str] = TokenOrder()

    assert order.acquire("first", ("a", "b", "c"), [2]) == [2]
    assert order.acquire("second", ("a", "b", "c"), [0, 2]) == [0]
    assert len(order.held) == 2


pushes = st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=4), max_size=20)


@given(pushes, st.data())
def test_each_push_holds_its_token_once_alone_and_in_order(items: list[list[str]], data: st.DataObject) -> None:
    order: TokenOrder[int] = TokenOrder()
    left = list(enumerate(items))
    holders: dict[str, tuple[int, int]] = {}
    held: dict[str, list[tuple[int, int]]] = {token: [] for token in "abc"}

    def hold(item: int, index: int) -> None:
        token = items[item][index]
        assert token not in holders, "two at once"
        holders[token] = (item, index)
        held[token].append((item, index))

    while left or holders:
        if left and (not holders or data.draw(st.booleans())):
            item, targets = left.pop(0)
            for index in order.acquire(item, targets, range(len(targets))):
                hold(item, index)
        else:
            token = data.draw(st.sampled_from(sorted(holders)))
            del holders[token]
            behind = order.release(token)
            if behind is not None:
                hold(*behind)

    for token, pushed in held.items():
        expected = [
            (item, index) for item, targets in enumerate(items) for index, one in enumerate(targets) if one == token
        ]
        assert pushed == expected
    assert not order.held
    assert not order.waiting
