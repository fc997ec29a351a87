"""The base of a rule: the amount that its percentages are taken of."""

from fractions import Fraction
from typing import NamedTuple

from services.rewards.domain.conversion import Conversion
from services.rewards.domain.decide.decision import ConditionFailureStep, Outcome, Step
from services.rewards.domain.decide.inputs import Inputs
from services.rewards.domain.details import Line
from services.rewards.domain.plan.amounts import Base, Table
from services.rewards.domain.plan.condition import ConditionError
from services.rewards.domain.plan.plan import Plan, Rule

_ORDER = Base.ORDER  # in Python 3.11, to look up a member takes longer than much of what is done with it


class Basis(NamedTuple):
    """A rule's base as an exact fraction, or why there is none."""

    numerator: int
    denominator: int
    minor: int
    """The fraction, rounded down."""
    unpaid: Outcome | None = None
    steps: tuple[Step, ...] = ()


def basis_of(plan: Plan, rule: Rule, conversion: Conversion) -> Basis:
    """The base of a rule on ORDER or MARGIN."""
    if conversion.void:
        return _REVERSED
    if conversion.currency_code != plan.currency_code:
        return _MISMATCH
    if rule.base is _ORDER:
        return Basis(conversion.remaining_minor, 1, conversion.remaining_minor)
    if conversion.margin_minor is None:
        return Basis(0, 1, 0)
    if conversion.amount_minor == 0:
        return Basis(conversion.margin_minor, 1, conversion.margin_minor)
    # The margin shrinks in proportion to the amount; kept as a fraction, so that rounding happens once, at the end.
    numerator = conversion.margin_minor * conversion.remaining_minor
    return Basis(numerator, conversion.amount_minor, numerator // conversion.amount_minor)


def basis_of_lines(plan: Plan, rule: Rule, inputs: Inputs) -> Basis:
    """The base of a rule on LINES: the rest of the lines. With a table, it is what they pay in minor units of the
    asset."""
    whole = basis_of(plan, rule, inputs.conversion)
    if whole.unpaid is not None:
        return whole
    try:
        lines = [each for each in inputs.details.lines if rule.lines is None or inputs.holds_for_line(rule.lines, each)]
    except ConditionError as error:
        return Basis(0, 1, 0, Outcome.CONDITION_ERROR, (ConditionFailureStep(str(error)),))
    left = sum(_left(each, inputs) for each in lines)
    if rule.table is None:
        return Basis(left, 1, left)
    paid = sum((_pays(rule.table, each, inputs) for each in lines), Fraction())
    return Basis(paid.numerator, paid.denominator, left)


def _left(line: Line, inputs: Inputs) -> int:
    return line.amount_minor - inputs.conversion.taken_by_line.get(line.line_id, 0)


def _pays(table: Table, line: Line, inputs: Inputs) -> Fraction:
    row = table.row(line)
    if row is None:
        return Fraction(0)
    left = _left(line, inputs)
    if row.percent is not None:
        return row.share * left
    # A line that cost nothing has nothing to be taken back: it stays while the conversion does.
    return row.share if left or not line.amount_minor else Fraction(0)


_REVERSED = Basis(0, 1, 0, Outcome.REVERSED)
_MISMATCH = Basis(0, 1, 0, Outcome.CURRENCY_MISMATCH)
