"""The tallies that a decision reads: they are loaded before it, and stored with the conversion as its snapshot."""

from collections.abc import Sequence

from services.rewards.domain.conversion import Conversion
from services.rewards.domain.decide.headroom import used_of
from services.rewards.domain.decide.inputs import Inputs
from services.rewards.domain.plan.amounts import Base
from services.rewards.domain.plan.audience import Role
from services.rewards.domain.plan.counters import Counter, Measure
from services.rewards.domain.plan.plan import Plan, Rule
from services.rewards.domain.plan.qualification import Unqualified
from services.rewards.domain.plan.tiers import TierMode, Tiers
from services.rewards.domain.tally import tallies
from services.rewards.domain.tally.snapshot import EMPTY
from services.rewards.domain.tally.tallies import TallyKey

_BONUS, _COMPRESS, _EARNINGS = TierMode.BONUS, Unqualified.COMPRESS, Base.EARNINGS
_BUYER, _LINK_OWNER = Role.BUYER, Role.LINK_OWNER


def needed_tallies(plan: Plan, conversion: Conversion) -> set[TallyKey]:
    """Every tally that the decision on a conversion may ask for."""
    return set(tally_keys_of(plan, Inputs(plan, conversion, EMPTY)))


def tally_keys_of(plan: Plan, inputs: Inputs) -> list[TallyKey]:
    """The tallies that the decision on these inputs may ask for; one may be named twice."""
    found: list[TallyKey] = []
    if plan.is_stateful and not inputs.event_rules.is_plain:
        for rule in inputs.event_rules.rules:
            _add_of_rule(plan, rule, inputs, found)
    return found


def _add_of_rule(plan: Plan, rule: Rule, inputs: Inputs, found: list[TallyKey]) -> None:
    if rule.occurrence is not None:
        buyer_id = inputs.conversion.buyer_id
        found.append((tallies.occurrence(rule.rule_id), buyer_id, ""))
        found.append((tallies.seen(rule.rule_id), buyer_id, ""))
    people = _people(rule, inputs)
    for counter_id in rule.counter_ids:
        counter = plan.counters[counter_id]
        name, period = counter.name, inputs.periods[counter.period]
        found += [(name, person, period) for person in people]
    if rule.limits:
        for person in people:
            found += [key for key in used_of(rule, person, inputs) if key is not None]
    if rule.tiers is not None and rule.tiers.mode is _BONUS:
        for person in people:
            found += _of_bonus(rule.rule_id, rule.tiers, plan.counters[rule.tiers.counter_id], person, inputs)


def _of_bonus(rule_id: str, tiers: Tiers, counter: Counter, person: str, inputs: Inputs) -> list[TallyKey]:
    period = inputs.periods[counter.period]
    found = [(tallies.bonus(rule_id, bound), person, period) for bound in tiers.bounds]
    found += [(tallies.forfeit(rule_id, bound), person, period) for bound in tiers.bounds]
    if counter.measure is Measure.REFEREES:
        found.append((counter.changed, tallies.pair(person, inputs.conversion.buyer_id), period))
    return found


def _people(rule: Rule, inputs: Inputs) -> Sequence[str]:
    """Everybody whom the rule may pay."""
    upline = inputs.conversion.upline
    if rule.to.who is _BUYER:
        return (inputs.conversion.buyer_id,)
    if rule.to.who is _LINK_OWNER:
        return (inputs.link_owner_id,) if inputs.link_owner_id else ()
    compressed = rule.qualification is not None and rule.qualification.otherwise is _COMPRESS
    if compressed or rule.base is _EARNINGS:
        return upline
    height = len(upline)
    return [upline[each.level - 1] for each in rule.levels if each.level <= height]
