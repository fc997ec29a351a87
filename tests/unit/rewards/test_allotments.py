"""Allotments: parts of one amount that come to it exactly, also of what refunds leave."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from upline.rewards.v1 import plan_pb2

from services.rewards.domain.check.worst_case import worst_cases
from services.rewards.domain.decide.decision import Outcome
from services.rewards.domain.decide.evaluation import decide
from services.rewards.domain.details import Details, Line
from services.rewards.domain.explain.decision import explain_decision
from services.rewards.domain.explain.steps import explain_steps
from services.rewards.domain.plan.allotments import Allotment, diminished
from services.rewards.domain.plan.amounts import LevelAmount
from services.rewards.domain.plan.plan import Plan
from tests.unit.rewards.plans import buyer, conversion, detailed, outcomes, paid, plan, rule, upline

HALF_UP, HALF_EVEN = plan_pb2.ROUNDING_MODE_HALF_UP, plan_pb2.ROUNDING_MODE_HALF_EVEN
LINES = plan_pb2.AMOUNT_BASE_LINES
OWNER = plan_pb2.Beneficiary(link_owner=plan_pb2.LinkOwner())
WHOLE = LevelAmount(0, 1, 1, None)


def allotment(asset: str = "USD", **fields: object) -> plan_pb2.Allotment:
    """The whole order, unless said otherwise."""
    whole = {} if "amount_minor" in fields else {"percent": "100"}
    return plan_pb2.Allotment(allotment_id="pot", asset=asset, **(whole | fields))  # type: ignore[arg-type]


def allot(*weights: str) -> plan_pb2.Amount:
    """An amount of parts of the allotment, by weights."""
    return plan_pb2.Amount(allot=plan_pb2.AllotAmount(allotment="pot", weights=weights))


def three(*weights: str, asset: str = "USD", rounding: int = HALF_UP, **whole: object) -> Plan:
    """The buyer's part and those of two levels."""
    return plan(
        rule("buyer", to=buyer(), amount=allot(weights[0]), asset=asset),
        rule("upline", to=upline(1, 2), amount=allot(*weights[1:]), asset=asset),
        allotments=[allotment(asset, **whole)],
        rounding=rounding,
    )


def minors(subject: Plan, amount_minor: int, left_minor: int | None = None) -> list[int]:
    """The amounts that are paid, by rule and level."""
    left = amount_minor if left_minor is None else left_minor
    order = conversion(amount_minor, remaining_minor=left, void=not left)
    return [each.amount_minor for each in decide(subject, order)]


def test_parts_of_a_hundred_points_come_to_a_hundred() -> None:
    subject = three("60", "35.5", "4.5", asset="points")
    assert paid(subject, conversion(10_000)) == [
        ("buyer", "vera", 60), ("upline", "maria", 36), ("upline", "olga", 4),
    ]  # fmt: skip


@pytest.mark.parametrize("rounding", [HALF_UP, HALF_EVEN, plan_pb2.ROUNDING_MODE_DOWN])
def test_half_and_half_of_a_cent_is_a_cent(rounding: int) -> None:
    subject = three("1", "1", "0", rounding=rounding)
    assert [minors(subject, cents) for cents in (1, 3)] == [[1, 0], [2, 1]]
    assert outcomes(subject, conversion(1)) == [Outcome.PAID, Outcome.ROUNDS_TO_ZERO]


def test_a_fixed_amount_is_divided_while_anything_is_left() -> None:
    subject = three("60", "35.5", "4.5", amount_minor=100)
    assert [minors(subject, 5_000, left) for left in (5_000, 1, 0)] == [[60, 36, 4], [60, 36, 4], [0, 0, 0]]
    assert worst_cases(subject)["order"].fixed_minor == {"USD": 100}


def test_no_refund_gives_a_part_more_though_the_largest_remainder_would() -> None:
    subject = three("6", "6", "2")
    assert minors(subject, 10) == [4, 4, 2]
    # By itself the last would get 2 of 10; what is left of 11 leaves it what it had.
    assert [minors(subject, 11, left) for left in (11, 10, 9)] == [[5, 5, 1], [5, 4, 1], [4, 4, 1]]


def test_a_part_that_nobody_takes_is_paid_to_nobody() -> None:
    subject = plan(
        rule("a", to=buyer(), amount=allot("1")),
        rule("b", to=OWNER, amount=allot("1")),
        rule("c", when="event.new_customer", amount=allot("1")),
        rule("d", to=upline(3, 4), amount=allot("1", "1")),
        allotments=[allotment()],
    )
    assert paid(subject, conversion(1_000)) == [("a", "vera", 200), ("d", "petr", 200)]
    assert outcomes(subject, conversion(1_000))[1:3] == [Outcome.NO_LINK_OWNER, Outcome.CONDITION]


def test_a_cap_cuts_its_own_part_only() -> None:
    capped = rule("a", to=buyer(), amount=allot("6"), caps=[plan_pb2.Cap(scope=1, amount_minor=50)])
    subject = plan(capped, rule("b", amount=allot("4")), allotments=[allotment(percent="10")])
    assert [minors(subject, 1_000, left) for left in (1_000, 700, 100)] == [[50, 40], [42, 28], [6, 4]]


def test_lines_that_count_are_stated_by_the_allotment() -> None:
    subject = plan(
        rule("a", to=buyer(), amount=allot("1")),
        rule("b", amount=allot("2")),
        allotments=[allotment(percent="50", of=LINES, lines="line.category == 'a'")],
    )
    details = Details(lines=[Line("1", "", "a", 101, {}), Line("2", "", "b", 899, {})])
    whole = detailed(details, 1_000)
    left = detailed(details, 1_000, remaining_minor=960, taken_by_line={"1": 40})
    assert [paid(subject, each) for each in (whole, left)] == [
        [("a", "vera", 17), ("b", "maria", 33)],
        [("a", "vera", 10), ("b", "maria", 20)],
    ]


def test_a_part_is_told() -> None:
    subject = three("60", "35.5", "4.5", asset="points")
    whole, left = conversion(10_000), conversion(10_000, remaining_minor=5_000)
    first = decide(subject, whole)[1]
    assert explain_decision(subject, whole, first, 2, "en") == (
        "Rule upline pays 36 points to maria at level 1: its part of allotment pot, exactly 35.5 points, in whole "
        "units that add up."
    )
    assert explain_steps(subject, whole, first, 2, "en") == [
        "Allotment pot comes to 100 points: weight 35.5 of 100 gets 36 points."
    ]
    now = decide(subject, left)[1]
    assert explain_steps(subject, left, now, 2, "en") == [
        "Of allotment pot 50 points is left of 100 points: weight 35.5 of 100 keeps 18 points."
    ]
    assert explain_steps(subject, left, now, 2, "ru") == [
        "От распределения pot осталось 50 points из 100 points: вес 35.5 из 100 сохраняет 18 points."
    ]
    assert "часть распределения pot, точно 17.75 points" in explain_decision(subject, left, now, 2, "ru")


weights = st.lists(st.sampled_from(["1", "2", "0.333", "4.5", "35.5", "60", "1000"]), min_size=3, max_size=3)


@given(
    weights,
    st.sampled_from(["100", "10", "0.7", "33.333333"]),
    st.integers(1, 3),
    st.lists(st.integers(0, 3_000), min_size=1, max_size=6),
)
def test_the_parts_of_what_is_left_come_to_it_and_never_rise(
    of_parts: list[str], percent: str, rounding: int, pieces: list[int]
) -> None:
    subject = three(*of_parts, percent=percent, rounding=rounding)
    whole = left = sum(pieces)
    before = minors(subject, whole)
    for piece in pieces:
        left -= piece
        now = minors(subject, whole, left)
        assert sum(now) == subject.round(*(left * Fraction(percent) / 100).as_integer_ratio())
        assert all(fewer <= more for fewer, more in zip(now, before, strict=True))
        before = now
    assert set(before) == {0}


@given(
    st.lists(st.fractions(min_value=Fraction(1, 1_000), max_value=10**6), min_size=1, max_size=20),
    st.integers(0, 10**15),
)
def test_each_part_is_its_exact_share_rounded_down_or_up(of_parts: list[Fraction], whole_minor: int) -> None:
    parts = Allotment("pot", WHOLE, tuple(of_parts)).divided(whole_minor)
    assert sum(parts) == whole_minor
    exact = [whole_minor * each / sum(of_parts) for each in of_parts]
    assert all(part - 1 < share < part + 1 for part, share in zip(parts, exact, strict=True))


@given(st.lists(st.integers(0, 10**15), min_size=1, max_size=20), st.data())
def test_what_is_left_of_parts_depends_on_how_much_it_is_alone(parts: list[int], data: st.DataObject) -> None:
    more = data.draw(st.integers(0, sum(parts)))
    less = data.draw(st.integers(0, more))
    kept, fewer = diminished(parts, more), diminished(parts, less)
    assert (sum(kept), sum(fewer)) == (more, less)
    assert all(one <= two <= three for one, two, three in zip(fewer, kept, parts, strict=True))
    assert diminished(parts, sum(parts)) == tuple(parts)
