"""To decide a conversion takes a bounded number of steps: by the plan, and by the conversion."""

import pytest
from upline.rewards.v1 import plan_pb2

from chassis.errors import UplineError
from services.rewards.domain.decide.decision import Outcome
from services.rewards.domain.decide.evaluation import decide, decide_whole
from services.rewards.domain.decide.inputs import Inputs
from services.rewards.domain.details import Details, Line
from services.rewards.domain.plan.plan import MAX_CONVERSION_STEPS, MAX_LEVEL, Plan
from services.rewards.domain.tally.snapshot import EMPTY
from services.rewards.wire.conditions import CelCondition
from services.rewards.wire.plans import read_plan
from tests.unit.rewards.plans import detailed, percent, plan, rule, upline, usd

PERSONAL = "level > 0 && lines.exists(l, l.category == 'wine')"
ATTRIBUTES = {f"attribute-{number}": "red" for number in range(20)}
LARGE = Details(lines=[Line(str(number), "sku", "wine", 1, ATTRIBUTES) for number in range(500)])


def stored(*rules: plan_pb2.Rule) -> Plan:
    return read_plan("shop", 1, "USD", plan_pb2.Plan(assets=[usd()], rules=rules), None, stored=True)


def slow(count: int) -> list[plan_pb2.Rule]:
    """Rules each of which asks about every line again for every person."""
    return [rule(f"r{number}", to=upline(1, MAX_LEVEL), when=PERSONAL) for number in range(count)]


def test_a_plan_that_takes_too_long_is_refused_with_the_rule_and_the_figure() -> None:
    with pytest.raises(UplineError) as caught:
        plan(*slow(200))
    (violation,) = caught.value.violations
    assert violation.field == "plan.rules[0]"
    assert violation.description == (
        "to decide an event 'order' may take 2,651,660,800 steps, for all rules with their levels and conditions"
        " together; at most 10,000,000. rule 'r0' takes the most, 13,258,304: ask for the conversion rather than for"
        " each person or line, use fewer levels, or a table instead of many rules"
    )


def test_rewards_of_rewards_of_everybody_are_refused() -> None:
    sources = [rule(f"s{number}", to=upline(1, MAX_LEVEL)) for number in range(20)]
    names = [each.rule_id for each in sources]
    takers = [
        rule(f"t{number}", to=upline(1, MAX_LEVEL), amount=percent("0.01", plan_pb2.AMOUNT_BASE_EARNINGS),
             earnings_of=names)
        for number in range(20)
    ]  # fmt: skip
    with pytest.raises(UplineError, match=r"rule 't0' takes the most, 4,096,000"):
        plan(*sources, *takers)


def test_many_rules_with_conditions_on_each_person_are_published() -> None:
    rules = [
        rule(
            f"r{number}",
            to=upline(1, MAX_LEVEL),
            when="beneficiary.attributes['rank'] == 'gold'",
            amount=percent("0.01"),
        )
        for number in range(200)
    ]
    read = plan(*rules)
    assert not read.is_costly("order")


def test_a_stored_plan_pays_by_what_it_says_as_long_as_the_conversion_is_small_enough() -> None:
    read = stored(*slow(20))
    small = detailed(Details(lines=[Line("1", "sku", "wine", 1, {})]))
    assert read.is_costly("order")
    assert {each.outcome for each in decide(read, small) if each.beneficiary_id} == {Outcome.PAID}


def test_what_a_conversion_of_a_stored_plan_takes_ends_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[int] = []
    evaluate = CelCondition.holds

    def counted(self: CelCondition, values: dict[str, object]) -> bool:
        steps.append(self.steps(values))
        return evaluate(self, values)

    monkeypatch.setattr(CelCondition, "holds", counted)
    cheap = rule("cheap", when="level == 1")
    read = stored(*slow(100), cheap)
    decisions = decide(read, detailed(LARGE))
    assert 0 < sum(steps) <= MAX_CONVERSION_STEPS
    outcomes = {each.rule.rule_id: each for each in decisions if each.beneficiary_id}
    assert outcomes["r0"].outcome is outcomes["cheap"].outcome is Outcome.PAID
    assert outcomes["r99"].outcome is Outcome.CONDITION_ERROR
    assert "10,000,000 steps at most" in str(outcomes["r99"].steps)


def test_what_is_evaluated_first_makes_no_difference() -> None:
    rules = [rule(f"r{number}", when="lines.exists(l, l.category == 'wine')") for number in range(100)]
    read, large = stored(*rules), detailed(LARGE)
    inputs = Inputs(read, large, EMPTY)
    inputs.evaluate(each.when for each in reversed(read.rules) if each.when is not None)
    ahead = [(each.rule.rule_id, each.outcome) for each in decide_whole(read, inputs)]
    assert ahead == [(each.rule.rule_id, each.outcome) for each in decide(read, large)]
    assert {Outcome.PAID, Outcome.CONDITION_ERROR} == {outcome for _, outcome in ahead}
