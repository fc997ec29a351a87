"""The amount of an allotment for one conversion, and its division."""

from services.rewards.domain.decide.basis import Basis
from services.rewards.domain.plan.allotments import Allotment, Divided, diminished
from services.rewards.domain.plan.plan import Plan


def divide(plan: Plan, allotment: Allotment, at_first: Basis, left: Basis) -> Divided:
    """The parts of what is left. They depend on what the conversion was and what is left of it, not on the refunds
    between."""
    at_first_minor, left_minor = (_whole_minor(plan, allotment, each) for each in (at_first, left))
    parts = allotment.divided(at_first_minor)
    return Divided(at_first_minor, left_minor, diminished(parts, left_minor))


def _whole_minor(plan: Plan, allotment: Allotment, basis: Basis) -> int:
    _, numerator, denominator, percent = allotment.whole
    if percent is None:
        return plan.round(numerator, denominator)
    return plan.round(numerator * basis.numerator, denominator * basis.denominator)
