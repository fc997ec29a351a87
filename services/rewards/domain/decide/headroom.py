"""How much room caps and budgets leave, reward by reward: those of one conversion share it in their order."""

from services.rewards.domain.decide.decision import Decision, LimitStep, Outcome
from services.rewards.domain.decide.inputs import Inputs
from services.rewards.domain.ledger import MAX_AMOUNT_MINOR
from services.rewards.domain.plan.limits import LARGEST, fitting
from services.rewards.domain.plan.plan import Rule
from services.rewards.domain.tally.tallies import TallyKey

_PAID = Outcome.PAID


class Headroom:
    """What is left of the limits for the rewards of one conversion."""

    def __init__(self, inputs: Inputs) -> None:
        self._inputs = inputs
        self._used = dict(inputs.snapshot.values)
        """Of limits, besides other tallies: before the conversion, and by the rewards of it that were fitted already."""

    def fit(self, decision: Decision) -> Decision:
        """The decision within every limit: the rule's caps, then that of all rewards, then budgets. Uses the room up."""
        rule, _, beneficiary_id, outcome, _, _, _, amount_minor, steps, _ = decision
        is_huge = amount_minor > MAX_AMOUNT_MINOR
        if outcome is not _PAID or not (rule.limits or is_huge):
            return decision
        used = self._used
        limits, keys = rule.limits, used_of(rule, beneficiary_id, self._inputs)
        if is_huge:
            caps = len(rule.caps)
            limits, keys = (*limits[:caps], LARGEST, *limits[caps:]), (*keys[:caps], None, *keys[caps:])
        for limit, key in zip(limits, keys, strict=True):
            room_minor = limit.amount_minor
            if key is not None:
                room_minor -= used.get(key, 0)
            if amount_minor > room_minor:
                fits_minor = fitting(amount_minor, room_minor, limit.overflow)
                steps = (*steps, LimitStep(limit, amount_minor, fits_minor))
                amount_minor = fits_minor
        for key in keys:
            if key is not None:
                used[key] = used.get(key, 0) + amount_minor
        if amount_minor == decision.amount_minor:
            return decision
        outcome = Outcome.PAID if amount_minor else Outcome.CAPPED
        return decision._replace(outcome=outcome, amount_minor=amount_minor, steps=steps)


def used_of(rule: Rule, beneficiary_id: str, inputs: Inputs) -> tuple[TallyKey | None, ...]:
    """For each of a rule's limits on what it pays somebody, the tally of what is used; None for one of a single reward."""
    if not rule.limits:
        return ()
    found = inputs.used.get((rule.ordinal, beneficiary_id))
    if found is None:
        buyer_id, periods = inputs.conversion.buyer_id, inputs.periods
        found = tuple([each.tally(beneficiary_id, buyer_id, periods[each.period]) for each in rule.limits])
        inputs.used[rule.ordinal, beneficiary_id] = found
    return found
