"""Base EARNINGS: a percentage of what somebody earns goes to those above them."""

from upline.rewards.v1 import plan_pb2

from services.rewards.domain.decide.decision import EarningsStep, Outcome
from services.rewards.domain.decide.evaluation import decide
from services.rewards.domain.details import Details
from services.rewards.domain.settle.accrual import accrue
from tests.unit.rewards.plans import (
    buyer,
    conversion,
    detailed,
    fixed,
    outcomes,
    paid,
    percent,
    plan,
    points,
    rule,
    upline,
    usd,
)

EARNINGS = plan_pb2.AMOUNT_BASE_EARNINGS


def by_level(*percents: str) -> plan_pb2.Amount:
    return plan_pb2.Amount(per_level=plan_pb2.PerLevelAmount(percents=percents, of=EARNINGS))


def matching(*percents: str, of: tuple[str, ...] = ("task",), **fields: object) -> plan_pb2.Rule:
    """A rule that pays percentages of earnings."""
    return rule("match", to=upline(1, len(percents)), amount=by_level(*percents), earnings_of=of, **fields)


def test_the_upline_of_who_earns_is_paid_by_level() -> None:
    subject = plan(rule("task", to=buyer()), matching("20", "5"))
    assert paid(subject, conversion()) == [("task", "vera", 1_000), ("match", "maria", 200), ("match", "olga", 50)]


def test_one_who_stands_above_several_earners_gets_one_reward_at_his_true_distance() -> None:
    subject = plan(rule("sale", to=upline(1, 2)), matching("10", of=("sale",)))
    # maria earns 1,000 at distance 1 and olga 1,000 at distance 2: 10 % each to who stands one above.
    decisions = decide(subject, conversion())
    assert [(each.rule.rule_id, each.amount.level, each.beneficiary_id, each.amount_minor) for each in decisions] == [
        ("sale", 1, "maria", 1_000), ("sale", 2, "olga", 1_000), ("match", 2, "olga", 100), ("match", 3, "petr", 100),
    ]  # fmt: skip
    both = plan(rule("sale", to=upline(1, 2)), matching("10", "1", of=("sale",)))
    last = decide(both, conversion())[-1]
    assert (last.beneficiary_id, last.amount_minor) == ("petr", 110)
    assert [(each.earner_id, each.percent) for each in last.steps if isinstance(each, EarningsStep)] == [
        ("maria", 1),
        ("olga", 10),
    ]
    assert len({each.reward_id for each in accrue(both, conversion()).rewards}) == 4


def test_what_is_capped_away_and_what_is_outbid_is_not_earned_but_what_is_shared_is() -> None:
    cap = plan_pb2.Cap(scope=plan_pb2.CAP_SCOPE_REWARD, amount_minor=400)
    subject = plan(rule("sale", caps=[cap], share=plan_pb2.Share(percent="50")), matching("10", of=("sale",)))
    assert paid(subject, conversion()) == [("sale", "maria", 200), ("sale", "vera", 200), ("match", "olga", 40)]
    subject = plan(rule("a", group="g"), rule("b", group="g", amount=percent("20")), matching("10", of=("a", "b")))
    assert paid(subject, conversion()) == [("b", "maria", 2_000), ("match", "olga", 200)]


def test_earnings_in_points_become_money_by_their_worth() -> None:
    assets = [usd(), points(digits=0, per_unit="2")]
    subject = plan(rule("task", to=buyer(), amount=fixed(1_000), asset="points"), matching("20"), assets=assets)
    # 1,000 points are worth 500.00 USD; 20 % of it.
    assert paid(subject, conversion()) == [("task", "vera", 1_000), ("match", "maria", 10_000)]


def test_a_condition_sees_how_far_above_the_earner_somebody_stands() -> None:
    subject = plan(rule("sale", to=upline(1, 1)), matching("10", "10", of=("sale",), when="level == 2"))
    assert paid(subject, conversion()) == [("sale", "maria", 1_000), ("match", "petr", 100)]
    qualified = plan_pb2.Qualification(when="beneficiary.id == 'petr'", otherwise=plan_pb2.UNQUALIFIED_COMPRESS)
    subject = plan(rule("sale", to=upline(1, 1)), matching("10", of=("sale",), qualification=qualified))
    assert paid(subject, conversion()) == [("sale", "maria", 1_000), ("match", "petr", 100)]


def test_nobody_earned_nobody_is_matched() -> None:
    subject = plan(rule("sale"), matching("10", of=("sale",)))
    assert outcomes(subject, conversion(upline=())) == [Outcome.NO_ANCESTOR, Outcome.NO_ANCESTOR]
    assert outcomes(subject, conversion(0)) == [Outcome.NO_BASE, Outcome.NO_BASE]
    owner = plan(rule("sale", to=plan_pb2.Beneficiary(link_owner=plan_pb2.LinkOwner())), matching("10", of=("sale",)))
    assert paid(owner, detailed(Details(link_owner_id="anna"))) == [("sale", "anna", 1_000)]
    assert paid(owner, detailed(Details(link_owner_id="maria"))) == [("sale", "maria", 1_000), ("match", "olga", 100)]


def test_a_refund_takes_the_same_part_from_all() -> None:
    subject = plan(rule("task", to=buyer()), matching("20", "5"))
    left = conversion(10_000, remaining_minor=7_000)
    assert paid(subject, left) == [("task", "vera", 700), ("match", "maria", 140), ("match", "olga", 35)]
