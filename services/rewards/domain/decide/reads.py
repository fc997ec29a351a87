"""Which tallies a decision reads: they are loaded before, and kept with the conversion as its snapshot."""

from collections.abc import Sequence

from services.rewards.domain.conversion import Conversion
from services.rewards.domain.decide.facts import Facts
from services.rewards.domain.decide.room import used_of
from services.rewards.domain.plan.amounts import Base
from services.rewards.domain.plan.audience import Who
from services.rewards.domain.plan.counters import Counter, Measure
from services.rewards.domain.plan.plan import Plan, Rule
from services.rewards.domain.plan.qualification import Unqualified
from services.rewards.domain.plan.tiers import TierMode, Tiers
from services.rewards.domain.tally import tallies
from services.rewards.domain.tally.snapshot import EMPTY
from services.rewards.domain.tally.tallies import TallyKey

_BONUS, _COMPRESS, _EARNINGS = TierMode.BONUS, Unqualified.COMPRESS, Base.EARNINGS
_BUYER, _LINK_OWNER = Who.BUYER, Who.LINK_OWNER


def reads(plan: Plan, conversion: Conversion) -> set[TallyKey]:
    """Every tally that the decision on a conversion may ask for."""
    return set(reads_of(plan, Facts(plan, conversion, EMPTY)))


def reads_of(plan: Plan, facts: Facts) -> list[TallyKey]:
    """The same, of what is known of the conversion; one may be named twice."""
    found: list[TallyKey] = []
    if plan.is_stateful and not facts.heard.is_plain:
        for rule in facts.heard.rules:
            _add_of_rule(plan, rule, facts, found)
    return found


def _add_of_rule(plan: Plan, rule: Rule, facts: Facts, found: list[TallyKey]) -> None:
    if rule.occurrence is not None:
        buyer_id = facts.conversion.buyer_id
        found.append((tallies.occurrence(rule.rule_id), buyer_id, ""))
        found.append((tallies.seen(rule.rule_id), buyer_id, ""))
    people = _people(rule, facts)
    for counter_id in rule.counter_ids:
        counter = plan.counters[counter_id]
        name, period = counter.name, facts.periods[counter.period]
        found += [(name, person, period) for person in people]
    if rule.limits:
        for person in people:
            found += [key for key in used_of(rule, person, facts) if key is not None]
    if rule.tiers is not None and rule.tiers.mode is _BONUS:
        for person in people:
            found += _of_bonus(rule.rule_id, rule.tiers, plan.counters[rule.tiers.counter_id], person, facts)


def _of_bonus(rule_id: str, tiers: Tiers, counter: Counter, person: str, facts: Facts) -> list[TallyKey]:
    period = facts.periods[counter.period]
    found = [(tallies.bonus(rule_id, bound), person, period) for bound in tiers.bounds]
    found += [(tallies.forfeit(rule_id, bound), person, period) for bound in tiers.bounds]
    if counter.measure is Measure.REFEREES:
        found.append((counter.changed, tallies.pair(person, facts.conversion.buyer_id), period))
    return found


def _people(rule: Rule, facts: Facts) -> Sequence[str]:
    """Everybody whom the rule may pay."""
    upline = facts.conversion.upline
    if rule.to.who is _BUYER:
        return (facts.conversion.buyer_id,)
    if rule.to.who is _LINK_OWNER:
        return (facts.link_owner_id,) if facts.link_owner_id else ()
    compressed = rule.qualification is not None and rule.qualification.otherwise is _COMPRESS
    if compressed or rule.base is _EARNINGS:
        return upline
    height = len(upline)
    return [upline[level - 1] for level, _, _, _ in rule.levels if level <= height]
