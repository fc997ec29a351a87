"""How much room caps and budgets leave, reward by reward: those of one conversion share it in their order."""

from collections.abc import Iterator, Sequence

from services.rewards.domain.decide.decision import Decision, Limited, Outcome
from services.rewards.domain.decide.facts import Facts
from services.rewards.domain.ledger import MAX_AMOUNT_MINOR
from services.rewards.domain.plan.limits import LARGEST, Budget, Cap, CapScope, fitting
from services.rewards.domain.plan.plan import Plan, Rule

Key = tuple[str, str, str]
"""Of a tally: name, subject, period."""

_PAID = Outcome.PAID
_OF_ONE = CapScope.REWARD
_OF_ALL = ((LARGEST, None),)


class Room:
    """What is left of the limits for the rewards of one conversion."""

    def __init__(self, plan: Plan, facts: Facts) -> None:
        self._plan = plan
        self._facts = facts
        self._used: dict[Key, int] = {}

    def fit(self, decision: Decision) -> Decision:
        """The decision within every limit: the rule's caps in their order, that of all rewards, the plan's budgets. Uses the room up."""
        is_limited = decision.rule.caps or self._plan.budgets or decision.amount_minor > MAX_AMOUNT_MINOR
        if decision.outcome is not _PAID or not is_limited:
            return decision
        amount_minor, steps = decision.amount_minor, list(decision.steps)
        keys = []
        for limit, key in limits_of(self._plan, decision.rule, decision.beneficiary_id, self._facts):
            room_minor = limit.amount_minor - (self._used_of(key) if key else 0)
            fits_minor = fitting(amount_minor, room_minor, limit.overflow)
            if fits_minor < amount_minor:
                steps.append(Limited(limit, amount_minor, fits_minor))
                amount_minor = fits_minor
            if key:
                keys.append(key)
        for key in keys:
            self._used[key] = self._used_of(key) + amount_minor
        if amount_minor == decision.amount_minor:
            return decision
        outcome = Outcome.PAID if amount_minor else Outcome.CAPPED
        return decision._replace(outcome=outcome, amount_minor=amount_minor, steps=tuple(steps))

    def _used_of(self, key: Key) -> int:
        used = self._used.get(key)
        return self._facts.snapshot.value(*key) if used is None else used


def limits_of(plan: Plan, rule: Rule, beneficiary_id: str, facts: Facts) -> Sequence[tuple[Cap | Budget, Key | None]]:
    """The limits on a reward, in the order in which they apply, each with the tally of what is used; None for one of its own."""
    if not rule.caps and not plan.budgets:
        return _OF_ALL
    found = facts.limits.get((rule.ordinal, beneficiary_id))
    if found is None:
        found = facts.limits[rule.ordinal, beneficiary_id] = tuple(_limits_of(plan, rule, beneficiary_id, facts))
    return found


def _limits_of(plan: Plan, rule: Rule, beneficiary_id: str, facts: Facts) -> Iterator[tuple[Cap | Budget, Key | None]]:
    for cap in rule.caps:
        if cap.scope is _OF_ONE:
            yield cap, None
        else:
            yield cap, (cap.name, cap.subject(beneficiary_id, facts.conversion.buyer_id), facts.period(cap.period))
    yield from _OF_ALL
    for budget in plan.budgets:
        if budget.asset == rule.asset.code and (not budget.rule_ids or rule.rule_id in budget.rule_ids):
            yield budget, (budget.name, "", facts.period(budget.period))
