"""The decision, by example and by property."""

from datetime import timedelta
from fractions import Fraction
from uuid import RFC_4122, UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from upline.rewards.v1 import plan_pb2

from services.rewards.domain.conversion import Conversion, OverReversedError, Reversal, after
from services.rewards.domain.decide.decision import Decision, Outcome
from services.rewards.domain.decide.evaluation import decide
from services.rewards.domain.decide.pay import owed, pay
from services.rewards.domain.details import Details
from services.rewards.domain.ledger import MAX_AMOUNT_MINOR, AccountKind, Reward, deltas
from services.rewards.domain.plan.plan import Plan
from services.rewards.domain.plan.rounding import Rounding, rounder
from services.rewards.domain.plan.versions import PlanVersions, outline
from services.rewards.domain.settle.accrual import accrue
from services.rewards.domain.settle.clawback import PostedReward, claw_back
from services.rewards.domain.settle.ids import first_reward_id, id_prefix, position
from tests.unit.rewards.plans import (
    MOMENT,
    buyer,
    conversion,
    conversions,
    percent,
    plan,
    plans,
    points,
    rule,
    upline,
)


@pytest.mark.parametrize(
    ("numerator", "denominator", "half_even", "half_up", "down"),
    [
        (5, 2, 2, 3, 2),
        (7, 2, 4, 4, 3),
        (9, 4, 2, 2, 2),
        (11, 4, 3, 3, 2),
        (0, 3, 0, 0, 0),
        (1, 2, 0, 1, 0),
        (6, 3, 2, 2, 2),
    ],
)
def test_rounding(numerator: int, denominator: int, half_even: int, half_up: int, down: int) -> None:
    assert rounder(Rounding.HALF_EVEN)(numerator, denominator) == half_even
    assert rounder(Rounding.HALF_UP)(numerator, denominator) == half_up
    assert rounder(Rounding.DOWN)(numerator, denominator) == down


@given(st.integers(0, 10**18), st.integers(1, 10**9), st.sampled_from(Rounding))
def test_rounding_errs_by_half_a_unit_at_most(numerator: int, denominator: int, mode: Rounding) -> None:
    error = rounder(mode)(numerator, denominator) - Fraction(numerator, denominator)
    bound = Fraction(1) if mode is Rounding.DOWN else Fraction(1, 2)
    assert -bound <= error <= (0 if mode is Rounding.DOWN else bound)


def amounts(subject: Plan, **fields: object) -> list[tuple[str, int]]:
    """(beneficiary, amount) of each paid decision."""
    return [(person, amount_minor) for _, _, person, amount_minor, _ in pay(subject, conversion(**fields))]


def test_per_level_percentages() -> None:
    subject = plan(
        rule(to=upline(1, 3), amount=plan_pb2.Amount(per_level=plan_pb2.PerLevelAmount(percents=["5", "0", "1"])))
    )
    assert amounts(subject, amount_minor=1177) == [("maria", 58), ("petr", 11)]


def test_per_level_fixed() -> None:
    per_level = plan_pb2.PerLevelAmount(amounts_minor=[300, 200])
    subject = plan(rule(to=upline(2, 3), amount=plan_pb2.Amount(per_level=per_level)))
    assert amounts(subject) == [("olga", 300), ("petr", 200)]


def test_geometric_halves_from_level_to_level() -> None:
    # The inviter's chain of the 2009 red-balloon challenge: 2,000 to the finder, then half of the level before.
    geometric = plan_pb2.GeometricAmount(amount_minor=200_000, ratio="0.5")
    subject = plan(rule(to=upline(1, 20), amount=plan_pb2.Amount(geometric=geometric)))
    chain = tuple(f"p{level}" for level in range(20))
    paid = [amount for _, amount in amounts(subject, upline=chain)]
    assert paid[:4] == [200_000, 100_000, 50_000, 25_000]
    assert sum(paid) < 400_000


def test_geometric_percentage() -> None:
    geometric = plan_pb2.GeometricAmount(percent="10", ratio="0.1")
    subject = plan(rule(to=upline(1, 3), amount=plan_pb2.Amount(geometric=geometric)))
    assert amounts(subject, amount_minor=12_345) == [("maria", 1234), ("olga", 123), ("petr", 12)]


def test_cashback_in_points_follows_the_rate() -> None:
    subject = plan(
        rule(to=buyer(), amount=percent("5"), asset="points"),
        assets=[points(digits=1, per_unit="0.5")],
    )
    # 5 % of 11.77 USD is 0.5885; half a point a dollar is 0.29425 points: 2 tenths, rounded down.
    assert amounts(subject, amount_minor=1177) == [("vera", 2)]


def test_yen_have_no_minor_unit() -> None:
    subject = plan(rule(amount=percent("10"), asset="points"), assets=[points()], currency="JPY")
    assert amounts(subject, amount_minor=1_234, currency_code="JPY") == [("maria", 123)]


def test_margin_shrinks_with_the_order() -> None:
    subject = plan(rule(amount=percent("50", plan_pb2.AMOUNT_BASE_MARGIN)))
    assert amounts(subject, margin_minor=333) == [("maria", 166)]
    assert amounts(subject, margin_minor=333, remaining_minor=5_000) == [("maria", 83)]
    outcomes = [each.outcome for each in decide(subject, conversion())]
    assert outcomes == [Outcome.NO_BASE]


def test_what_pays_nothing_is_told_by_what_is_left() -> None:
    subject = plan(
        rule(to=upline(1, 2), amount=plan_pb2.Amount(per_level=plan_pb2.PerLevelAmount(percents=["50", "1"])))
    )
    told = [(each.outcome, each.base_minor) for each in decide(subject, conversion(19, remaining_minor=9))]
    assert told == [(Outcome.PAID, 9), (Outcome.ROUNDS_TO_ZERO, 9)]
    nothing = decide(subject, conversion(19, remaining_minor=0, void=True))
    assert [each.outcome for each in nothing] == [Outcome.REVERSED, Outcome.REVERSED]


def test_outcomes_say_why_nothing_is_paid() -> None:
    subject = plan(rule(to=upline(1, 4)), rule("cash", to=buyer(), amount=percent("0.001")))
    reasons = [(each.amount.level, each.outcome) for each in decide(subject, conversion(100))]
    assert reasons == [
        (1, Outcome.PAID),
        (2, Outcome.PAID),
        (3, Outcome.PAID),
        (4, Outcome.NO_ANCESTOR),
        (0, Outcome.ROUNDS_TO_ZERO),
    ]
    assert {each.outcome for each in decide(subject, conversion(currency_code="EUR", upline=("a",) * 4))} == {
        Outcome.CURRENCY_MISMATCH
    }
    assert decide(subject, conversion(event_type="deposit")) == []


def test_the_version_in_force_is_the_last_that_has_begun() -> None:
    plans_in_order = tuple(
        outline(Plan("shop", number, "USD", Rounding.DOWN, (), (), moment), None)
        for number, moment in [(1, None), (2, MOMENT), (3, MOMENT + timedelta(days=1))]
    )
    first, second, third = plans_in_order
    versions = PlanVersions(plans_in_order)
    assert versions.in_force(MOMENT - timedelta(microseconds=1)) is first
    assert versions.in_force(MOMENT) is second
    assert versions.in_force(MOMENT + timedelta(days=2)) is third
    assert PlanVersions((second, third)).in_force(MOMENT - timedelta(days=1)) is None
    assert [versions.version(number) for number in (1, 2, 3)] == [first, second, third]


@settings(max_examples=500, deadline=None)
@given(plans(), conversions(), st.lists(st.integers(1, 10**15), max_size=5))
def test_any_refunds_that_add_up_to_the_whole_end_at_zero(subject: Plan, order: Conversion, cuts: list[int]) -> None:
    bounds = sorted({cut for cut in cuts if cut < order.amount_minor} | {order.amount_minor})
    parts = [high - low for low, high in zip([0, *bounds], bounds, strict=False)]
    accrual = accrue(subject, order)
    net = {each.reward_id: each.amount_minor for each in accrual.rewards}
    ledger = deltas(accrual.rewards, ())
    earlier: list[Reversal] = []
    for number, part in enumerate(parts, start=1):
        moment = MOMENT + timedelta(minutes=number)
        reversal = Reversal("shop", f"r{number}", "c1", part, number == len(parts), moment)
        posted = [PostedReward(each, net[each.reward_id], AccountKind.AVAILABLE) for each in accrual.rewards]
        clawback = claw_back(subject, order, earlier, reversal, posted)
        for revision in clawback.revisions:
            net[revision.reward.reward_id] += revision.delta_minor
        for account, delta in deltas((), clawback.transfers).items():
            ledger[account] = ledger.get(account, 0) + delta
        wanted = {
            (rule.rule_id, level): amount_minor for rule, level, _, amount_minor, _ in pay(subject, clawback.conversion)
        }
        assert all(net[each.reward_id] == wanted.get((each.rule_id, each.level), 0) for each in accrual.rewards)
        earlier.append(reversal)
    assert set(net.values()) <= {0}
    assert set(ledger.values()) <= {0}


@settings(max_examples=300, deadline=None)
@given(plans(), conversions())
def test_every_accrual_balances_and_has_ids_of_its_own(subject: Plan, order: Conversion) -> None:
    accrual = accrue(subject, order)
    assert sum(deltas(accrual.rewards, ()).values()) == 0
    assert all(0 < each.amount_minor <= MAX_AMOUNT_MINOR for each in accrual.rewards)
    assert len({each.reward_id for each in accrual.rewards}) == len(accrual.rewards)
    assert all(Reward(**each._asdict()) == each for each in accrual.rewards)  # no field is missing
    assert {each.beneficiary_id for each in accrual.rewards} <= set(order.people)
    assert accrue(subject, order) == accrual


@settings(max_examples=300)
@given(plans(), conversions(), st.integers(0, 10**15))
def test_the_two_ways_to_decide_a_plain_plan_agree(subject: Plan, order: Conversion, cut: int) -> None:
    """Plain plans are decided by a shorter way; the long one is the truth for all others, and for these too."""
    part = Reversal(order.program_id, "r", order.conversion_id, min(cut, order.amount_minor), False, order.record_time)
    for left in (order, after(order, [part])):
        assert subject.event_rules(left.event_type).is_plain
        decisions = decide(subject, left)
        assert pay(subject, left) == owed(decisions)
        assert all(Decision(**each._asdict()) == each for each in decisions)  # no field is missing


def test_taking_back_more_than_there_was_is_refused() -> None:
    reversal = Reversal("shop", "r1", "c1", 10_001, True, MOMENT)
    with pytest.raises(OverReversedError):
        after(conversion(), [reversal])


@given(st.text(max_size=20), st.text(max_size=20))
def test_ids_of_different_names_differ(left: str, right: str) -> None:
    same = id_prefix(MOMENT, "p", left) == id_prefix(MOMENT, "p", right)
    assert same == (left == right)


def test_ids_grow_with_time_and_are_version_8() -> None:
    early, late = id_prefix(MOMENT, "x"), id_prefix(MOMENT + timedelta(milliseconds=1), "a")
    assert early < late
    first = UUID(first_reward_id(early + position(3, 7, False)))
    assert (first.version, first.variant) == (8, RFC_4122)
    assert first.hex < early + position(3, 7, False) < late


def test_rewards_are_looked_for_at_everybody_who_can_be_paid() -> None:
    owned = conversion(read_details=lambda: Details(link_owner_id="lena"))
    assert owned.people == ["vera", "maria", "olga", "petr", "lena"]
    assert conversion(read_details=lambda: Details(link_owner_id="olga")).people == ["vera", "maria", "olga", "petr"]
