"""Refunds under the whole plan language: exact at every step, in any order, and nothing is left at the end."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from upline.rewards.v1 import plan_pb2

from services.rewards.domain.conversion import Conversion, Reversal, after
from services.rewards.domain.decide.decision import Outcome
from services.rewards.domain.decide.evaluation import decide
from services.rewards.domain.decide.pay import pay
from services.rewards.domain.details import Details, Line
from services.rewards.domain.ledger import AccountKind, deltas
from services.rewards.domain.plan.plan import Plan
from services.rewards.domain.settle.accrual import accrue
from services.rewards.domain.settle.clawback import PostedReward, claw_back
from services.rewards.domain.settle.ids import position
from services.rewards.domain.tally.snapshot import Snapshot
from tests.unit.rewards.plans import (
    MOMENT,
    buyer,
    conversion,
    counter,
    fixed,
    outcomes,
    paid,
    percent,
    plan,
    rule,
    tiers,
)
from tests.unit.rewards.rich_plans import rich_conversions, rich_plans, snapshots

PreparedConversion = tuple[Plan, Conversion, Snapshot]


@st.composite
def cases(draw: st.DrawFn) -> PreparedConversion:
    """A plan, an order, and what was counted before it."""
    subject, order = draw(rich_plans()), draw(rich_conversions())
    return subject, order, draw(snapshots(subject, order))


@st.composite
def refunds(draw: st.DrawFn, order: Conversion) -> list[Reversal]:
    """Reversals by line that take everything back, each a piece."""
    left = {each.line_id: each.amount_minor for each in order.read_details().lines}
    reversals = []
    while any(left.values()):
        pieces = {line: draw(st.integers(0, minor)) for line, minor in left.items()}
        if not any(pieces.values()):
            pieces = dict(left)
        left = {line: minor - pieces[line] for line, minor in left.items()}
        taken = tuple((line, minor) for line, minor in pieces.items() if minor)
        number = len(reversals) + 1
        moment = MOMENT + timedelta(minutes=number)
        reversals.append(
            Reversal("shop", f"r{number}", "c1", sum(pieces.values()), not any(left.values()), moment, taken)
        )
    return reversals or [Reversal("shop", "r1", "c1", 0, True, MOMENT)]


def test_ten_percent_of_what_is_left() -> None:
    subject = plan(rule())
    assert paid(subject, conversion(10_000)) == [("r", "maria", 1_000)]
    assert paid(subject, conversion(10_000, remaining_minor=7_000)) == [("r", "maria", 700)]


@pytest.mark.parametrize(
    "fields",
    [
        {"amount": fixed(500)},
        {"amount": percent("5")},
        {"amount": plan_pb2.Amount(per_level=plan_pb2.PerLevelAmount(amounts_minor=[500]))},
        {"amount": None, "tiers": tiers("volume", plan_pb2.TIER_MODE_BONUS, (1, 500))},
    ],
)
def test_a_rule_may_ask_for_a_part_that_must_be_left(fields: dict[str, object]) -> None:
    subject = plan(rule(least_left_percent="33.4", **fields), counters=[counter()])
    assert paid(subject, conversion(10_000)) == [("r", "maria", 500)]
    assert [minor for _, _, minor in paid(subject, conversion(10_000, remaining_minor=3_340))] in ([500], [167])
    for left in (3_339, 1):
        assert paid(subject, conversion(10_000, remaining_minor=left)) == []
        assert outcomes(subject, conversion(10_000, remaining_minor=left)) == [Outcome.TOO_LITTLE_LEFT]
    assert outcomes(subject, conversion(10_000, remaining_minor=0, void=True)) == [Outcome.REVERSED]


def test_what_is_earned_from_others_may_ask_for_it_too() -> None:
    match = percent("50", plan_pb2.AMOUNT_BASE_EARNINGS)
    subject = plan(rule(to=buyer()), rule("m", amount=match, earnings_of=["r"], least_left_percent="50"))
    assert paid(subject, conversion(10_000, remaining_minor=5_000)) == [("r", "vera", 500), ("m", "maria", 250)]
    assert paid(subject, conversion(10_000, remaining_minor=4_999)) == [("r", "vera", 499)]


def test_a_conversion_without_an_amount_is_left_until_it_is_taken_back() -> None:
    subject = plan(rule(on=["sign_up"], amount=fixed(500), least_left_percent="100"))
    sign_up = conversion(0, event_type="sign_up")
    assert paid(subject, sign_up) == [("r", "maria", 500)]
    assert outcomes(subject, replace(sign_up, void=True)) == [Outcome.REVERSED]
    assert paid(plan(rule(amount=fixed(5), least_left_percent="0")), conversion(100, remaining_minor=1)) == [
        ("r", "maria", 5)
    ]


def test_the_refund_of_another_line_gives_nothing_back_that_a_refund_took() -> None:
    lines = [Line("1", "", "a", 1_000, {}), Line("2", "", "b", 1_000, {})]
    order = conversion(2_000, read_details=lambda: Details(lines=lines))
    subject = plan(
        rule(
            amount=percent("10", plan_pb2.AMOUNT_BASE_LINES),
            lines='line.category == "a"',
            tiers=tiers("volume", plan_pb2.TIER_MODE_MARGINAL, (1_000, "2"), (1_500, "9")),
        ),
        counters=[counter()],
    )
    mine = Reversal("shop", "r1", "c1", 400, False, MOMENT, (("1", 400),))
    other = Reversal("shop", "r2", "c1", 900, False, MOMENT, (("2", 900),))
    # 1,000 at 10 %, 500 at 2 % and 500 at 9 %: 7.75 %; the first 1,500 of them, 7.33 %.
    owed = [paid(subject, after(order, gone)) for gone in ([], [mine], [other], [mine, other], [other, mine])]
    assert owed == [[("r", "maria", minor)] for minor in (77, 44, 73, 44, 44)]


@settings(max_examples=1_000, deadline=None)
@given(cases(), st.data())
def test_any_refunds_end_at_zero_and_each_leaves_exactly_what_the_plan_owes(
    case: PreparedConversion, data: st.DataObject
) -> None:
    subject, order, snapshot = case
    accrual = accrue(subject, order, snapshot)
    net = {each.reward_id: each.amount_minor for each in accrual.rewards}
    ledger = deltas(accrual.rewards, ())
    earlier: list[Reversal] = []
    for reversal in data.draw(refunds(order)):
        posted = [PostedReward(each, net[each.reward_id], AccountKind.AVAILABLE) for each in accrual.rewards]
        clawback = claw_back(subject, order, earlier, reversal, posted, snapshot)
        for revision in clawback.revisions:
            net[revision.reward.reward_id] += revision.delta_minor
        for account, delta in deltas((), clawback.transfers).items():
            ledger[account] = ledger.get(account, 0) + delta
        wanted = {
            position(rule.ordinal, level, is_share): amount_minor
            for rule, level, _, amount_minor, is_share in pay(subject, clawback.conversion, snapshot)
        }
        assert {each[-4:]: minor for each, minor in net.items() if minor} == wanted
        earlier.append(reversal)
    assert set(net.values()) <= {0}
    assert set(ledger.values()) <= {0}


@settings(max_examples=500, deadline=None)
@given(cases(), st.data())
def test_no_refund_gives_anybody_more(case: PreparedConversion, data: st.DataObject) -> None:
    subject, order, snapshot = case
    reversals = data.draw(refunds(order))
    before = {each.slot: each.amount_minor for each in decide(subject, order, snapshot)}
    for count in range(1, len(reversals) + 1):
        now = {each.slot: each.amount_minor for each in decide(subject, after(order, reversals[:count]), snapshot)}
        assert now.keys() <= before.keys()
        assert all(minor <= before[slot] for slot, minor in now.items())
        before = {slot: now.get(slot, 0) for slot in before}


@settings(max_examples=300, deadline=None)
@given(cases())
def test_a_decision_depends_on_nothing_else(case: PreparedConversion) -> None:
    subject, order, snapshot = case
    once = decide(subject, order, snapshot)
    again = decide(subject, replace(order), Snapshot(dict(snapshot.values)))
    assert once == again
    assert len({each.slot for each in once}) == len(once)
    assert all(0 <= each.amount_minor < 2**63 for each in once)
    assert sum(deltas(accrue(subject, order, snapshot).rewards, ()).values()) == 0
