"""The amounts that a reversal takes back."""

from functools import reduce

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.attribution.domain.reversal import (
    AmountExtent,
    LinesExtent,
    RemainingAmounts,
    ReversalError,
    ReversedAmounts,
    WholeExtent,
    remaining_after,
    reverse_what_remains,
    reversed_amounts,
    spread,
)

INT64_MAX = 2**63 - 1
RESTS = st.dictionaries(st.text(min_size=1, max_size=3), st.integers(0, INT64_MAX // 500), min_size=1, max_size=50)


@settings(deadline=None)
@given(data=st.data(), rests=RESTS)
def test_spread_sums_exactly_and_never_exceeds_a_rest(data: st.DataObject, rests: dict[str, int]) -> None:
    amount_minor = data.draw(st.integers(0, sum(rests.values())))
    parts = spread(amount_minor, rests)
    assert sum(parts.values()) == amount_minor
    assert all(0 < part <= rests[line_id] for line_id, part in parts.items())
    exact = {line_id: amount_minor * rest for line_id, rest in rests.items()}
    assert all(
        abs(parts.get(line_id, 0) * sum(rests.values()) - exact[line_id]) < max(sum(rests.values()), 1)
        for line_id in rests
    )


def test_spread_by_largest_remainder() -> None:
    assert spread(33, {"a": 70, "b": 30}) == {"a": 23, "b": 10}
    assert spread(1, {"a": 5, "b": 5}) == {"a": 1}
    assert spread(0, {"a": 0}) == {}


@settings(deadline=None)
@given(data=st.data(), rests=RESTS)
def test_any_split_of_refunds_ends_at_zero(data: st.DataObject, rests: dict[str, int]) -> None:
    remaining = RemainingAmounts(sum(rests.values()), rests)
    reversed_parts = []
    while not remaining.is_reversed:
        kind = data.draw(st.sampled_from(["whole", "amount", "lines"]))
        there = [line_id for line_id, amount in remaining.lines.items() if amount]
        if kind == "whole" or remaining.amount_minor == 0:
            extent: WholeExtent | AmountExtent | LinesExtent = WholeExtent()
        elif kind == "amount":
            extent = AmountExtent(data.draw(st.integers(1, remaining.amount_minor)))
        else:
            line_id = data.draw(st.sampled_from(there))
            extent = LinesExtent({line_id: data.draw(st.integers(1, remaining.lines[line_id]))})
        reversed_parts.append(reversed_amounts(remaining, extent))
        remaining = remaining_after(remaining, reversed_parts[-1])
        assert sum(remaining.lines.values()) == remaining.amount_minor
    assert remaining.amount_minor == 0
    assert [each.completes for each in reversed_parts] == [False] * (len(reversed_parts) - 1) + [True]
    assert sum(each.amount_minor for each in reversed_parts) == sum(rests.values())


@pytest.mark.parametrize(
    ("remaining", "extent", "field"),
    [
        (RemainingAmounts(5, {}), AmountExtent(6), "amount.amount_minor"),
        (RemainingAmounts(0, {}), AmountExtent(1), "amount.amount_minor"),
        (RemainingAmounts(5, {"a": 5}), LinesExtent({"a": 6}), "lines.lines[0].amount_minor"),
        (RemainingAmounts(5, {"a": 5}), LinesExtent({"a": 1, "b": 1}), "lines.lines[1].line_id"),
        (RemainingAmounts(0, {}, is_reversed=True), WholeExtent(), "whole"),
        (RemainingAmounts(0, {}, is_reversed=True), AmountExtent(1), "amount"),
    ],
)
def test_more_than_is_there(
    remaining: RemainingAmounts, extent: WholeExtent | AmountExtent | LinesExtent, field: str
) -> None:
    with pytest.raises(ReversalError) as caught:
        reversed_amounts(remaining, extent)
    assert caught.value.field_path == field


def test_an_event_without_value_is_taken_back_whole_once() -> None:
    remaining = RemainingAmounts(0, {})
    reversed_parts = reversed_amounts(remaining, WholeExtent())
    assert reversed_parts == ReversedAmounts(0, {}, True)
    assert reverse_what_remains(remaining_after(remaining, reversed_parts), WholeExtent()) is None


def test_early_reversals_are_cut_to_what_there_is() -> None:
    remaining = RemainingAmounts(10, {"a": 6, "b": 4})
    assert reverse_what_remains(remaining, AmountExtent(11)) == ReversedAmounts(10, {"a": 6, "b": 4}, True)
    assert reverse_what_remains(remaining, LinesExtent({"a": 7, "z": 3})) == ReversedAmounts(6, {"a": 6}, False)
    assert reverse_what_remains(remaining, LinesExtent({"z": 3})) is None
    assert reverse_what_remains(RemainingAmounts(0, {}), AmountExtent(1)) is None


@settings(deadline=None)
@given(st.lists(st.integers(1, 100), max_size=6), st.integers(0, 200))
def test_early_amounts_never_take_more_than_the_whole(amounts: list[int], total: int) -> None:
    def step(remaining: RemainingAmounts, amount: int) -> RemainingAmounts:
        reversed_parts = reverse_what_remains(remaining, AmountExtent(amount))
        return remaining_after(remaining, reversed_parts) if reversed_parts else remaining

    remaining = reduce(step, amounts, RemainingAmounts(total, {}))
    assert remaining.amount_minor == max(total - sum(amounts), 0)
