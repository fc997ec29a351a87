"""How much room caps and budgets leave, reward by reward: those of one conversion share it in their order."""

from collections.abc import Sequence

from services.rewards.domain.decide.decision import Decision, Limited, Outcome
from services.rewards.domain.decide.facts import Facts
from services.rewards.domain.ledger import MAX_AMOUNT_MINOR
from services.rewards.domain.plan.limits import LARGEST, Budget, Cap, fitting
from services.rewards.domain.plan.plan import Rule
from services.rewards.domain.tally.tallies import TallyKey

_PAID = Outcome.PAID


class Room:
    """What is left of the limits for the rewards of one conversion."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._used: dict[TallyKey, int] = {}

    def fit(self, decision: Decision) -> Decision:
        """The decision within every limit: the rule's caps, then that of all rewards, then budgets. Uses the room up."""
        rule, amount_minor = decision.rule, decision.amount_minor
        is_huge = amount_minor > MAX_AMOUNT_MINOR
        if decision.outcome is not _PAID or not (rule.limits or is_huge):
            return decision
        limits = limits_of(rule, decision.beneficiary_id, self._facts)
        if is_huge:
            caps = len(rule.caps)
            limits = (*limits[:caps], (LARGEST, None), *limits[caps:])
        steps, counted = decision.steps, []
        for limit, key in limits:
            room_minor = limit.amount_minor
            if key is not None:
                used_minor = self._used.get(key)
                if used_minor is None:
                    used_minor = self._facts.snapshot.values.get(key, 0)
                room_minor -= used_minor
                counted.append((key, used_minor))
            if amount_minor > room_minor:
                fits_minor = fitting(amount_minor, room_minor, limit.overflow)
                steps = (*steps, Limited(limit, amount_minor, fits_minor))
                amount_minor = fits_minor
        for key, used_minor in counted:
            self._used[key] = used_minor + amount_minor
        if amount_minor == decision.amount_minor:
            return decision
        outcome = Outcome.PAID if amount_minor else Outcome.CAPPED
        return decision._replace(outcome=outcome, amount_minor=amount_minor, steps=steps)


def limits_of(rule: Rule, beneficiary_id: str, facts: Facts) -> Sequence[tuple[Cap | Budget, TallyKey | None]]:
    """A rule's limits on what it pays somebody, in the order in which they apply, each with the tally of what is used; None for one
    of a single reward."""
    if not rule.limits:
        return ()
    found = facts.limits.get((rule.ordinal, beneficiary_id))
    if found is None:
        buyer_id, name_of = facts.conversion.buyer_id, facts.period
        found = [(each, each.tally(beneficiary_id, buyer_id, name_of)) for each in rule.limits]
        facts.limits[rule.ordinal, beneficiary_id] = found
    return found
