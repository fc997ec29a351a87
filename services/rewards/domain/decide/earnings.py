"""Base EARNINGS: the amount that a participant earns for a conversion is the base of what their upline earns."""

from collections.abc import Iterator, Sequence
from fractions import Fraction

from services.rewards.domain.decide.basis import Basis
from services.rewards.domain.decide.beneficiaries import Beneficiary, beneficiaries
from services.rewards.domain.decide.claims import at_tier, rounded, unpaid_as_a_whole, unpaid_decision
from services.rewards.domain.decide.decision import Decision, EarningsStep, Outcome, Step
from services.rewards.domain.decide.inputs import Inputs
from services.rewards.domain.plan.amounts import LevelAmount
from services.rewards.domain.plan.audience import BUYER_LEVEL
from services.rewards.domain.plan.plan import Plan, Rule


class _Match:
    """The amount that one rule owes to one ancestor, from everybody below them who earned."""

    def __init__(self, person: str, distance: int) -> None:
        self.person = person
        self.distance = distance
        self.base = Fraction()
        """The sum of the bases, in minor units of the rule's asset."""
        self.exact = Fraction()
        self.percents: set[Fraction | None] = set()
        self.steps: list[Step] = []
        self.unpaid: tuple[Outcome, tuple[Step, ...]] | None = None

    def add(self, rule: Rule, source: Decision, level: LevelAmount, steps: tuple[Step, ...]) -> None:
        """Adds a percentage of one reward."""
        base = source.amount_minor * rule.minor_per_minor_of(source.rule)
        self.base += base
        self.exact += base * Fraction(level.numerator, level.denominator)
        self.percents.add(level.percent)
        asset = source.rule.asset
        step = EarningsStep(
            source.rule.rule_id, source.beneficiary_id, source.amount_minor, asset.code, asset.digits, level.percent
        )
        self.steps += [*steps, step]


def matched(plan: Plan, rule: Rule, inputs: Inputs, sources: Sequence[Decision]) -> Iterator[Decision]:
    """One decision for each ancestor above somebody whom the rules in `earnings_of` pay.

    `sources`: the decisions of these rules, with the amounts that they pay in the end.
    """
    unpaid, steps = unpaid_as_a_whole(rule, inputs)
    matches: dict[int, _Match] = {}
    for source in sources if inputs.reaches(rule) else ():
        if source.rule.rule_id in rule.earnings_of and source.beneficiary_id:
            _match(rule, inputs, source, matches)
    if not matches:
        yield unpaid_decision(rule, rule.levels[0], "", unpaid or Outcome.NO_ANCESTOR, steps)
    for distance in sorted(matches):
        match = matches[distance]
        level = _level(match)
        if unpaid is not None:
            yield unpaid_decision(rule, level, match.person, unpaid, steps)
        elif match.unpaid is not None and not match.steps:
            yield unpaid_decision(rule, level, match.person, *match.unpaid)
        else:
            base = Basis(match.base.numerator, match.base.denominator, int(match.base))
            exact, steps = match.exact, tuple(match.steps)
            yield rounded(rule, level, match.person, exact.numerator, exact.denominator, base, plan.round, steps)


def _match(rule: Rule, inputs: Inputs, source: Decision, matches: dict[int, _Match]) -> None:
    distance = inputs.distance(source.beneficiary_id)
    if distance == BUYER_LEVEL and source.beneficiary_id != inputs.conversion.buyer_id:
        return  # a link's owner whose own upline the conversion does not tell
    for beneficiary in beneficiaries(rule, inputs, above=distance):
        if not beneficiary.person:
            continue
        match = matches.setdefault(beneficiary.distance, _Match(beneficiary.person, beneficiary.distance))
        if beneficiary.unpaid is not None:
            match.unpaid = (beneficiary.unpaid, beneficiary.steps)
        else:
            level, steps = _tiered(rule, inputs, beneficiary)
            match.add(rule, source, level, (*beneficiary.steps, *steps))


def _tiered(rule: Rule, inputs: Inputs, beneficiary: Beneficiary) -> tuple[LevelAmount, tuple[Step, ...]]:
    if rule.tiers is None:
        return beneficiary.level, ()
    value = inputs.counter(rule.tiers.counter_id, beneficiary.person)
    level, step = at_tier(rule.tiers, rule.levels, beneficiary.number, value)
    return level, (step,)


def _level(match: _Match) -> LevelAmount:
    """The true distance of the person who is paid, and the percentage: a mean where the sources have several."""
    share = match.exact / match.base if match.base else Fraction()
    percent = next(iter(match.percents)) if len(match.percents) == 1 else share * 100
    return LevelAmount(match.distance, share.numerator, share.denominator, percent)
