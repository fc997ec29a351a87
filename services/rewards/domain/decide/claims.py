"""What one rule owes by itself: before groups, limits and shares."""

from fractions import Fraction

from services.rewards.domain.conversion import Conversion
from services.rewards.domain.decide.allotting import divide
from services.rewards.domain.decide.basis import Basis, basis_of, basis_of_lines
from services.rewards.domain.decide.decision import (
    AcrossTiers,
    Allotted,
    AtTier,
    Crossed,
    Decision,
    Outcome,
    Step,
    new_at_tier,
    new_decision,
)
from services.rewards.domain.decide.facts import Facts, counts
from services.rewards.domain.decide.seats import Seat, seats, verdict
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


def claims(plan: Plan, rule: Rule, facts: Facts) -> list[Decision]:
    """One decision a level, of a rule whose base is not EARNINGS."""
    refusal, steps = refused_entirely(rule, facts)
    basis = Basis(0, 1, 0, refusal, steps) if refusal else _basis(plan, rule, facts)
    return [_claim(plan, rule, facts, each, basis) for each in seats(rule, facts)]


def refused_entirely(rule: Rule, facts: Facts) -> tuple[Outcome | None, tuple[Step, ...]]:
    """Why a conversion is none of the rule's: its condition, then which of the buyer's it is, then how much of it is
    left."""
    if rule.when is not None and not rule.when.asks_for_people:
        refusal, steps = verdict(rule.when, facts, "", 0)
        if refusal is not None:
            return refusal, steps
    if rule.occurrence is not None and not _is_one_of(rule.occurrence, rule.rule_id, facts):
        return Outcome.OCCURRENCE, ()
    conversion = facts.conversion
    if rule.least_left_percent is not None and not (conversion.void or conversion.is_left(rule.least_left_percent)):
        return Outcome.TOO_LITTLE_LEFT, ()
    return None, ()


def _is_one_of(occurrence: Occurrence, rule_id: str, facts: Facts) -> bool:
    """Whether a conversion is one that the rule pays. Its condition is true already: it counts."""
    buyer_id = facts.conversion.buyer_id
    if occurrence.first and facts.snapshot.value(tallies.occurrence(rule_id), buyer_id) >= occurrence.first:
        return False
    if occurrence.nth and facts.snapshot.value(tallies.seen(rule_id), buyer_id) + 1 != occurrence.nth:
        return False
    within = occurrence.within_of_binding
    if within is None:
        return True
    occurred_at, bind_time = facts.conversion.occurred_at, facts.details.bind_time
    if occurrence.after_binding_only and facts.details.bound_for(occurred_at) is None:
        return False
    return bind_time is not None and occurred_at < bind_time + within


def refuse(rule: Rule, level: LevelAmount, person: str, outcome: Outcome, steps: tuple[Step, ...] = ()) -> Decision:
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


def at_tier(tiers: Tiers, levels: tuple[LevelAmount, ...], index: int, value: int) -> tuple[LevelAmount, AtTier]:
    """What a level gets where the counter stood at `value` before."""
    number = tiers.at(value)
    if not number:
        return levels[index], new_at_tier((tiers.counter_id, value, 0))
    return tiers.tiers[number - 1].levels[index], new_at_tier((tiers.counter_id, value, tiers.bounds[number - 1]))


def _basis(plan: Plan, rule: Rule, facts: Facts) -> Basis:
    if rule.base is _LINES or rule.table is not None:
        return basis_of_lines(plan, rule, facts)
    return basis_of(plan, rule, facts.conversion)


def _claim(plan: Plan, rule: Rule, facts: Facts, seat: Seat, basis: Basis) -> Decision:
    number, level, person, _, refusal, steps = seat
    if refusal is not None:
        return refuse(rule, level, person, refusal, steps)
    if basis.refusal is not None:
        return refuse(rule, level, person, basis.refusal, basis.steps)
    if (tiers := rule.tiers) is not None:
        if tiers.mode is _BONUS:
            return _bonus(plan, rule, facts, seat, tiers)
        value = facts.counter(tiers.counter_id, person)
        if tiers.mode is _NEXT:
            level, step = at_tier(tiers, rule.levels, number, value)
            steps = (*steps, step)
        else:
            level, across = _across_what_is_left(rule, tiers, number, value, facts.conversion)
            steps = (*steps, across)
    if rule.part is not None:
        return _part(plan, rule, rule.part, facts, seat, basis)
    # Not reduced to lowest terms: that takes longer than all of the rest.
    _, numerator, denominator, percent = level
    if percent is not None or rule.table is not None:
        numerator, denominator = numerator * basis.numerator, denominator * basis.denominator
    return rounded(rule, level, person, numerator, denominator, basis, plan.round, steps)


def _part(plan: Plan, rule: Rule, part: Part, facts: Facts, seat: Seat, basis: Basis) -> Decision:
    """A part of an allotment. Who else is paid makes no difference: what nobody takes is not paid."""
    allotment = part.allotment
    divided = facts.divided.get(allotment.allotment_id)
    if divided is None:
        divided = divide(plan, allotment, _basis_at_first(plan, rule, facts, basis), basis)
        facts.divided[allotment.allotment_id] = divided
    number = part.numbers[seat.number]
    part_minor = divided.parts_minor[number]
    weight, weights = allotment.weights[number], sum(allotment.weights, Fraction())
    step = Allotted(allotment.allotment_id, divided.at_first_minor, divided.left_minor, weight, weights, part_minor)
    _, numerator, denominator, percent = seat.level
    if percent is not None:
        numerator, denominator = numerator * basis.numerator, denominator * basis.denominator
    steps = (*seat.steps, step)
    return rounded(
        rule, seat.level, seat.person, numerator, denominator, basis, lambda _numerator, _denominator: part_minor, steps
    )


def _basis_at_first(plan: Plan, rule: Rule, facts: Facts, basis: Basis) -> Basis:
    """A rule's base before anything of the conversion was taken back."""
    if not facts.conversion.touched:
        return basis
    return _basis(plan, rule, Facts(plan, facts.conversion.whole, facts.snapshot))


def _across_what_is_left(
    rule: Rule, tiers: Tiers, index: int, value: int, conversion: Conversion
) -> tuple[LevelAmount, AcrossTiers]:
    """The level's share. Of the base LINES, the smallest that it had on the way from the whole conversion to what is left: the refund
    of a line that the rule does not take raises nothing. Between two bounds, a mean only rises or only falls."""
    left, whole = conversion.remaining_minor, conversion.amount_minor
    if rule.base is not _LINES or left == whole:
        return _across(tiers, rule.levels, index, value, left)
    volumes = [left, *(bound - value for bound in tiers.bounds if left < bound - value < whole), whole]
    found = [_across(tiers, rule.levels, index, value, volume) for volume in volumes]
    return min(found, key=lambda each: Fraction(each[0].numerator, each[0].denominator))


def _across(
    tiers: Tiers, levels: tuple[LevelAmount, ...], index: int, value: int, volume_minor: int
) -> tuple[LevelAmount, AcrossTiers]:
    """The level's mean share of a conversion that is split at the bounds."""
    parts = []
    for number, minor in tiers.parts(value, volume_minor):
        level = tiers.tiers[number - 1].levels[index] if number else levels[index]
        parts.append((level, minor))
    if not parts:
        return levels[index], AcrossTiers(tiers.counter_id, value, ())
    share = average([(Fraction(level.numerator, level.denominator), minor) for level, minor in parts])
    percent = average([(level.percent or Fraction(), minor) for level, minor in parts])
    told = tuple((minor, level.percent) for level, minor in parts)
    mean = LevelAmount(levels[index].level, share.numerator, share.denominator, percent)
    return mean, AcrossTiers(tiers.counter_id, value, told)


def _bonus(plan: Plan, rule: Rule, facts: Facts, seat: Seat, tiers: Tiers) -> Decision:
    value = facts.counter(tiers.counter_id, seat.person)
    counter = plan.counters[tiers.counter_id]
    adds = _adds(counter, facts, seat.person)
    crossed = tuple(
        number
        for number, bound in enumerate(tiers.bounds)
        if adds and value + adds >= bound and _is_due(rule, bound, counter, value, facts, seat.person)
    )
    steps = (*seat.steps, Crossed(tiers.counter_id, value, adds, crossed))
    if not crossed:
        return refuse(rule, seat.level, seat.person, Outcome.NO_TIER, steps)
    amount_minor = sum(tiers.tiers[number].levels[seat.number].numerator for number in crossed)
    level = LevelAmount(seat.level.level, amount_minor, 1, None)
    return Decision(rule, level, seat.person, Outcome.PAID, 0, amount_minor, 1, amount_minor, steps)


def _is_due(rule: Rule, bound: int, counter: Counter, value: int, facts: Facts, person: str) -> bool:
    """Whether a bonus whose bound is reached was not paid before: crossed just now, or crossed and then taken back."""
    period = facts.periods[counter.period]
    if facts.snapshot.value(tallies.bonus(rule.rule_id, bound), person, period):
        return False
    forfeited = facts.snapshot.value(tallies.forfeit(rule.rule_id, bound), person, period)
    return value < bound or bool(forfeited)


def _adds(counter: Counter, facts: Facts, person: str) -> int:
    """What the conversion adds to a person's counter."""
    if not counts(counter, facts) or person not in counter.of.people(facts.conversion, facts.link_owner_id):
        return 0
    if counter.measure is Measure.REFEREES:
        subject = tallies.pair(person, facts.conversion.buyer_id)
        if facts.snapshot.value(tallies.member(counter.counter_id), subject, facts.periods[counter.period]) > 0:
            return 0
    return counter.adds(facts.conversion)
