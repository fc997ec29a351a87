"""Evaluating a plan for a conversion: decisions of all rules at all levels, by conditions, tiers, groups, limits and
shares."""

from collections.abc import Iterable, Iterator

from services.rewards.domain.conversion import Conversion
from services.rewards.domain.decide.claims import claims
from services.rewards.domain.decide.decision import BonusStep, Decision, Outcome, ShareStep, Step
from services.rewards.domain.decide.earnings import matched
from services.rewards.domain.decide.groups import best_of_groups
from services.rewards.domain.decide.headroom import Headroom
from services.rewards.domain.decide.inputs import Inputs
from services.rewards.domain.plan.audience import Role
from services.rewards.domain.plan.plan import Plan
from services.rewards.domain.plan.shares import split
from services.rewards.domain.tally.snapshot import EMPTY, Snapshot

_PAID = Outcome.PAID  # in Python 3.11, to look up a member takes longer than much of what is done with it


def decide(plan: Plan, conversion: Conversion, snapshot: Snapshot = EMPTY) -> list[Decision]:
    """Every decision of the rules for the conversion's event type, in the order of rules and levels; the buyer's share
    of a level follows it. `snapshot`: the tallies before the conversion, for plans that count something.

    A refund leaves the smaller of two amounts of a reward: the one that the whole conversion earned, and the one that
    the rest of it would earn by itself. So no refund gives anybody more, whichever rule won its group or met a limit,
    and the order of refunds does not matter.
    """
    if not conversion.touched:
        return decide_whole(plan, Inputs(plan, conversion.whole, snapshot))
    owed = _owed(plan, Inputs(plan, conversion.whole, snapshot))
    inputs = Inputs(plan, conversion, snapshot)
    return [part for each in _left(plan, inputs, owed) for part in _shared(each, inputs)]


def decide_whole(plan: Plan, inputs: Inputs) -> list[Decision]:
    """Every decision on a conversion of which nothing was taken back, as `decide` orders them."""
    owed = _owed(plan, inputs)
    if not inputs.event_rules.has_shares:
        return owed
    return [part for each in owed for part in _shared(each, inputs)]


def silent(plan: Plan, conversion: Conversion) -> list[Decision]:
    """The decisions of rules that are not for the conversion's event type, one for each rule."""
    return [
        Decision(rule, rule.levels[0], "", Outcome.EVENT_TYPE, 0, 0, 1, 0)
        for rule in plan.rules
        if conversion.event_type not in rule.event_types
    ]


def _owed(plan: Plan, inputs: Inputs) -> list[Decision]:
    """The decisions on a whole conversion, before the buyer's shares."""
    event_rules = inputs.event_rules
    direct = _claimed(plan, inputs)
    if event_rules.has_groups:
        direct = best_of_groups(direct)
    headroom = Headroom(inputs)
    direct = [headroom.fit(each) for each in direct]
    indirect = [headroom.fit(each) for rule in event_rules.indirect for each in matched(plan, rule, inputs, direct)]
    return _in_order(direct, indirect)


def _claimed(plan: Plan, inputs: Inputs) -> list[Decision]:
    """The claims of all rules on a part of the conversion, each by itself."""
    found: list[Decision] = []
    for rule in inputs.event_rules.direct:
        found += claims(plan, rule, inputs)
    return found


def _left(plan: Plan, inputs: Inputs, whole: Iterable[Decision]) -> list[Decision]:
    """The decisions on the rest of a conversion. `whole`: those on the whole one."""
    before = {each.slot: each for each in whole}
    direct = [_least(each, before[each.slot]) for each in _claimed(plan, inputs)]
    indirect = [
        _least(each, before[each.slot])
        for rule in inputs.event_rules.indirect
        for each in matched(plan, rule, inputs, direct)
    ]
    return _in_order(direct, indirect)


def _in_order(direct: list[Decision], indirect: list[Decision]) -> list[Decision]:
    return sorted(direct + indirect, key=lambda each: each.rule.ordinal) if indirect else direct


def _least(now: Decision, before: Decision) -> Decision:
    if before.outcome is not _PAID:
        # The decision on the rest says why nothing is owed, unless a group or limit said so: these saw the whole only.
        return before if now.outcome is _PAID else now
    if now.amount_minor <= before.amount_minor:
        return now._replace(steps=_crossings_lost(now.steps, now, before))
    steps = _crossings_lost(before.steps, now, before)
    return now._replace(outcome=before.outcome, amount_minor=before.amount_minor, steps=steps)


def _crossings_lost(steps: tuple[Step, ...], now: Decision, before: Decision) -> tuple[Step, ...]:
    """The steps, with the tiers named that were crossed before and no longer are."""
    crossed = next((each for each in before.steps if isinstance(each, BonusStep)), None)
    if crossed is None:
        return steps
    still = next((each for each in now.steps if isinstance(each, BonusStep)), crossed._replace(adds=0, tiers=()))
    lost = tuple(number for number in crossed.tiers if number not in still.tiers)
    return (*(each for each in steps if not isinstance(each, BonusStep)), still._replace(lost=lost))


def _shared(decision: Decision, inputs: Inputs) -> Iterator[Decision]:
    """The decision, and after it the buyer's part of its reward."""
    share = decision.rule.share
    if share is None or decision.outcome is not _PAID:
        yield decision
        return
    of_link = decision.rule.to.who is Role.LINK_OWNER
    percent = share.percent(inputs.details.link_share_percent if of_link else inputs.details.share_percent)
    stays_minor, given_minor = split(decision.amount_minor, percent)
    step = ShareStep(percent, decision.amount_minor, decision.beneficiary_id)
    steps = (*decision.steps, step) if percent else decision.steps
    outcome = _PAID if stays_minor else Outcome.SHARED
    yield decision._replace(outcome=outcome, amount_minor=stays_minor, steps=steps)
    if percent:
        outcome = _PAID if given_minor else Outcome.ROUNDS_TO_ZERO
        yield decision._replace(
            beneficiary_id=inputs.conversion.buyer_id,
            outcome=outcome,
            amount_minor=given_minor,
            steps=steps,
            is_share=True,
        )
