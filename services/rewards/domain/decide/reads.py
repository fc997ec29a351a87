"""Which tallies a decision reads: they are loaded before, and kept with the conversion as its snapshot."""

from collections.abc import Iterable, Iterator

from services.rewards.domain.conversion import Conversion
from services.rewards.domain.decide.facts import COUNTERS_PREFIX, Facts
from services.rewards.domain.decide.room import limits_of
from services.rewards.domain.plan.amounts import Base
from services.rewards.domain.plan.audience import Who
from services.rewards.domain.plan.counters import Counter, Measure
from services.rewards.domain.plan.plan import Plan, Rule
from services.rewards.domain.plan.qualification import Unqualified
from services.rewards.domain.plan.tiers import TierMode, Tiers
from services.rewards.domain.tally import tallies
from services.rewards.domain.tally.snapshot import EMPTY
from services.rewards.domain.tally.tallies import TallyKey

Key = tuple[str, str, str]


def reads(plan: Plan, conversion: Conversion) -> set[TallyKey]:
    """Every tally that the decision on a conversion may ask for."""
    return reads_of(plan, Facts(conversion, EMPTY, plan.counters, plan.zone))


def reads_of(plan: Plan, facts: Facts) -> set[TallyKey]:
    """The same, of what is known of the conversion."""
    event_type = facts.conversion.event_type
    if not plan.is_stateful or plan.is_plain(event_type):
        return set()
    program_id = plan.program_id
    return {
        TallyKey(program_id, name, subject, period)
        for rule in plan.listening(event_type)
        for name, subject, period in _of_rule(plan, rule, facts)
    }


def _of_rule(plan: Plan, rule: Rule, facts: Facts) -> Iterator[Key]:
    if rule.occurrence is not None:
        names = (tallies.occurrence(rule.rule_id), tallies.seen(rule.rule_id))
        yield from ((name, facts.conversion.buyer_id, "") for name in names)
    people = _people(rule, facts)
    counters = [plan.counters[each] for each in _counters(rule)]
    for person in people:
        for counter in counters:
            yield tallies.counter(counter.counter_id), person, facts.period(counter.period)
        if rule.tiers is not None and rule.tiers.mode is TierMode.BONUS:
            yield from _of_bonus(rule.rule_id, rule.tiers, plan.counters[rule.tiers.counter_id], person, facts)
        yield from (key for _, key in limits_of(plan, rule, person, facts) if key)


def _of_bonus(rule_id: str, tiers: Tiers, counter: Counter, person: str, facts: Facts) -> Iterator[Key]:
    period = facts.period(counter.period)
    for bound in tiers.bounds:
        yield tallies.bonus(rule_id, bound), person, period
        yield tallies.forfeit(rule_id, bound), person, period
    if counter.measure is Measure.REFEREES:
        yield tallies.member(counter.counter_id), tallies.pair(person, facts.conversion.buyer_id), period


def _people(rule: Rule, facts: Facts) -> list[str]:
    """Everybody whom the rule may pay."""
    upline = facts.conversion.upline
    if rule.to.who is Who.BUYER:
        return [facts.conversion.buyer_id]
    if rule.to.who is Who.LINK_OWNER:
        return [facts.link_owner_id] if facts.link_owner_id else []
    compressed = rule.qualification is not None and rule.qualification.otherwise is Unqualified.COMPRESS
    if compressed or rule.base is Base.EARNINGS:
        return list(upline)
    return [upline[each.level - 1] for each in rule.levels if each.level <= len(upline)]


def _counters(rule: Rule) -> Iterable[str]:
    conditions = [rule.when, rule.qualification.when if rule.qualification else None]
    named = {name for each in conditions if each is not None for name in each.names if name.startswith(COUNTERS_PREFIX)}
    counters = {name.removeprefix(COUNTERS_PREFIX) for name in named}
    return counters | {rule.tiers.counter_id} if rule.tiers else counters
