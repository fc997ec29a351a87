"""Base EARNINGS: what a participant earns for a conversion is the base of what his upline earns."""

from collections.abc import Iterator, Sequence
from fractions import Fraction

from services.rewards.domain.decide.basis import Basis
from services.rewards.domain.decide.claims import at_tier, refuse, refused_entirely, rounded
from services.rewards.domain.decide.decision import Decision, Earned, Outcome, Step
from services.rewards.domain.decide.facts import Facts
from services.rewards.domain.decide.seats import Seat, seats
from services.rewards.domain.plan.amounts import LevelAmount
from services.rewards.domain.plan.audience import BUYER_LEVEL
from services.rewards.domain.plan.plan import Plan, Rule


class _Match:
    """What one ancestor is owed by one rule, from everybody below him who earned."""

    def __init__(self, person: str, distance: int) -> None:
        self.person = person
        self.distance = distance
        self.base = Fraction()
        """In minor units of the rule's asset."""
        self.exact = Fraction()
        self.percents: set[Fraction | None] = set()
        self.steps: list[Step] = []
        self.refusal: tuple[Outcome, tuple[Step, ...]] | None = None

    def add(self, rule: Rule, source: Decision, level: LevelAmount, steps: tuple[Step, ...]) -> None:
        """Adds a percentage of one reward."""
        base = source.amount_minor * rule.minor_per_minor_of(source.rule)
        self.base += base
        self.exact += base * Fraction(level.numerator, level.denominator)
        self.percents.add(level.percent)
        asset = source.rule.asset
        told = Earned(
            source.rule.rule_id, source.beneficiary_id, source.amount_minor, asset.code, asset.digits, level.percent
        )
        self.steps += [*steps, told]


def matched(plan: Plan, rule: Rule, facts: Facts, sources: Sequence[Decision]) -> Iterator[Decision]:
    """One decision for each ancestor above somebody whom the rules in `earnings_of` concern. `sources`: what they owe in the end."""
    refusal, steps = refused_entirely(rule, facts)
    matches: dict[int, _Match] = {}
    for source in sources:
        if source.rule.rule_id in rule.earnings_of and source.beneficiary_id:
            _match(rule, facts, source, matches)
    if not matches:
        yield refuse(rule, rule.levels[0], "", refusal or Outcome.NO_ANCESTOR, steps)
    for distance in sorted(matches):
        match = matches[distance]
        level = _level(match)
        if refusal is not None:
            yield refuse(rule, level, match.person, refusal, steps)
        elif match.refusal is not None and not match.steps:
            yield refuse(rule, level, match.person, *match.refusal)
        else:
            base = Basis(match.base.numerator, match.base.denominator, int(match.base))
            exact, steps = match.exact, tuple(match.steps)
            yield rounded(rule, level, match.person, exact.numerator, exact.denominator, base, plan.round, steps)


def _match(rule: Rule, facts: Facts, source: Decision, matches: dict[int, _Match]) -> None:
    distance = facts.distance(source.beneficiary_id)
    if distance == BUYER_LEVEL and source.beneficiary_id != facts.conversion.buyer_id:
        return  # a link's owner whose own upline the conversion does not tell
    for seat in seats(rule, facts, above=distance):
        if not seat.person:
            continue
        match = matches.setdefault(seat.distance, _Match(seat.person, seat.distance))
        if seat.refusal is not None:
            match.refusal = (seat.refusal, seat.steps)
        else:
            level, steps = _tiered(rule, facts, seat)
            match.add(rule, source, level, (*seat.steps, *steps))


def _tiered(rule: Rule, facts: Facts, seat: Seat) -> tuple[LevelAmount, tuple[Step, ...]]:
    if rule.tiers is None:
        return seat.level, ()
    value = facts.counter(rule.tiers.counter_id, seat.person)
    level, step = at_tier(rule.tiers, rule.levels, seat.number, value)
    return level, (step,)


def _level(match: _Match) -> LevelAmount:
    """The true distance of who is paid, and the percentage, which is a mean where it is not the same of everything."""
    share = match.exact / match.base if match.base else Fraction()
    percent = next(iter(match.percents)) if len(match.percents) == 1 else share * 100
    return LevelAmount(match.distance, share.numerator, share.denominator, percent)
