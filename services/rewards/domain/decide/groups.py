"""Groups: of rules that compete, each beneficiary gets the one that is worth most to them."""

from collections.abc import Sequence
from fractions import Fraction

from services.rewards.domain.decide.decision import Decision, OutbidStep, Outcome


def best_of_groups(decisions: Sequence[Decision]) -> list[Decision]:
    """All decisions; those that are outbid pay nothing. Of equals, the first stands."""
    best: dict[tuple[str, str], tuple[Fraction, int]] = {}
    for index, each in enumerate(decisions):
        if each.rule.group and each.outcome is Outcome.PAID:
            key, worth = (each.rule.group, each.beneficiary_id), each.amount_minor * each.rule.unit_worth
            if key not in best or worth > best[key][0]:
                best[key] = worth, index
    if not best:
        return list(decisions)
    return [_stand(each, index, decisions, best) for index, each in enumerate(decisions)]


def _stand(
    decision: Decision, index: int, decisions: Sequence[Decision], best: dict[tuple[str, str], tuple[Fraction, int]]
) -> Decision:
    if not decision.rule.group or decision.outcome is not Outcome.PAID:
        return decision
    winner = best[decision.rule.group, decision.beneficiary_id][1]
    if winner == index:
        return decision
    steps = (*decision.steps, OutbidStep(decisions[winner].rule.rule_id))
    return decision._replace(outcome=Outcome.OUTBID, amount_minor=0, steps=steps)
