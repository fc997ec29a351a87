"""What a conversion adds to tallies once it is decided; what a reversal takes back is the difference of two."""

from collections.abc import Iterable, Iterator, Mapping

from services.rewards.domain.conversion import Conversion
from services.rewards.domain.decide.decision import Crossed, Decision, Outcome, Split
from services.rewards.domain.decide.facts import Facts, counts
from services.rewards.domain.decide.room import limits_of
from services.rewards.domain.decide.seats import verdict
from services.rewards.domain.plan.audience import Who
from services.rewards.domain.plan.counters import Counter, Measure
from services.rewards.domain.plan.plan import Plan
from services.rewards.domain.plan.tiers import TierMode
from services.rewards.domain.tally import tallies
from services.rewards.domain.tally.snapshot import Snapshot
from services.rewards.domain.tally.tallies import TallyKey, headcount

Change = tuple[TallyKey, int]
_REFEREES, _BONUS, _LINK_OWNER = Measure.REFEREES, TierMode.BONUS, Who.LINK_OWNER
_STANDS = (Outcome.PAID, Outcome.SHARED)


def members(plan: Plan, facts: Facts) -> set[TallyKey]:
    """The tallies that have to be known to apply the conversion's effects: whoever counts once may be there already."""
    if all(each.measure is not _REFEREES for each in plan.counters.values()):
        return set()
    return {key for key, _ in _counted(plan, facts) if headcount(key) is not None}


def effects(
    plan: Plan, conversion: Conversion, decisions: Iterable[Decision], snapshot: Snapshot
) -> dict[TallyKey, int]:
    """What the conversion, as far as it is left, changes in all. `decisions`: every one of it, with the same snapshot."""
    total: dict[TallyKey, int] = {}
    for key, change in changes_of(plan, Facts(conversion, snapshot, plan.counters, plan.zone), decisions):
        total[key] = total.get(key, 0) + change
    return total


def changes_of(plan: Plan, facts: Facts, decisions: Iterable[Decision]) -> list[Change]:
    """The same of what is known of the conversion, one by one: a tally may be changed more than once."""
    return _counted(plan, facts) + _occurrences(plan, facts) + _used(plan, facts, decisions)


def difference(after: Mapping[TallyKey, int], before: Mapping[TallyKey, int]) -> dict[TallyKey, int]:
    """What has to be added to come from one to the other."""
    return {key: change for key in before.keys() | after.keys() if (change := after.get(key, 0) - before.get(key, 0))}


def _counted(plan: Plan, facts: Facts) -> list[Change]:
    """Counters and scores. A conversion counts by its own time, however late it comes."""
    changes = []
    for counter in plan.counters.values():
        if not counts(counter, facts):
            continue
        adds = counter.adds(facts.conversion)
        owner_id = facts.link_owner_id if counter.of.who is _LINK_OWNER else ""
        people = counter.of.people(facts.conversion, owner_id)
        names = _names(plan, counter, facts)
        if counter.measure is _REFEREES:
            buyer_id = facts.conversion.buyer_id
            pairs = [tallies.pair(each, buyer_id) for each in people]
            changes += [((member, pair, period), adds) for pair in pairs for _, member, period in names]
        else:
            changes += [((name, person, period), adds) for person in people for name, _, period in names]
    return changes


def _names(plan: Plan, counter: Counter, facts: Facts) -> list[tuple[str, str, str]]:
    """Where a counter is counted: (name, name of its members, period) of itself and of the contests about it."""
    counter_id, moment = counter.counter_id, facts.conversion.occurred_at
    name, period = facts.tally_of(counter_id)
    names = [(name, tallies.member(counter_id), period)]
    for each in plan.contests:
        if each.counter_id == counter_id and each.start_time <= moment < each.end_time:
            names.append((tallies.contest(each.contest_id), tallies.contest_member(each.contest_id), ""))
    return names


def _occurrences(plan: Plan, facts: Facts) -> list[Change]:
    """Of rules that pay some of a buyer's conversions: this is one of them if the rule's condition is true."""
    changes: list[Change] = []
    for rule in plan.listening(facts.conversion.event_type):
        if rule.occurrence is None or (rule.when is not None and verdict(rule.when, facts, "", 0)[0] is not None):
            continue
        buyer_id = facts.conversion.buyer_id
        if rule.occurrence.first:
            changes.append(((tallies.occurrence(rule.rule_id), buyer_id, ""), int(not facts.conversion.void)))
        if rule.occurrence.nth:
            changes.append(((tallies.seen(rule.rule_id), buyer_id, ""), 1))
    return changes


def _used(plan: Plan, facts: Facts, decisions: Iterable[Decision]) -> list[Change]:
    """Of limits, and of bonuses that are paid once."""
    changes = []
    for each in decisions:
        rule, amount_minor = each.rule, each.amount_minor
        if amount_minor and rule.limits:
            limits = limits_of(rule, _whose(each), facts)
            changes += [(key, amount_minor) for _, key in limits if key is not None]
        if rule.tiers is not None and rule.tiers.mode is _BONUS and not each.is_share:
            changes += _bonuses(plan, facts, each)
    return changes


def _whose(decision: Decision) -> str:
    """Whose reward it is, or a part of."""
    if not decision.is_share:
        return decision.beneficiary_id
    return next(each.beneficiary_id for each in decision.steps if isinstance(each, Split))


def _bonuses(plan: Plan, facts: Facts, decision: Decision) -> Iterator[Change]:
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
            yield forfeit, -min(facts.snapshot.values.get(forfeit, 0), 1)
    for number in crossed.lost:
        forfeit = (tallies.forfeit(rule.rule_id, bounds[number]), person, period)
        yield forfeit, 1 - min(facts.snapshot.values.get(forfeit, 0), 1)
