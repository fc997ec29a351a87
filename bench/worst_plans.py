"""The dearest plans that are published, and the largest orders for them."""

from collections.abc import Iterable

from upline.attribution.v1 import conversion_pb2
from upline.rewards.v1 import plan_pb2
from upline.type.v1 import asset_pb2, money_pb2

LEVELS = 64
RULES = 200
COSTLY_CONDITIONS = 15
DIGITS = 9
LINE_CONDITIONS = 40
LINE_MINOR = 2_000


def costly_conditions() -> plan_pb2.Plan:
    """A few rules, each with a condition that takes as many steps as one may."""
    return _plan(_rule(f"r{number}", 1, "1", _costly(number)) for number in range(COSTLY_CONDITIONS))


def many_conditions() -> plan_pb2.Plan:
    """As many rules and levels as there may be, each with a condition on each person, of which few pay."""
    return _plan(
        _rule(f"r{number}", LEVELS, "0.01", f"beneficiary.attributes['rank'] == 'rank-{number}'")
        for number in range(RULES)
    )


def many_rewards() -> plan_pb2.Plan:
    """A plan that pays each of its rules at each of its levels: as many rewards for one order as there can be."""
    return _plan(_rule(f"r{number}", LEVELS, "0.1", "") for number in range(RULES))


def conditions_on_lines() -> plan_pb2.Plan:
    """Rules that ask for each of the lines."""
    return _plan(
        _rule(f"r{number}", 1, "1", f"lines.exists(l, l.attributes['k{number % 20}'] == 'none')")
        for number in range(40)
    )


def large_order(conversion_id: str, buyer_id: str, lines: int = 500) -> conversion_pb2.ConversionDraft:
    """An order with so many lines that each have all of their attributes."""
    attributes = {f"k{number}": "value-" * 4 for number in range(20)}
    return conversion_pb2.ConversionDraft(
        conversion_id=conversion_id,
        event_type="order",
        amount=money_pb2.Money(currency_code="USD", amount_minor=LINE_MINOR * lines),
        buyer_id=buyer_id,
        lines=[
            conversion_pb2.ConversionLine(
                line_id=f"l{number}", sku="sku", category="wine", amount_minor=LINE_MINOR, attributes=attributes
            )
            for number in range(lines)
        ],
    )


def _costly(number: int) -> str:
    digits = ", ".join(map(str, range(DIGITS)))
    times = " && ".join(
        f"timestamp('20{10 + each}-01-01T00:00:{number:02}Z') < event.occurred_at" for each in range(10)
    )
    return f"[{digits}].all(a, [{digits}].all(b, [{digits}].all(c, [{digits}].all(d, {times}))))"


def _plan(rules: Iterable[plan_pb2.Rule]) -> plan_pb2.Plan:
    return plan_pb2.Plan(assets=[asset_pb2.Asset(code="USD", kind=asset_pb2.ASSET_KIND_MONEY)], rules=rules)


def _rule(rule_id: str, levels: int, percent: str, when: str) -> plan_pb2.Rule:
    return plan_pb2.Rule(
        rule_id=rule_id,
        on=["order"],
        asset="USD",
        to=plan_pb2.Beneficiary(upline=plan_pb2.UplineLevels(from_level=1, to_level=levels)),
        amount=plan_pb2.Amount(per_level=plan_pb2.PerLevelAmount(percents=[percent] * levels)),
        when=when,
    )
