"""Effects: the changes of tallies by a conversion that is decided. A reversal takes back the difference of two
effects."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from services.rewards.domain.conversion import Conversion
from services.rewards.domain.decide.beneficiaries import verdict
from services.rewards.domain.decide.decision import BonusStep, Decision, Outcome, ShareStep
from services.rewards.domain.decide.headroom import used_of
from services.rewards.domain.decide.inputs import Inputs, counts
from services.rewards.domain.plan.audience import Role
from services.rewards.domain.plan.counters import Counter, Measure
from services.rewards.domain.plan.plan import Plan
from services.rewards.domain.plan.tiers import TierMode
from services.rewards.domain.tally import tallies
from services.rewards.domain.tally.snapshot import Snapshot
from services.rewards.domain.tally.tallies import TallyKey, headcount

TallyChange = tuple[TallyKey, int]
"""A tally, and how much is added to it."""
_REFEREES, _BONUS, _LINK_OWNER = Measure.REFEREES, TierMode.BONUS, Role.LINK_OWNER
_STANDS = (Outcome.PAID, Outcome.SHARED)


def members(plan: Plan, inputs: Inputs) -> list[TallyKey]:
    """The tallies that have to be known to apply the conversion's effects: whoever counts once may be there already."""
    if not inputs.event_rules.counts_heads:
        return []
    return [key for key, _ in _counted(plan, inputs) if headcount(key) is not None]


def effects(
    plan: Plan, conversion: Conversion, decisions: Iterable[Decision], snapshot: Snapshot
) -> dict[TallyKey, int]:
    """All changes by the rest of the conversion. `decisions`: all of them, decided with the same snapshot."""
    total: dict[TallyKey, int] = {}
    for key, change in changes_of(plan, Inputs(plan, conversion, snapshot), decisions):
        total[key] = total.get(key, 0) + change
    return total


def changes_of(plan: Plan, inputs: Inputs, decisions: Iterable[Decision]) -> list[TallyChange]:
    """The changes by the conversion that `inputs` tell of, one by one: a tally may be changed more than once."""
    changes = _counted(plan, inputs)
    if inputs.event_rules.occurrences:
        changes += _occurrences(inputs)
    changes += _used(plan, inputs, decisions)
    return changes


def difference(after: Mapping[TallyKey, int], before: Mapping[TallyKey, int]) -> dict[TallyKey, int]:
    """The changes that lead from the effects before to the effects after."""
    return {key: change for key in before.keys() | after.keys() if (change := after.get(key, 0) - before.get(key, 0))}


def _counted(plan: Plan, inputs: Inputs) -> list[TallyChange]:
    """The changes of counters and scores. A conversion counts by its own time, however late it comes."""
    changes: list[TallyChange] = []
    for counter in inputs.event_rules.counters:
        if not counts(counter, inputs):
            continue
        conversion, adds = inputs.conversion, counter.adds(inputs.conversion)
        owner_id = inputs.link_owner_id if counter.of.who is _LINK_OWNER else ""
        subjects: Sequence[str] = counter.of.people(conversion, owner_id)
        if counter.measure is _REFEREES:
            subjects = [tallies.pair(each, conversion.buyer_id) for each in subjects]
        for name, period in _names(plan, counter, inputs):
            changes += [((name, subject, period), adds) for subject in subjects]
    return changes


def _names(plan: Plan, counter: Counter, inputs: Inputs) -> list[tuple[str, str]]:
    """The tallies by which a conversion changes a counter: (name, period) of the counter and of the contests about
    it."""
    names = [(counter.changed, inputs.periods[counter.period])]
    for each in plan.contests:
        if each.counter_id == counter.counter_id and each.start_time <= inputs.conversion.occurred_at < each.end_time:
            of_contest = tallies.contest_member if counter.measure is _REFEREES else tallies.contest
            names.append((of_contest(each.contest_id), ""))
    return names


def _occurrences(inputs: Inputs) -> list[TallyChange]:
    """The changes by rules that pay some of a buyer's conversions: this is one if the rule's condition is true."""
    changes: list[TallyChange] = []
    for rule, occurrence in inputs.event_rules.occurrences:
        if rule.when is not None and verdict(rule.when, inputs, "", 0)[0] is not None:
            continue
        buyer_id = inputs.conversion.buyer_id
        if occurrence.first:
            changes.append(((tallies.occurrence(rule.rule_id), buyer_id, ""), int(not inputs.conversion.void)))
        if occurrence.nth:
            changes.append(((tallies.seen(rule.rule_id), buyer_id, ""), 1))
    return changes


def _used(plan: Plan, inputs: Inputs, decisions: Iterable[Decision]) -> list[TallyChange]:
    """The changes of used limits, and of bonuses that are paid once."""
    changes: list[TallyChange] = []
    for each in decisions:
        rule = each.rule
        if each.amount_minor and rule.limits:
            for key in used_of(rule, _earner(each) if each.is_share else each.beneficiary_id, inputs):
                if key is not None:
                    changes.append((key, each.amount_minor))
        if rule.tiers is not None and rule.tiers.mode is _BONUS and not each.is_share:
            changes += _bonuses(plan, inputs, each)
    return changes


def _earner(decision: Decision) -> str:
    """The participant who earned the reward that a share is a part of."""
    return next(each.beneficiary_id for each in decision.steps if isinstance(each, ShareStep))


def _bonuses(plan: Plan, inputs: Inputs, decision: Decision) -> Iterator[TallyChange]:
    crossed = next((each for each in decision.steps if isinstance(each, BonusStep)), None)
    if crossed is None:
        return
    rule, person = decision.rule, decision.beneficiary_id
    bounds = rule.tiers.bounds if rule.tiers is not None else ()
    period = inputs.periods[plan.counters[crossed.counter_id].period]
    if decision.outcome in _STANDS:
        for number in crossed.tiers:
            forfeit = (tallies.forfeit(rule.rule_id, bounds[number]), person, period)
            yield (tallies.bonus(rule.rule_id, bounds[number]), person, period), 1
            yield forfeit, -min(inputs.snapshot.values.get(forfeit, 0), 1)
    for number in crossed.lost:
        forfeit = (tallies.forfeit(rule.rule_id, bounds[number]), person, period)
        yield forfeit, 1 - min(inputs.snapshot.values.get(forfeit, 0), 1)
