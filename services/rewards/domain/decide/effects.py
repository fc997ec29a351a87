"""What a conversion adds to tallies once it is decided; what a reversal takes back is the difference of two."""

from collections.abc import Iterable, Iterator, Mapping

from services.rewards.domain.conversion import Conversion
from services.rewards.domain.decide.decision import Crossed, Decision, Outcome, Split
from services.rewards.domain.decide.facts import Facts, counts
from services.rewards.domain.decide.room import limits_of
from services.rewards.domain.decide.seats import verdict
from services.rewards.domain.plan.audience import Who
from services.rewards.domain.plan.counters import Measure
from services.rewards.domain.plan.plan import Plan
from services.rewards.domain.plan.tiers import TierMode
from services.rewards.domain.tally import tallies
from services.rewards.domain.tally.snapshot import Snapshot
from services.rewards.domain.tally.tallies import TallyKey, headcount

Key = tuple[str, str, str]
_BONUS = TierMode.BONUS
_STANDS = (Outcome.PAID, Outcome.SHARED)


def members(plan: Plan, facts: Facts) -> set[TallyKey]:
    """The tallies that have to be known to apply the conversion's effects: whoever counts once may be there already."""
    if all(each.measure is not Measure.REFEREES for each in plan.counters.values()):
        return set()
    named = (TallyKey(plan.program_id, *key) for key, _ in _counted(plan, facts))
    return {each for each in named if headcount(each) is not None}


def effects(
    plan: Plan, conversion: Conversion, decisions: Iterable[Decision], snapshot: Snapshot
) -> dict[TallyKey, int]:
    """What the conversion, as far as it is left, changes in all. `decisions`: every one of it, with the same snapshot."""
    return effects_of(plan, Facts(conversion, snapshot, plan.counters, plan.zone), decisions)


def effects_of(plan: Plan, facts: Facts, decisions: Iterable[Decision]) -> dict[TallyKey, int]:
    """The same, of what is known of the conversion."""
    total: dict[TallyKey, int] = {}
    program_id = plan.program_id
    for part in (_counted(plan, facts), _occurrences(plan, facts), _used(plan, facts, decisions)):
        for (name, subject, period), change in part:
            key = TallyKey(program_id, name, subject, period)
            total[key] = total.get(key, 0) + change
    return total


def difference(after: Mapping[TallyKey, int], before: Mapping[TallyKey, int]) -> dict[TallyKey, int]:
    """What has to be added to come from one to the other."""
    return {key: change for key in before.keys() | after.keys() if (change := after.get(key, 0) - before.get(key, 0))}


def _counted(plan: Plan, facts: Facts) -> Iterator[tuple[Key, int]]:
    """Counters and scores. A conversion counts by its own time, however late it comes."""
    for counter in plan.counters.values():
        if not counts(counter, facts):
            continue
        adds = counter.adds(facts.conversion)
        moment = facts.conversion.occurred_at
        names = [
            (tallies.counter(counter.counter_id), tallies.member(counter.counter_id), facts.period(counter.period))
        ]
        for each in plan.contests:
            if each.counter_id == counter.counter_id and each.start_time <= moment < each.end_time:
                names.append((tallies.contest(each.contest_id), tallies.contest_member(each.contest_id), ""))
        owner_id = facts.link_owner_id if counter.of.who is Who.LINK_OWNER else ""
        for person in counter.of.people(facts.conversion, owner_id):
            for name, member, period in names:
                if counter.measure is Measure.REFEREES:
                    yield (member, tallies.pair(person, facts.conversion.buyer_id), period), adds
                else:
                    yield (name, person, period), adds


def _occurrences(plan: Plan, facts: Facts) -> Iterator[tuple[Key, int]]:
    """Of rules that pay some of a buyer's conversions: this is one of them if the rule's condition is true."""
    buyer_id = facts.conversion.buyer_id
    for rule in plan.listening(facts.conversion.event_type):
        if rule.occurrence is None or (rule.when is not None and verdict(rule.when, facts, "", 0)[0] is not None):
            continue
        if rule.occurrence.first:
            yield (tallies.occurrence(rule.rule_id), buyer_id, ""), int(not facts.conversion.void)
        if rule.occurrence.nth:
            yield (tallies.seen(rule.rule_id), buyer_id, ""), 1


def _used(plan: Plan, facts: Facts, decisions: Iterable[Decision]) -> Iterator[tuple[Key, int]]:
    """Of limits, and of bonuses that are paid once."""
    for each in decisions:
        if each.amount_minor and (each.rule.caps or plan.budgets):
            person = _whose(each)
            for _, key in limits_of(plan, each.rule, person, facts):
                if key is not None:
                    yield key, each.amount_minor
        tiers = each.rule.tiers
        if tiers is not None and tiers.mode is _BONUS and not each.is_share:
            yield from _bonuses(plan, facts, each)


def _whose(decision: Decision) -> str:
    """Whose reward it is, or a part of."""
    if not decision.is_share:
        return decision.beneficiary_id
    return next(each.beneficiary_id for each in decision.steps if isinstance(each, Split))


def _bonuses(plan: Plan, facts: Facts, decision: Decision) -> Iterator[tuple[Key, int]]:
    crossed = next((each for each in decision.steps if isinstance(each, Crossed)), None)
    if crossed is None:
        return
    rule, person = decision.rule, decision.beneficiary_id
    bounds = rule.tiers.bounds if rule.tiers is not None else ()
    period = facts.period(plan.counters[crossed.counter_id].period)
    if decision.outcome in _STANDS:
        for number in crossed.tiers:
            forfeit = (tallies.forfeit(rule.rule_id, bounds[number]), person, period)
            yield (tallies.bonus(rule.rule_id, bounds[number]), person, period), 1
            yield forfeit, -min(facts.snapshot.value(*forfeit), 1)
    for number in crossed.lost:
        forfeit = (tallies.forfeit(rule.rule_id, bounds[number]), person, period)
        yield forfeit, 1 - min(facts.snapshot.value(*forfeit), 1)
