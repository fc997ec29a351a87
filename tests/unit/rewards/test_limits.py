"""Caps and budgets: shared by the rewards of one conversion, never exceeded, given back by refunds."""

from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st
from upline.rewards.v1 import plan_pb2

from services.rewards.domain.conversion import Conversion, Reversal, after
from services.rewards.domain.decide.decision import LimitStep, Outcome
from services.rewards.domain.decide.effects import effects
from services.rewards.domain.decide.pay import decide
from services.rewards.domain.details import Details, Line
from services.rewards.domain.explain.steps import explain_steps
from services.rewards.domain.ledger import MAX_AMOUNT_MINOR
from services.rewards.domain.plan.limits import LARGEST
from services.rewards.domain.plan.plan import Plan
from services.rewards.domain.tally.snapshot import Snapshot
from services.rewards.wire.plans import read_plan
from tests.unit.rewards.plans import (
    MOMENT,
    conversion,
    conversions,
    detailed,
    fixed,
    outcomes,
    paid,
    percent,
    plan,
    plans,
    rule,
    upline,
    usd,
)

REWARD, BENEFICIARY, REFEREE, PROGRAM = (
    plan_pb2.CAP_SCOPE_REWARD, plan_pb2.CAP_SCOPE_BENEFICIARY, plan_pb2.CAP_SCOPE_REFEREE, plan_pb2.CAP_SCOPE_PROGRAM,
)  # fmt: skip
DROP = plan_pb2.OVERFLOW_DROP
NAMES = {BENEFICIARY: "beneficiary", REFEREE: "referee", PROGRAM: "program"}


def cap(scope: int, amount_minor: int, **fields: object) -> plan_pb2.Cap:
    return plan_pb2.Cap(scope=scope, amount_minor=amount_minor, **fields)  # type: ignore[arg-type]


def refund(amount_minor: int) -> Reversal:
    return Reversal("shop", "r1", "c1", amount_minor, False, MOMENT)


def test_a_reward_is_capped_by_itself() -> None:
    subject = plan(rule(to=upline(1, 2), caps=[cap(REWARD, 700)]))
    assert paid(subject, conversion()) == [("r", "maria", 700), ("r", "olga", 700)]
    assert paid(subject, conversion(5_000)) == [("r", "maria", 500), ("r", "olga", 500)]
    dropping = plan(rule(caps=[cap(REWARD, 700, overflow=DROP)]))
    assert outcomes(dropping, conversion()) == [Outcome.CAPPED]


def test_what_is_used_leaves_less_room() -> None:
    subject = plan(rule(caps=[cap(BENEFICIARY, 1_500, period=plan_pb2.PERIOD_DAY)]), time_zone="Europe/Moscow")
    used = Snapshot({("cap:r:beneficiary:day", "maria", "2026-03-01"): 900})
    assert paid(subject, conversion(), used) == [("r", "maria", 600)]
    (decision,) = decide(subject, conversion(), used)
    assert decision.steps == (LimitStep(subject.rules[0].caps[0], 1_000, 600),)
    assert paid(subject, conversion(), Snapshot({("cap:r:beneficiary:day", "maria", "2026-02-28"): 1_500})) == [
        ("r", "maria", 1_000)
    ]
    overdrawn = Snapshot({("cap:r:beneficiary:day", "maria", "2026-03-01"): 2_000})
    assert outcomes(subject, conversion(), overdrawn) == [Outcome.CAPPED]


def test_each_scope_counts_what_it_says() -> None:
    used = {
        ("cap:r:referee:lifetime", "maria\x1fvera", ""): 400,
        ("cap:r:program:lifetime", "", ""): 300,
        ("cap:r:beneficiary:lifetime", "maria", ""): 200,
    }
    for scope, left in ((REFEREE, 600), (PROGRAM, 700), (BENEFICIARY, 800)):
        assert paid(plan(rule(caps=[cap(scope, 1_000)])), conversion(), Snapshot(used)) == [("r", "maria", left)]


def test_the_rewards_of_one_conversion_share_a_cap_in_their_order() -> None:
    subject = plan(rule(to=upline(1, 3), caps=[cap(PROGRAM, 2_300)]))
    assert paid(subject, conversion()) == [("r", "maria", 1_000), ("r", "olga", 1_000), ("r", "petr", 300)]
    dropping = plan(rule(to=upline(1, 3), caps=[cap(PROGRAM, 2_300, overflow=DROP)]))
    assert paid(dropping, conversion()) == [("r", "maria", 1_000), ("r", "olga", 1_000)]


def test_a_cap_counts_on_whatever_a_later_version_puts_before_it() -> None:
    monthly = cap(BENEFICIARY, 1_500, period=plan_pb2.PERIOD_MONTH)
    before = plan(rule(caps=[monthly]))
    used = effects(before, conversion(), decide(before, conversion()), Snapshot())
    after = plan(rule(caps=[cap(REWARD, 900), cap(BENEFICIARY, 5_000), monthly]))
    assert paid(after, conversion(), Snapshot(used)) == [("r", "maria", 500)]


def test_a_budget_counts_its_rules_and_its_asset_only() -> None:
    budget = plan_pb2.Budget(budget_id="spring", asset="USD", amount_minor=1_200, rules=["a", "b"])
    subject = plan(rule("a"), rule("b"), rule("c"), rule("d", asset="points", amount=fixed(5)), budgets=[budget])
    assert paid(subject, conversion()) == [
        ("a", "maria", 1_000), ("b", "maria", 200), ("c", "maria", 1_000), ("d", "maria", 5),
    ]  # fmt: skip
    spent = Snapshot({("budget:spring", "", ""): 1_200})
    assert paid(subject, conversion(), spent) == [("c", "maria", 1_000), ("d", "maria", 5)]


def test_a_refund_keeps_the_room_that_each_reward_found() -> None:
    subject = plan(rule(to=upline(1, 2), amount=percent("80"), caps=[cap(PROGRAM, 10_000)]))
    whole, half = conversion(10_000), conversion(10_000, remaining_minor=5_000)
    assert paid(subject, whole) == [("r", "maria", 8_000), ("r", "olga", 2_000)]
    # The rest alone would give olga 4,000: nobody gets more by a refund.
    assert paid(subject, half) == [("r", "maria", 4_000), ("r", "olga", 2_000)]
    assert paid(subject, conversion(10_000, remaining_minor=1_000)) == [("r", "maria", 800), ("r", "olga", 800)]


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([REWARD, BENEFICIARY, REFEREE, PROGRAM]), st.integers(1, 3_000), st.booleans()),
        max_size=3,
    ),
    st.integers(1, 5_000),
    st.lists(st.integers(0, 10**5), min_size=1, max_size=12),
)
def test_caps_and_budgets_are_never_exceeded(
    caps: list[tuple[int, int, bool]], budget_minor: int, orders: list[int]
) -> None:
    subject = plan(
        rule(to=upline(1, 3), caps=[cap(scope, minor, overflow=DROP if drop else 0) for scope, minor, drop in caps]),
        budgets=[plan_pb2.Budget(budget_id="all", asset="USD", amount_minor=budget_minor)],
    )
    used: dict[tuple[str, str, str], int] = {}
    for amount_minor in orders:
        for rule_id, person, minor in paid(subject, conversion(amount_minor), Snapshot(dict(used))):
            for index, (scope, _, _) in enumerate(caps):
                subject_of = {BENEFICIARY: person, REFEREE: f"{person}\x1fvera", PROGRAM: ""}
                if scope == REWARD:
                    assert minor <= caps[index][1]
                else:
                    alike = sum(other == scope for other, _, _ in caps[:index])
                    name = f"cap:{rule_id}:{NAMES[scope]}:lifetime" + (f":{alike}" if alike else "")
                    key = (name, subject_of[scope], "")
                    used[key] = used.get(key, 0) + minor
                    assert used[key] <= caps[index][1]
            key = ("budget:all", "", "")
            used[key] = used.get(key, 0) + minor
            assert used[key] <= budget_minor


def test_no_reward_is_larger_than_any_amount_may_be() -> None:
    """A plan that states no more may still come to more, of an absurd order: it is dropped, and told."""
    double = plan(rule(amount=percent("200")), rule("fair", amount=percent("1")))
    assert paid(double, conversion(MAX_AMOUNT_MINOR // 2)) == [
        ("r", "maria", MAX_AMOUNT_MINOR), ("fair", "maria", MAX_AMOUNT_MINOR // 200),
    ]  # fmt: skip
    order = conversion(MAX_AMOUNT_MINOR // 2 + 1)
    too_much, fair = decide(double, order)
    assert (too_much.outcome, fair.outcome) == (Outcome.CAPPED, Outcome.PAID)
    assert too_much.steps == (LimitStep(LARGEST, MAX_AMOUNT_MINOR + 2, 0),)
    assert explain_steps(double, order, too_much, 2, "en") == [
        "Cap on each reward, at most 10000000000000.00 USD: 0.00 USD of 10000000000000.02 USD fits."
    ]
    # What is left after a refund would fit; but nobody gets anything by a refund.
    assert paid(double, after(order, [refund(order.amount_minor - 100)])) == [("fair", "maria", 1)]


def test_a_cap_or_a_tighter_rule_holds_before_that() -> None:
    capped = plan(rule(amount=percent("200"), caps=[cap(REWARD, 700)]))
    assert paid(capped, conversion(MAX_AMOUNT_MINOR)) == [("r", "maria", 700)]
    budgeted = plan(
        rule(amount=percent("200")),
        rule("fair", amount=fixed(10)),
        budgets=[plan_pb2.Budget(budget_id="all", asset="USD", amount_minor=1_000)],
    )  # an absurd order does not use a budget up
    assert paid(budgeted, conversion(MAX_AMOUNT_MINOR)) == [("fair", "maria", 10)]


def test_many_lines_and_many_earnings_have_the_same_bound() -> None:
    lines = [Line(str(number), "hosting", "", 10, {}) for number in range(500)]
    order = detailed(Details(lines=lines), 5_000)
    row = plan_pb2.TableRow(amount_minor=MAX_AMOUNT_MINOR // 499)
    by_line = plan_pb2.Amount(table=plan_pb2.TableAmount(by="sku", otherwise=row))
    assert outcomes(plan(rule(amount=by_line)), order) == [Outcome.CAPPED]
    # Fixed rows and percentages of one table are one reward as well.
    row.amount_minor = MAX_AMOUNT_MINOR // 500
    mixed = plan_pb2.TableAmount(by="sku", otherwise=row, rows=[plan_pb2.TableRow(value="domain", percent="100")])
    order = detailed(Details(lines=[*lines, Line("d", "domain", "", 1, {})]), 5_001)
    assert outcomes(plan(rule(amount=plan_pb2.Amount(table=mixed))), order) == [Outcome.CAPPED]
    source = rule("source", to=upline(1, 3), amount=fixed(MAX_AMOUNT_MINOR))
    matching = rule("m", to=upline(1, 3), amount=percent("100", plan_pb2.AMOUNT_BASE_EARNINGS), earnings_of=["source"])
    decisions = decide(plan(source, matching), conversion(upline=("maria", "olga", "petr", "rosa")))
    assert {each.beneficiary_id: each.outcome for each in decisions if each.rule.rule_id == "m"} == {
        "olga": Outcome.PAID, "petr": Outcome.CAPPED, "rosa": Outcome.CAPPED
    }  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(plans(), conversions())
def test_nothing_that_is_decided_is_larger(subject: Plan, order: Conversion) -> None:
    assert all(each.amount_minor <= MAX_AMOUNT_MINOR for each in decide(subject, order))
    assert all(
        each.outcome is not Outcome.CAPPED or Fraction(each.numerator, each.denominator) > MAX_AMOUNT_MINOR - 1
        for each in decide(subject, order)
    )


def test_what_an_old_plan_states_beyond_the_bound_is_paid_by_no_order() -> None:
    """Such amounts are forbidden now; a version that was stored before still has a meaning."""
    message = plan_pb2.Plan(
        assets=[usd()], rules=[rule(amount=fixed(100 * MAX_AMOUNT_MINOR))], rounding=plan_pb2.ROUNDING_MODE_DOWN
    )
    subject = read_plan("shop", 1, "USD", message, None, stored=True)
    for amount_minor in (100, MAX_AMOUNT_MINOR):
        assert outcomes(subject, conversion(amount_minor)) == [Outcome.CAPPED]
