"""Headroom: how much caps and budgets leave. The rewards of one conversion share it in their order."""

from services.rewards.domain.decide.decision import Decision, LimitStep, Outcome
from services.rewards.domain.decide.inputs import Inputs
from services.rewards.domain.ledger import MAX_AMOUNT_MINOR
from services.rewards.domain.plan.limits import LARGEST, fitting
from services.rewards.domain.plan.plan import Rule
from services.rewards.domain.tally.tallies import TallyKey

_PAID = Outcome.PAID


class Headroom:
    """The free part of limits for the rewards of one conversion."""

    def __init__(self, inputs: Inputs) -> None:
        self._inputs = inputs
        self._used = dict(inputs.snapshot.values)
        """How much of limits is used, before the conversion and by those of its rewards that were fitted already. Other
        tallies stand among them."""

    def fit(self, decision: Decision) -> Decision:
        """The decision within every limit: the rule's caps, then that of all rewards, then budgets. Uses headroom
        up."""
        rule, amount_minor, steps = decision.rule, decision.amount_minor, decision.steps
        is_huge = amount_minor > MAX_AMOUNT_MINOR
        if decision.outcome is not _PAID or not (rule.limits or is_huge):
            return decision
        used = self._used
        limits, keys = rule.limits, used_of(rule, decision.beneficiary_id, self._inputs)
        if is_huge:
            caps = len(rule.caps)
            limits, keys = (*limits[:caps], LARGEST, *limits[caps:]), (*keys[:caps], None, *keys[caps:])
        for limit, key in zip(limits, keys, strict=True):
            free_minor = limit.amount_minor
            if key is not None:
                free_minor -= used.get(key, 0)
            if amount_minor > free_minor:
                fits_minor = fitting(amount_minor, free_minor, limit.overflow)
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
    """The tallies of how much a rule's limits are used for somebody, one for each; None for a limit of a single
    reward."""
    if not rule.limits:
        return ()
    found = inputs.used.get((rule.ordinal, beneficiary_id))
    if found is None:
        buyer_id, periods = inputs.conversion.buyer_id, inputs.periods
        found = tuple([each.tally(beneficiary_id, buyer_id, periods[each.period]) for each in rule.limits])
        inputs.used[rule.ordinal, beneficiary_id] = found
    return found
