"""Lines of an order as the base: chosen ones, and tables by what they are."""

from dataclasses import replace

from upline.rewards.v1 import plan_pb2

from services.rewards.domain.conversion import Reversal, after
from services.rewards.domain.decide.decision import Outcome
from services.rewards.domain.details import Details, Line
from tests.unit.rewards.plans import MOMENT, conversion, counter, detailed, outcomes, paid, percent, plan, rule, upline

LINES = plan_pb2.AMOUNT_BASE_LINES
ORDER = detailed(
    Details(
        lines=[
            Line("1", "boot", "shoes", 6_000, {"tier": "a"}),
            Line("2", "lace", "extras", 1_000, {}),
            Line("3", "bag", "gifts", 0, {}),
            Line("4", "sock", "shoes", 3_000, {"tier": "b"}),
        ]
    )
)


def back(**taken: int) -> Reversal:
    """A reversal of lines, by `line_` and id."""
    lines = tuple((name.removeprefix("line_"), minor) for name, minor in taken.items())
    return Reversal("shop", "r1", "c1", sum(taken.values()), False, MOMENT, lines)


def table(by: str, otherwise: str = "", **rows: str | int) -> plan_pb2.Amount:
    read = [
        plan_pb2.TableRow(value=value, percent=pays)
        if isinstance(pays, str)
        else plan_pb2.TableRow(value=value, amount_minor=pays)
        for value, pays in rows.items()
    ]
    rest = plan_pb2.TableRow(percent=otherwise) if otherwise else None
    return plan_pb2.Amount(table=plan_pb2.TableAmount(by=by, rows=read, otherwise=rest))


def test_a_percentage_of_the_lines_that_count() -> None:
    subject = plan(rule(amount=percent("10", LINES), lines="line.category == 'shoes'"))
    assert paid(subject, ORDER) == [("r", "maria", 900)]
    assert paid(subject, after(ORDER, [back(line_1=2_000, line_2=1_000)])) == [("r", "maria", 700)]
    assert paid(plan(rule(amount=percent("10", LINES))), ORDER) == [("r", "maria", 1_000)]
    assert outcomes(subject, conversion()) == [Outcome.NO_BASE]
    of_the_order = plan(rule(amount=percent("10", LINES), lines="event.type == 'order'"))
    assert paid(of_the_order, ORDER) == [("r", "maria", 1_000)]
    broken = plan(rule(amount=percent("10", LINES), lines="line.attributes.tier == 'a'"))
    assert outcomes(broken, ORDER) == [Outcome.CONDITION_ERROR]


def test_a_table_pays_each_line_by_what_it_is() -> None:
    subject = plan(rule(to=upline(1, 2), amount=table("category", shoes="10", gifts=50)))
    assert paid(subject, ORDER) == [("r", "maria", 950), ("r", "olga", 950)]
    assert paid(plan(rule(amount=table("sku", otherwise="1", boot="5"))), ORDER) == [("r", "maria", 340)]
    assert paid(plan(rule(amount=table("tier", a="10"))), ORDER) == [("r", "maria", 600)]


def test_a_fixed_amount_of_a_line_stays_while_anything_of_it_is_left() -> None:
    subject = plan(rule(amount=table("sku", boot=500, bag=50)))
    assert paid(subject, after(ORDER, [back(line_1=5_999)])) == [("r", "maria", 550)]
    assert paid(subject, after(ORDER, [back(line_1=6_000)])) == [("r", "maria", 50)]
    assert outcomes(subject, replace(ORDER, remaining_minor=0, void=True)) == [Outcome.REVERSED]


def test_percentages_and_fixed_amounts_of_one_table_are_one_reward() -> None:
    mixed = plan(rule(amount=table("sku", otherwise="0.01", boot="33.33", lace=50)))
    lines = [Line("1", "boot", "", 101, {}), Line("2", "lace", "", 9, {}), Line("3", "lace", "", 9, {})]
    order = detailed(Details(lines=[*lines, Line("4", "sock", "", 3_400, {})]), 3_519)
    # 33.6633 + 2 × 50 + 0.34 = 134.0033: exactly summed, then rounded down. Each by itself would be 133.
    assert paid(mixed, order) == [("r", "maria", 134)]
    assert paid(mixed, after(order, [back(line_2=9)])) == [("r", "maria", 84)]
    assert paid(mixed, after(order, [back(line_1=101, line_2=8, line_4=3_400)])) == [("r", "maria", 100)]
    assert paid(mixed, after(order, [back(line_1=101, line_2=9, line_3=9, line_4=3_400)])) == []


def test_a_factor_of_a_tier_is_of_the_whole_table() -> None:
    step = plan_pb2.Tier(factor="2")
    step.bound = 1
    by_volume = plan_pb2.Tiers(counter="volume", mode=plan_pb2.TIER_MODE_NEXT, tiers=[step])
    subject = plan(
        rule(amount=table("category", shoes="10")),
        rule("b", amount=table("category", shoes="10"), tiers=by_volume),
        counters=[counter()],
    )
    assert paid(subject, ORDER) == [("r", "maria", 900), ("b", "maria", 900)]
