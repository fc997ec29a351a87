"""Warnings of what is allowed in a plan and probably not meant."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from upline.rewards.v1 import plan_pb2

from services.rewards.domain.check.lint import PlanWarning, WarningKind
from services.rewards.domain.check.lint import lint as lint_in_currency
from services.rewards.domain.check.rounding import overpaid
from services.rewards.domain.check.worst_case import worst_cases
from services.rewards.domain.plan.plan import Plan
from tests.unit.rewards.plans import buyer, counter, fixed, percent, plan, points, rule, tiers, upline, usd

NEXT, MARGINAL, BONUS = plan_pb2.TIER_MODE_NEXT, plan_pb2.TIER_MODE_MARGINAL, plan_pb2.TIER_MODE_BONUS
PAID_FOR = "event.amount_minor > 0"


def lint(subject: Plan) -> list[PlanWarning]:
    return lint_in_currency(subject, 2)


def found(subject: Plan) -> list[tuple[WarningKind, str]]:
    return [(each.kind, each.path) for each in lint(subject)]


def test_a_plan_without_tricks_is_clean() -> None:
    assert lint(plan(rule(), rule("cashback", to=buyer(), amount=percent("5"), asset="points"))) == []


def test_more_than_the_order_is_paid() -> None:
    subject = plan(rule(to=upline(1, 3), amount=percent("30")), rule("b", to=buyer(), amount=percent("15")))
    (warned,) = lint(subject)
    assert warned.kind is WarningKind.PAYS_MORE_THAN_THE_ORDER
    assert "for one order up to 105 % of the order is paid" in warned.text


HALF_UP, HALF_EVEN, DOWN = (getattr(plan_pb2, f"ROUNDING_MODE_{each}") for each in ("HALF_UP", "HALF_EVEN", "DOWN"))


def shares(*percents: str, **fields: object) -> list[plan_pb2.Rule]:
    """Rules that divide one order."""
    return [
        rule(f"r{number}", to=upline(number, number), amount=percent(each), **fields)
        for number, each in enumerate(percents, 1)
    ]


@pytest.mark.parametrize(
    ("percents", "asset", "rounding", "told"),
    [
        (("60", "35.5", "4.5"), "points", HALF_UP, "of an order worth 100 points they pay 101"),
        (("50", "50"), "USD", HALF_UP, "of an order worth 1.01 USD they pay 1.02"),
        (("50", "50"), "USD", HALF_EVEN, "of an order worth 1.03 USD they pay 1.04"),
        (("33.33", "33.33", "33.33"), "USD", HALF_EVEN, "they pay"),
        (("99.9999", "0.0001"), "USD", HALF_UP, "of an order worth 5000.00 USD they pay 5000.01"),
    ],
)
def test_parts_that_round_to_more_than_the_whole(
    percents: tuple[str, ...], asset: str, rounding: int, told: str
) -> None:
    (warned,) = lint(plan(*shares(*percents, asset=asset), rounding=rounding))
    assert (warned.kind, warned.path) == (WarningKind.PARTS_MORE_THAN_THE_WHOLE, "plan.rules[0].amount")
    names = " and ".join(f"'r{number}'" for number in range(1, len(percents) + 1))
    assert warned.text.startswith(f"rules {names} round one by one")
    assert told in warned.text
    assert warned.text.endswith("divide an allotment by `allot`, or round DOWN")


def test_the_levels_of_one_rule_and_margins_and_lines_are_looked_at_too() -> None:
    amount = plan_pb2.Amount(per_level=plan_pb2.PerLevelAmount(percents=["50", "50"], of=plan_pb2.AMOUNT_BASE_MARGIN))
    (warned,) = lint(plan(rule(to=upline(1, 2), amount=amount), rounding=HALF_UP))
    assert "the levels of rule 'r' round one by one, so that of a margin worth 1.01 USD" in warned.text
    of_lines = [rule(each, amount=percent("50", plan_pb2.AMOUNT_BASE_LINES), lines="line.sku == 'a'") for each in "ab"]
    (warned,) = lint(plan(*of_lines, rounding=HALF_UP))
    assert "of lines worth 1.01 USD" in warned.text


@pytest.mark.parametrize(
    ("rules", "rounding"),
    [
        (shares("60", "35.5", "4.5"), DOWN),
        (shares("30", "30", "30"), HALF_UP),
        (shares("5", "2", "1"), HALF_UP),
        (shares("100"), HALF_UP),
        ([rule("a", amount=percent("50")), rule("b", amount=percent("50", plan_pb2.AMOUNT_BASE_MARGIN))], HALF_UP),
        ([rule("a", amount=percent("50")), rule("b", amount=percent("50"), asset="points")], HALF_UP),
        ([rule("a", amount=percent("50")), rule("b", on=["renewal"], amount=percent("50"))], HALF_UP),
        ([rule("a", amount=percent("50"), group="g"), rule("b", amount=percent("50"), group="g")], HALF_UP),
        (
            [
                rule("a", amount=percent("50"), when="event.new_customer"),
                rule("b", amount=percent("50"), when="!event.new_customer"),
            ],
            HALF_UP,
        ),
    ],
)
def test_no_false_alarm_of_parts(rules: list[plan_pb2.Rule], rounding: int) -> None:
    assert lint(plan(*rules, rounding=rounding)) == []


def test_an_asset_that_divides_evenly_and_an_allotment_are_no_alarm() -> None:
    finer = plan(*shares("50", "50", asset="points"), assets=[points(digits=3)], rounding=HALF_UP)
    assert lint(finer) == []
    part = plan_pb2.Amount(allot=plan_pb2.AllotAmount(allotment="pot", weights=["1"]))
    both = [rule("a", to=buyer(), amount=part), rule("b", amount=part)]
    pot = plan_pb2.Allotment(allotment_id="pot", asset="USD", percent="100")
    assert lint(plan(*both, allotments=[pot], rounding=HALF_UP)) == []


@given(
    st.lists(st.integers(1, 9_999), min_size=2, max_size=4).filter(lambda parts: sum(parts) <= 10_000),
    st.sampled_from([HALF_UP, HALF_EVEN]),
    st.lists(st.integers(100, 1_099), min_size=20, max_size=20),
)
def test_what_is_told_of_parts_is_so_and_of_ordinary_amounts_all_is_told(
    parts: list[int], rounding: int, wholes: list[int]
) -> None:
    subject = plan(*shares(*(f"{each / 100:.2f}" for each in parts)), rounding=rounding)
    found = list(overpaid(subject))
    paid = {
        whole: sum(subject.round(each * whole, 10_000) for each in parts)
        for whole in [*wholes, *(each.whole_minor for each in found)]
    }
    for each in found:
        assert each.paid_minor == paid[each.whole_minor] > each.whole_minor >= 100
    if not found:
        assert all(paid[whole] <= whole for whole in wholes)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("event.new_customer", "!event.new_customer"),
        ("event.amount_minor < 1000", "event.amount_minor >= 1000"),
        ("buyer.attributes['tier'] == 'gold'", "buyer.attributes['tier'] in ['silver', 'bronze']"),
        ("event.channel == 'ads'", "event.channel != 'ads' && event.weekday < 6"),
        ("'promo' in event.attributes", "!has(event.attributes.promo)"),
        (
            "event.occurred_at < timestamp('2026-06-01T00:00:00Z')",
            "event.occurred_at >= timestamp('2026-06-01T00:00:00Z')",
        ),
        ("level == 1", "level == 2"),
        ("counters.sales < 10", "counters.sales >= 10"),
        ("beneficiary.attributes['kind'] == 'a'", "beneficiary.attributes['kind'] == 'b'"),
    ],
)
def test_what_excludes_each_other_is_not_added_up(one: str, other: str) -> None:
    both = [rule("a", when=one, amount=percent("60")), rule("b", when=other, amount=percent("55"))]
    sales = counter("sales", plan_pb2.MEASURE_CONVERSIONS)
    subject = plan(*both, counters=[sales] if "counters" in one else [])
    assert WarningKind.PAYS_MORE_THAN_THE_ORDER not in {finding for finding, _ in found(subject)}
    assert worst_cases(subject)["order"].order_percent == 60


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("event.new_customer", "buyer.bound"),
        ("event.amount_minor <= 1000", "event.amount_minor >= 1000"),
        ("buyer.attributes['tier'] == 'gold'", "buyer.attributes['place'] == 'silver'"),
        ("event.amount_minor % 2 == 0", "event.amount_minor % 2 == 1"),
        ("event.code.startsWith('a')", "event.code.startsWith('b')"),
    ],
)
def test_what_can_be_true_at_once_or_is_not_known_is_added_up(one: str, other: str) -> None:
    subject = plan(rule("a", when=one, amount=percent("60")), rule("b", when=other, amount=percent("55")))
    assert found(subject) == [(WarningKind.PAYS_MORE_THAN_THE_ORDER, "plan.rules")]


def test_people_are_told_apart_by_where_they_stand() -> None:
    gold, silver = ("beneficiary.attributes['kind'] == 'gold'", "beneficiary.attributes['kind'] == 'silver'")
    one, other = (
        rule("a", when=gold, amount=percent("60")),
        rule("b", to=upline(2, 2), when=silver, amount=percent("55")),
    )
    assert found(plan(one, other)) == [(WarningKind.PAYS_MORE_THAN_THE_ORDER, "plan.rules")]
    by_level = rule("a", to=upline(1, 3), when="level == 1", amount=percent("60"))
    assert found(plan(by_level)) == []


def test_of_three_the_dearest_two_that_go_together_are_added_up() -> None:
    subject = plan(
        rule("small", when="event.amount_minor < 1000", amount=percent("30")),
        rule("large", when="event.amount_minor >= 1000", amount=percent("50")),
        rule("huge", when="event.amount_minor >= 5000", amount=percent("25")),
        rule("other", when="event.new_customer", amount=percent("10")),
    )
    assert worst_cases(subject)["order"].order_percent == 85


def test_too_many_combinations_are_all_taken_to_be_true() -> None:
    keys = [f"event.attributes['k{number}'] == 'v'" for number in range(9)]
    both = (
        rule("a", when=" || ".join(keys), amount=percent("60")),
        rule("b", when=f"!({keys[0]})", amount=percent("60")),
    )
    assert worst_cases(plan(*both))["order"].order_percent == 120


def test_what_a_matching_rule_costs_is_told_in_its_own_asset() -> None:
    match = percent("50", plan_pb2.AMOUNT_BASE_EARNINGS)
    subject = plan(
        rule("task", to=buyer(), amount=fixed(200), when=PAID_FOR),
        rule("match", amount=match, earnings_of=["task"], asset="points"),
        assets=[usd(), points(digits=1, per_unit="3")],
    )
    # Half of 2.00 USD, at three points for one: 3.0 points.
    assert worst_cases(subject)["order"].fixed_minor == {"USD": 200, "points": 30}


def test_a_tier_of_volume_is_told_in_whole_units() -> None:
    subject = plan(rule(tiers=tiers("volume", NEXT, (1_000_000, "15"), (2_000_050, "12"))), counters=[counter()])
    (warned,) = lint(subject)
    assert warned.text == "rule 'r' pays less from 20000.50 USD on than below it"


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"when": "event.amount_minor > 5 && event.amount_minor < 6"}, "when"),
        ({"when": "event.code == 'a' && event.code == 'b'"}, "when"),
        ({"when": "false"}, "when"),
        ({"when": "event.type == 'deposit'"}, "when"),
        ({"when": "level == 2"}, "when"),
        ({"when": "event.hour > 23 || event.weekday == 0"}, "when"),
        ({"qualification": plan_pb2.Qualification(when="level < 0")}, "qualification.when"),
    ],
)
def test_what_is_never_true_never_matches(fields: dict[str, object], path: str) -> None:
    assert found(plan(rule(**fields))) == [(WarningKind.NEVER_MATCHES, f"plan.rules[0].{path}")]


@pytest.mark.parametrize("when", ["event.type == 'order'", "level == 1", "event.amount_minor < 0", "event.hour == 23"])
def test_what_may_be_true_may_match(when: str) -> None:
    assert lint(plan(rule(when=when))) == []


def test_days_that_mean_two_things_are_told_with_what_to_ask_for() -> None:
    asks = "buyer.bound && buyer.days_since_bind < 30"
    counted = counter(when=asks)
    subject = plan(
        rule(when=f"{asks} && counters.volume > 5", qualification=plan_pb2.Qualification(when=asks)), counters=[counted]
    )
    warned = lint(subject)
    assert [each.path for each in warned] == [
        "plan.counters[0].when",
        "plan.rules[0].when",
        "plan.rules[0].qualification.when",
    ]
    assert {each.kind for each in warned} == {WarningKind.AMBIGUOUS_DAYS}
    assert "ask for `buyer.days_bound`" in warned[0].text
    assert lint(plan(rule(when="buyer.days_bound < 30"))) == []


def test_earnings_of_other_events_are_never_earned() -> None:
    amount = percent("10", plan_pb2.AMOUNT_BASE_EARNINGS)
    subject = plan(rule("task", on=["task"]), rule("match", amount=amount, earnings_of=["task"]))
    assert found(subject) == [(WarningKind.NEVER_MATCHES, "plan.rules[1].on")]


@pytest.mark.parametrize(
    ("counted", "to"),
    [
        (counter("sales", plan_pb2.MEASURE_CONVERSIONS, on=["deposit"]), upline(1, 1)),
        (counter("sales", plan_pb2.MEASURE_CONVERSIONS), buyer()),
        (counter("sales", plan_pb2.MEASURE_CONVERSIONS), upline(2, 3)),
        (counter("sales", plan_pb2.MEASURE_REFEREES, of=buyer()), buyer()),
    ],
)
def test_a_bound_that_no_conversion_crosses(counted: plan_pb2.Counter, to: plan_pb2.Beneficiary) -> None:
    subject = plan(rule(to=to, amount=None, tiers=tiers("sales", BONUS, (2, 5)), when=PAID_FOR), counters=[counted])
    assert found(subject) == [(WarningKind.UNREACHABLE_TIER, "plan.rules[0].tiers.tiers[0]")]


def test_a_tier_that_pays_less() -> None:
    subject = plan(rule(tiers=tiers("volume", NEXT, (10, "15"), (20, "12"))), counters=[counter()])
    assert found(subject) == [(WarningKind.TIER_PAYS_LESS, "plan.rules[0].tiers.tiers[1]")]


def test_what_competes_in_different_units() -> None:
    subject = plan(rule("a", amount=fixed(500), group="g", when=PAID_FOR), rule("b", group="g"))
    (warned,) = lint(subject)
    assert warned.kind is WarningKind.COMPETING_UNITS
    assert "a fixed amount in USD, a percentage of order in USD" in warned.text
    subject = plan(rule("a", asset="points", group="g"), rule("b", group="g"), assets=[usd(), points()])
    assert found(subject) == [(WarningKind.COMPETING_UNITS, "plan.rules[0].group")]
    assert found(plan(rule(group="g"))) == [(WarningKind.LONELY_GROUP, "plan.rules[0].group")]


def test_what_can_be_had_for_nothing() -> None:
    gift = rule(on=["sign_up"], amount=fixed(500))
    assert found(plan(gift)) == [(WarningKind.COSTS_NOTHING_TO_TRIGGER, "plan.rules[0]")]
    capped = rule(on=["sign_up"], amount=fixed(500), caps=[plan_pb2.Cap(scope=2, amount_minor=5_000)])
    assert lint(plan(capped)) == []
    budget = plan_pb2.Budget(budget_id="b", asset="USD", amount_minor=100_000)
    assert lint(plan(gift, budgets=[budget])) == []
    assert lint(plan(rule(amount=fixed(500), when=PAID_FOR))) == []


def test_a_counter_that_nothing_asks_for() -> None:
    assert found(plan(rule(), counters=[counter()])) == [(WarningKind.UNUSED_COUNTER, "plan.counters[0]")]
    assert lint(plan(rule(when="counters.volume > 5"), counters=[counter()])) == []


def test_who_gives_away_what_others_are_paid() -> None:
    chosen = plan_pb2.Share(chosen=plan_pb2.ChosenShare(min_percent="0", max_percent="100", default_percent="0"))
    assert found(plan(rule(to=upline(1, 2), share=chosen))) == [(WarningKind.SHARE_OF_OTHERS, "plan.rules[0].share")]
    assert lint(plan(rule(share=chosen))) == []


def test_the_worst_case_takes_every_level_every_tier_and_the_dearest_of_a_group() -> None:
    row = plan_pb2.TableRow(value="x", percent="7")
    subject = plan(
        rule("own", to=upline(1, 2), amount=percent("5"), tiers=tiers("volume", MARGINAL, (10, "8"))),
        rule("task", to=buyer(), amount=percent("10")),
        rule("match", to=upline(1, 2), amount=percent("20", plan_pb2.AMOUNT_BASE_EARNINGS), earnings_of=["task"]),
        rule("one", amount=fixed(300), group="g"),
        rule("two", amount=fixed(500), group="g"),
        rule("margin", amount=percent("50", plan_pb2.AMOUNT_BASE_MARGIN)),
        rule("table", amount=plan_pb2.Amount(table=plan_pb2.TableAmount(by="sku", rows=[row]))),
        rule("bonus", amount=None, tiers=tiers("volume", BONUS, (10, 40), (20, 2))),
        rule("other", on=["deposit"]),
        counters=[counter()],
    )
    cost = worst_cases(subject)["order"]
    # 2 levels at 8 %, 10 % and two levels that get a fifth of it, 7 % of every line.
    assert cost.order_percent == 16 + 10 + 4 + 7
    assert cost.margin_percent == 50
    assert cost.fixed_minor == {"USD": 500 + 42}
    assert worst_cases(subject)["deposit"].order_percent == Fraction(10)


def test_the_worst_order_has_as_many_lines_as_an_order_can_have() -> None:
    rows = [plan_pb2.TableRow(value="domain", amount_minor=200), plan_pb2.TableRow(value="hosting", percent="30")]
    mixed = plan_pb2.Amount(table=plan_pb2.TableAmount(by="sku", rows=rows))
    cost = worst_cases(plan(rule(to=upline(1, 2), amount=mixed)))["order"]
    assert (cost.order_percent, cost.fixed_minor) == (60, {"USD": 2 * 500 * 200})
