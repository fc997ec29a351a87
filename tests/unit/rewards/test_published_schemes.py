"""Schemes whose figures are published elsewhere, and those that contracts commonly state."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
from upline.rewards.v1 import plan_pb2

from services.rewards.domain.conversion import Conversion
from services.rewards.domain.decide.effects import effects
from services.rewards.domain.decide.evaluation import decide
from services.rewards.domain.decide.needed_tallies import needed_tallies
from services.rewards.domain.plan.plan import Plan
from services.rewards.domain.tally.running import RunningTallies
from tests.unit.rewards.plans import buyer, conversion, fixed, paid, plan, rule, upline


def in_turn(subject: Plan, orders: list[Conversion]) -> Mapping[str, int]:
    """The amount that everybody gets in all of conversions that are settled one after the other."""
    running = RunningTallies({})
    totals: dict[str, int] = {}
    for order in orders:
        snapshot = running.snapshot(needed_tallies(subject, order))
        decisions = decide(subject, order, snapshot)
        for each in decisions:
            totals[each.beneficiary_id] = totals.get(each.beneficiary_id, 0) + each.amount_minor
        running.apply(effects(subject, order, decisions, snapshot).items(), (order.record_time, 0))
    return totals


@pytest.mark.parametrize("depth", [0, 1, 3, 10, 64])
def test_the_red_balloon_never_costs_more_than_4000(depth: int) -> None:
    # G. Pickard et al., "Time-Critical Social Mobilization", Science 334 (2011): 2,000 to the finder, 1,000 to who
    # invited the finder, 500 to who invited that one, and so on: below 4,000 a balloon however long the chain.
    subject = plan(
        rule("finder", on=["found"], to=buyer(), amount=fixed(200_000)),
        rule(
            "chain",
            on=["found"],
            to=upline(1, 64),
            amount=plan_pb2.Amount(geometric=plan_pb2.GeometricAmount(amount_minor=100_000, ratio="0.5")),
        ),
    )
    found = conversion(0, event_type="found", upline=tuple(f"p{level}" for level in range(1, depth + 1)))
    amounts = [amount for _, _, amount in paid(subject, found)]
    assert amounts[:5] == [200_000, 100_000, 50_000, 25_000, 12_500][: depth + 1]
    assert sum(amounts) < 400_000


def test_a_hybrid_pays_once_and_for_eighteen_months() -> None:
    # 150 for the sale, and 20 % of 100 a month for 18 months: 150 + 18 × 20 = 510, however long the subscription goes
    # on.
    subject = plan(
        rule("once", on=["renewal"], amount=fixed(15_000), occurrence=plan_pb2.Occurrence(first=1)),
        rule(
            "share",
            on=["renewal"],
            amount=plan_pb2.Amount(percent=plan_pb2.PercentAmount(percent="20")),
            occurrence=plan_pb2.Occurrence(first=18),
        ),
    )
    months = [conversion(10_000, conversion_id=f"m{number}", event_type="renewal") for number in range(24)]
    assert in_turn(subject, months) == {"maria": 51_000}


def test_a_month_taken_back_gives_its_place_to_the_next() -> None:
    subject = plan(rule(amount=fixed(100), occurrence=plan_pb2.Occurrence(first=2)))
    orders = [conversion(10_000, conversion_id=f"m{number}") for number in range(4)]
    orders[0] = replace(orders[0], remaining_minor=0, void=True)
    assert in_turn(subject, orders) == {"maria": 200}
    nth = plan(rule(amount=fixed(100), occurrence=plan_pb2.Occurrence(nth=2)))
    assert in_turn(nth, orders) == {"maria": 100}
