"""Claims: the amount that one rule owes by itself, before groups, limits and shares."""

from fractions import Fraction

from services.rewards.domain.conversion import Conversion
from services.rewards.domain.decide.allotting import divide
from services.rewards.domain.decide.basis import Basis, basis_of, basis_of_lines
from services.rewards.domain.decide.beneficiaries import Beneficiary, beneficiaries, verdict
from services.rewards.domain.decide.decision import (
    AllotmentStep,
    BonusStep,
    ConditionFailureStep,
    Decision,
    MarginalTiersStep,
    Outcome,
    Step,
    TierStep,
    new_decision,
    new_tier_step,
)
from services.rewards.domain.decide.inputs import OUT_OF_STEPS, Inputs, counts
from services.rewards.domain.plan.allotments import Part
from services.rewards.domain.plan.amounts import Base, LevelAmount
from services.rewards.domain.plan.counters import Counter, Measure
from services.rewards.domain.plan.occurrence import Occurrence
from services.rewards.domain.plan.plan import Plan, Rule
from services.rewards.domain.plan.rounding import Rounder
from services.rewards.domain.plan.tiers import TierMode, Tiers, average
from services.rewards.domain.tally import tallies

_PAID = Outcome.PAID  # in Python 3.11, to look up a member takes longer than to decide a level
_NEXT, _BONUS, _LINES = TierMode.NEXT, TierMode.BONUS, Base.LINES


def claims(plan: Plan, rule: Rule, inputs: Inputs) -> list[Decision]:
    """The decisions of a rule whose base is not EARNINGS, one for each level."""
    unpaid, steps = unpaid_as_a_whole(rule, inputs)
    basis = Basis(0, 1, 0, unpaid, steps) if unpaid else _basis(plan, rule, inputs)
    return [_claim(plan, rule, inputs, each, basis) for each in beneficiaries(rule, inputs)]


def unpaid_as_a_whole(rule: Rule, inputs: Inputs) -> tuple[Outcome | None, tuple[Step, ...]]:
    """Why a rule pays nothing for a conversion at any level: its condition, then which of the buyer's conversions it
    is, then how much of it is left."""
    if not inputs.reaches(rule):
        return Outcome.CONDITION_ERROR, (ConditionFailureStep(OUT_OF_STEPS),)
    if rule.when is not None and not rule.when.asks_for_people:
        unpaid, steps = verdict(rule.when, inputs, "", 0)
        if unpaid is not None:
            return unpaid, steps
    if rule.occurrence is not None and not _is_one_of(rule.occurrence, rule.rule_id, inputs):
        return Outcome.OCCURRENCE, ()
    conversion = inputs.conversion
    if rule.least_left_percent is not None and not (conversion.void or conversion.is_left(rule.least_left_percent)):
        return Outcome.TOO_LITTLE_LEFT, ()
    return None, ()


def _is_one_of(occurrence: Occurrence, rule_id: str, inputs: Inputs) -> bool:
    """Whether the conversion is one that the rule pays. The rule's condition is true, so that it counts."""
    buyer_id = inputs.conversion.buyer_id
    if occurrence.first and inputs.snapshot.value(tallies.occurrence(rule_id), buyer_id) >= occurrence.first:
        return False
    if occurrence.nth and inputs.snapshot.value(tallies.seen(rule_id), buyer_id) + 1 != occurrence.nth:
        return False
    within = occurrence.within_of_binding
    if within is None:
        return True
    occurred_at, bind_time = inputs.conversion.occurred_at, inputs.details.bind_time
    if occurrence.after_binding_only and inputs.details.bound_for(occurred_at) is None:
        return False
    return bind_time is not None and occurred_at < bind_time + within


def unpaid_decision(
    rule: Rule, level: LevelAmount, person: str, outcome: Outcome, steps: tuple[Step, ...] = ()
) -> Decision:
    """A decision that pays nothing."""
    return Decision(rule, level, person, outcome, 0, 0, 1, 0, steps)


def rounded(
    rule: Rule,
    level: LevelAmount,
    person: str,
    numerator: int,
    denominator: int,
    base: Basis,
    in_whole_units: Rounder,
    steps: tuple[Step, ...],
) -> Decision:
    """A decision that pays an exact amount, if anything is left of it in whole units."""
    amount_minor = in_whole_units(numerator, denominator)
    outcome = _PAID
    if amount_minor == 0:
        outcome = Outcome.NO_BASE if level.percent is not None and not base.numerator else Outcome.ROUNDS_TO_ZERO
    return new_decision((rule, level, person, outcome, base.minor, numerator, denominator, amount_minor, steps, False))


def at_tier(tiers: Tiers, levels: tuple[LevelAmount, ...], index: int, value: int) -> tuple[LevelAmount, TierStep]:
    """The amount of a level where the counter stood at `value` before."""
    number = tiers.at(value)
    if not number:
        return levels[index], new_tier_step((tiers.counter_id, value, 0))
    return tiers.tiers[number - 1].levels[index], new_tier_step((tiers.counter_id, value, tiers.bounds[number - 1]))


def _basis(plan: Plan, rule: Rule, inputs: Inputs) -> Basis:
    if rule.base is _LINES or rule.table is not None:
        return basis_of_lines(plan, rule, inputs)
    return basis_of(plan, rule, inputs.conversion)


def _claim(plan: Plan, rule: Rule, inputs: Inputs, beneficiary: Beneficiary, basis: Basis) -> Decision:
    level, person, steps = beneficiary.level, beneficiary.person, beneficiary.steps
    if beneficiary.unpaid is not None:
        return unpaid_decision(rule, level, person, beneficiary.unpaid, steps)
    if basis.unpaid is not None:
        return unpaid_decision(rule, level, person, basis.unpaid, basis.steps)
    if (tiers := rule.tiers) is not None:
        if tiers.mode is _BONUS:
            return _bonus(plan, rule, inputs, beneficiary, tiers)
        value = inputs.counter(tiers.counter_id, person)
        if tiers.mode is _NEXT:
            level, step = at_tier(tiers, rule.levels, beneficiary.number, value)
            steps = (*steps, step)
        else:
            level, across = _across_the_rest(rule, tiers, beneficiary.number, value, inputs.conversion)
            steps = (*steps, across)
    if rule.part is not None:
        return _part(plan, rule, rule.part, inputs, beneficiary, basis)
    # Not reduced to lowest terms: that takes longer than all of the rest.
    _, numerator, denominator, percent = level
    if percent is not None or rule.table is not None:
        numerator, denominator = numerator * basis.numerator, denominator * basis.denominator
    return rounded(rule, level, person, numerator, denominator, basis, plan.round, steps)


def _part(plan: Plan, rule: Rule, part: Part, inputs: Inputs, beneficiary: Beneficiary, basis: Basis) -> Decision:
    """A part of an allotment. Who else is paid makes no difference: a part without a beneficiary is not paid."""
    allotment = part.allotment
    divided = inputs.divided.get(allotment.allotment_id)
    if divided is None:
        divided = divide(plan, allotment, _basis_at_first(plan, rule, inputs, basis), basis)
        inputs.divided[allotment.allotment_id] = divided
    number = part.numbers[beneficiary.number]
    part_minor = divided.parts_minor[number]
    weight, weights = allotment.weights[number], sum(allotment.weights, Fraction())
    step = AllotmentStep(
        allotment.allotment_id, divided.at_first_minor, divided.left_minor, weight, weights, part_minor
    )
    _, numerator, denominator, percent = beneficiary.level
    if percent is not None:
        numerator, denominator = numerator * basis.numerator, denominator * basis.denominator
    steps = (*beneficiary.steps, step)
    return rounded(
        rule,
        beneficiary.level,
        beneficiary.person,
        numerator,
        denominator,
        basis,
        lambda _numerator, _denominator: part_minor,
        steps,
    )


def _basis_at_first(plan: Plan, rule: Rule, inputs: Inputs, basis: Basis) -> Basis:
    """A rule's base before anything of the conversion was taken back."""
    if not inputs.conversion.touched:
        return basis
    return _basis(plan, rule, Inputs(plan, inputs.conversion.whole, inputs.snapshot))


def _across_the_rest(
    rule: Rule, tiers: Tiers, index: int, value: int, conversion: Conversion
) -> tuple[LevelAmount, MarginalTiersStep]:
    """The level's share of a conversion that may have been refunded in part.

    On LINES it is the smallest share on the way from the whole conversion to the rest: the refund of a line that the
    rule does not pay for raises nothing. Between two bounds, a mean only rises or only falls.
    """
    left, whole = conversion.remaining_minor, conversion.amount_minor
    if rule.base is not _LINES or left == whole:
        return _across(tiers, rule.levels, index, value, left)
    volumes = [left, *(bound - value for bound in tiers.bounds if left < bound - value < whole), whole]
    found = [_across(tiers, rule.levels, index, value, volume) for volume in volumes]
    return min(found, key=lambda each: Fraction(each[0].numerator, each[0].denominator))


def _across(
    tiers: Tiers, levels: tuple[LevelAmount, ...], index: int, value: int, volume_minor: int
) -> tuple[LevelAmount, MarginalTiersStep]:
    """The level's mean share of a conversion that is split at the bounds."""
    parts = []
    for number, minor in tiers.parts(value, volume_minor):
        level = tiers.tiers[number - 1].levels[index] if number else levels[index]
        parts.append((level, minor))
    if not parts:
        return levels[index], MarginalTiersStep(tiers.counter_id, value, ())
    share = average([(Fraction(level.numerator, level.denominator), minor) for level, minor in parts])
    percent = average([(level.percent or Fraction(), minor) for level, minor in parts])
    percents = tuple((minor, level.percent) for level, minor in parts)
    mean = LevelAmount(levels[index].level, share.numerator, share.denominator, percent)
    return mean, MarginalTiersStep(tiers.counter_id, value, percents)


def _bonus(plan: Plan, rule: Rule, inputs: Inputs, beneficiary: Beneficiary, tiers: Tiers) -> Decision:
    value = inputs.counter(tiers.counter_id, beneficiary.person)
    counter = plan.counters[tiers.counter_id]
    adds = _adds(counter, inputs, beneficiary.person)
    crossed = tuple(
        number
        for number, bound in enumerate(tiers.bounds)
        if adds and value + adds >= bound and _is_due(rule, bound, counter, value, inputs, beneficiary.person)
    )
    steps = (*beneficiary.steps, BonusStep(tiers.counter_id, value, adds, crossed))
    if not crossed:
        return unpaid_decision(rule, beneficiary.level, beneficiary.person, Outcome.NO_TIER, steps)
    amount_minor = sum(tiers.tiers[number].levels[beneficiary.number].numerator for number in crossed)
    level = LevelAmount(beneficiary.level.level, amount_minor, 1, None)
    return Decision(rule, level, beneficiary.person, Outcome.PAID, 0, amount_minor, 1, amount_minor, steps)


def _is_due(rule: Rule, bound: int, counter: Counter, value: int, inputs: Inputs, person: str) -> bool:
    """Whether a bonus whose bound is reached was not paid before: crossed just now, or crossed and then taken back."""
    period = inputs.periods[counter.period]
    if inputs.snapshot.value(tallies.bonus(rule.rule_id, bound), person, period):
        return False
    forfeited = inputs.snapshot.value(tallies.forfeit(rule.rule_id, bound), person, period)
    return value < bound or bool(forfeited)


def _adds(counter: Counter, inputs: Inputs, person: str) -> int:
    """How much the conversion adds to a person's counter."""
    if not counts(counter, inputs) or person not in counter.of.people(inputs.conversion, inputs.link_owner_id):
        return 0
    if counter.measure is Measure.REFEREES:
        subject = tallies.pair(person, inputs.conversion.buyer_id)
        if inputs.snapshot.value(tallies.member(counter.counter_id), subject, inputs.periods[counter.period]) > 0:
            return 0
    return counter.adds(inputs.conversion)
