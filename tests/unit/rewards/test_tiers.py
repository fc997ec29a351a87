"""Tiers: from the next conversion on, split at the bounds, or a bonus on crossing."""

from dataclasses import replace
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st
from upline.rewards.v1 import plan_pb2

from services.rewards.domain.decide.decision import BonusStep, Outcome
from services.rewards.domain.decide.effects import effects
from services.rewards.domain.decide.evaluation import decide
from services.rewards.domain.plan.tiers import Tier, TierMode, Tiers, average
from services.rewards.domain.tally.snapshot import Snapshot
from tests.unit.rewards.plans import conversion, counter, fixed, outcomes, paid, percent, plan, rule, tiers, upline

NEXT, MARGINAL, BONUS = plan_pb2.TIER_MODE_NEXT, plan_pb2.TIER_MODE_MARGINAL, plan_pb2.TIER_MODE_BONUS


def volume(value: int, period: str = "") -> Snapshot:
    """The value of maria's counter."""
    return Snapshot({("counter:volume", "maria", period): value})


def test_a_marginal_tier_pays_each_part_at_its_rate() -> None:
    # 10 % to 10,000.00 and 20 % above: 15,000.00 pay 1,000 + 1,000.
    subject = plan(rule(tiers=tiers("volume", MARGINAL, (1_000_000, "20"))), counters=[counter()])
    assert paid(subject, conversion(1_500_000)) == [("r", "maria", 200_000)]
    # 50 % to 100,000.00 and 60 % above: 180,000.00 pay 50,000 + 48,000.
    subject = plan(
        rule(amount=percent("50"), tiers=tiers("volume", MARGINAL, (10_000_000, "60"))), counters=[counter()]
    )
    assert paid(subject, conversion(18_000_000)) == [("r", "maria", 9_800_000)]


def test_a_marginal_tier_goes_on_from_where_the_counter_stands() -> None:
    subject = plan(rule(tiers=tiers("volume", MARGINAL, (1_000_000, "20"))), counters=[counter()])
    assert paid(subject, conversion(1_500_000), volume(400_000)) == [("r", "maria", 60_000 + 180_000)]
    assert paid(subject, conversion(1_500_000), volume(1_000_000)) == [("r", "maria", 300_000)]
    # A refund takes back from the top.
    half = conversion(1_500_000, remaining_minor=600_000)
    assert paid(subject, half, volume(400_000)) == [("r", "maria", 60_000)]


def test_the_next_conversion_has_the_higher_rate() -> None:
    subject = plan(
        rule(tiers=tiers("volume", NEXT, (10_000, "15"), (20_000, "20")), to=upline(1, 1)), counters=[counter()]
    )
    order = conversion(50_000)
    assert paid(subject, order, volume(9_999)) == [("r", "maria", 5_000)]
    assert paid(subject, order, volume(10_000)) == [("r", "maria", 7_500)]
    assert paid(subject, order, volume(20_000)) == [("r", "maria", 10_000)]


def test_a_factor_raises_every_level() -> None:
    step = plan_pb2.Tier(factor="1.5")
    step.bound = 3
    amount = plan_pb2.Amount(per_level=plan_pb2.PerLevelAmount(amounts_minor=[300, 100]))
    subject = plan(
        rule(amount=amount, to=upline(1, 2), tiers=plan_pb2.Tiers(counter="sales", mode=NEXT, tiers=[step])),
        counters=[counter("sales", plan_pb2.MEASURE_CONVERSIONS, of=upline(1, 2))],
    )
    snapshot = Snapshot({("counter:sales", "maria", ""): 3, ("counter:sales", "olga", ""): 2})
    assert paid(subject, conversion(), snapshot) == [("r", "maria", 450), ("r", "olga", 100)]


def test_tiers_begin_anew_with_their_period() -> None:
    subject = plan(
        rule(amount=fixed(100), tiers=tiers("volume", NEXT, (10, 200))),
        counters=[counter(period=plan_pb2.PERIOD_MONTH)],
    )
    assert paid(subject, conversion(), volume(50, "2026-02")) == [("r", "maria", 100)]
    assert paid(subject, conversion(), volume(50, "2026-03")) == [("r", "maria", 200)]


def bonus_plan(measure: int = plan_pb2.MEASURE_CONVERSIONS):  # type: ignore[no-untyped-def]
    return plan(
        rule("bonus", amount=None, tiers=tiers("sales", BONUS, (3, 500), (5, 1_000))),
        counters=[counter("sales", measure)],
    )


def sales(value: int, **more: int) -> Snapshot:
    keys = {("counter:sales", "maria", ""): value}
    return Snapshot(keys | {(f"{name}:bonus:3", "maria", ""): count for name, count in more.items()})


def test_a_bonus_is_paid_on_crossing_and_once() -> None:
    subject = bonus_plan()
    assert outcomes(subject, conversion(), sales(1)) == [Outcome.NO_TIER]
    assert paid(subject, conversion(), sales(2)) == [("bonus", "maria", 500)]
    assert outcomes(subject, conversion(), sales(3)) == [Outcome.NO_TIER]
    assert outcomes(subject, conversion(), sales(2, bonus=1)) == [Outcome.NO_TIER]
    assert paid(subject, conversion(), sales(4)) == [("bonus", "maria", 1_000)]


def test_a_bonus_taken_back_is_earned_by_the_next() -> None:
    subject = bonus_plan()
    (gone,) = decide(subject, conversion(remaining_minor=0, void=True), sales(2))
    assert gone.outcome is Outcome.REVERSED
    assert gone.steps == (BonusStep("sales", 2, 0, (), lost=(0,)),)
    assert paid(subject, conversion(), sales(3, forfeit=1)) == [("bonus", "maria", 500)]
    assert outcomes(subject, conversion(), sales(3, forfeit=1, bonus=1)) == [Outcome.NO_TIER]


def test_a_bonus_stands_for_its_bound_whatever_tiers_a_later_version_puts_before_it() -> None:
    order = conversion()
    before = bonus_plan()
    (crossed,) = decide(before, order, sales(2))
    counted = effects(before, order, [crossed], sales(2))
    assert Snapshot({key: value for key, value in counted.items() if key[0].startswith("bonus")}) == Snapshot(
        {("bonus:bonus:3", "maria", ""): 1}
    )
    after = plan(
        rule("bonus", amount=None, tiers=tiers("sales", BONUS, (2, 100), (3, 500))),
        counters=[counter("sales", plan_pb2.MEASURE_CONVERSIONS)],
    )
    # A refund took the counter below both bounds: what was paid for one of them is paid for, the other was never.
    assert outcomes(after, order, sales(2, bonus=1)) == [Outcome.NO_TIER]
    assert paid(after, order, sales(1, bonus=1)) == [("bonus", "maria", 100)]


def test_a_buyer_who_counts_already_crosses_nothing() -> None:
    subject = bonus_plan(plan_pb2.MEASURE_REFEREES)
    assert paid(subject, conversion(), sales(2)) == [("bonus", "maria", 500)]
    known = Snapshot(sales(2).values | {("member:sales", "maria\x1fvera", ""): 1})
    assert outcomes(subject, conversion(), known) == [Outcome.NO_TIER]


def test_a_volume_crosses_several_bounds_at_once_and_falls_back_with_a_refund() -> None:
    subject = plan(
        rule("bonus", amount=None, tiers=tiers("volume", BONUS, (1_000, 5), (2_000, 7))), counters=[counter()]
    )
    order = conversion(2_500)
    assert paid(subject, order) == [("bonus", "maria", 12)]
    (left,) = decide(subject, replace(order, remaining_minor=1_500))
    assert (left.amount_minor, left.steps) == (5, (BonusStep("volume", 0, 1_500, (0,), lost=(1,)),))


def test_a_bonus_that_a_cap_cut_falls_back_too() -> None:
    subject = plan(
        rule(
            "bonus",
            amount=None,
            tiers=tiers("volume", BONUS, (1_000, 5), (2_000, 7)),
            caps=[plan_pb2.Cap(scope=plan_pb2.CAP_SCOPE_REWARD, amount_minor=4)],
        ),
        counters=[counter()],
    )
    order = conversion(2_500)
    assert paid(subject, order) == [("bonus", "maria", 4)]
    left = replace(order, remaining_minor=1_500)
    decisions = decide(subject, left)
    assert [each.amount_minor for each in decisions] == [4]
    counted = effects(subject, left, decisions, Snapshot())
    stand = {key[0]: value for key, value in counted.items() if key[0].startswith(("bonus", "forfeit")) and value}
    assert stand == {"bonus:bonus:1000": 1, "forfeit:bonus:2000": 1}


steps = st.lists(st.tuples(st.integers(1, 10**6), st.fractions(0, 1)), min_size=1, max_size=5, unique_by=lambda s: s[0])


@given(steps, st.fractions(0, 1), st.integers(0, 10**6), st.integers(1, 10**6))
def test_marginal_tiers_are_the_integral(
    raised: list[tuple[int, Fraction]], first: Fraction, value: int, amount: int
) -> None:
    raised = sorted(raised)
    subject = Tiers("volume", TierMode.MARGINAL, tuple(Tier(bound, ()) for bound, _ in raised))
    rates = [first, *(rate for _, rate in raised)]
    parts = list(subject.parts(value, amount))
    assert sum(minor for _, minor in parts) == amount
    assert all(minor > 0 for _, minor in parts)

    def below(point: int) -> Fraction:
        """The sum that everything up to a point pays."""
        bounds = [0, *(bound for bound, _ in raised)]
        ends = [*bounds[1:], max(point, bounds[-1])]
        return sum(
            (rate * max(0, min(point, end) - begin) for rate, begin, end in zip(rates, bounds, ends, strict=True)),
            Fraction(),
        )

    paid_parts = average([(rates[number], minor) for number, minor in parts]) * amount
    assert paid_parts == below(value + amount) - below(value)
