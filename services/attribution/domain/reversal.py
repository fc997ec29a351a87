"""How much of a conversion a reversal takes back."""

from dataclasses import dataclass, field
from datetime import datetime


class ReversalError(ValueError):
    """The reversal asks for what is not there."""

    def __init__(self, field_path: str, message: str) -> None:
        super().__init__(message)
        self.field_path = field_path
        """Path inside the reversal."""


@dataclass(frozen=True, slots=True)
class WholeExtent:
    """Everything that is left."""


@dataclass(frozen=True, slots=True)
class AmountExtent:
    """An amount, spread over the lines in proportion to what is left of each."""

    amount_minor: int
    """More than zero."""


@dataclass(frozen=True, slots=True)
class LinesExtent:
    """Amounts by line."""

    amounts: dict[str, int]
    """Minor units by line id, each more than zero."""


Extent = WholeExtent | AmountExtent | LinesExtent


@dataclass(frozen=True, slots=True)
class RemainingAmounts:
    """What is left of a conversion."""

    amount_minor: int
    lines: dict[str, int]
    """Minor units by line id; sums to `amount_minor`, or empty for conversions without lines."""
    is_reversed: bool = False
    """Whether it was taken back entirely: tells an event without value from one that is gone."""


@dataclass(frozen=True, slots=True)
class ReversedAmounts:
    """What a reversal takes back."""

    amount_minor: int
    lines: dict[str, int] = field(default_factory=dict)
    """The same by line, every amount more than zero."""
    completes: bool = False
    """Whether nothing is left after it."""


@dataclass(frozen=True, slots=True)
class ReversalDraft:
    """A reversal as the caller reports it."""

    path: str
    """Where it stands in the request, for errors."""
    reversal_id: str
    conversion_id: str
    currency_code: str
    """Empty unless an amount was given."""
    extent: Extent
    content: bytes
    """The whole report as an encoded message, defaults filled in."""
    body_hash: bytes


@dataclass(frozen=True, slots=True)
class Reversal:
    """A reversal as recorded."""

    key: int
    reversal_id: str
    conversion_id: str
    content: bytes
    body_hash: bytes
    taken: ReversedAmounts
    pending: bool
    create_time: datetime


def take(left: RemainingAmounts, extent: Extent) -> ReversedAmounts:
    """What `extent` takes from what is left. Raises ReversalError where it asks for more than that."""
    if left.is_reversed:
        raise ReversalError(_name(extent), "nothing is left of the conversion")
    match extent:
        case WholeExtent():
            return _everything(left)
        case AmountExtent(amount_minor):
            if amount_minor > left.amount_minor:
                raise ReversalError("amount.amount_minor", f"{left.amount_minor} minor units are left")
            return _some(left, spread(amount_minor, left.lines), amount_minor)
        case LinesExtent(amounts):
            for place, (line_id, amount_minor) in enumerate(amounts.items()):
                if line_id not in left.lines:
                    raise ReversalError(f"lines.lines[{place}].line_id", "the conversion has no such line")
                if amount_minor > left.lines[line_id]:
                    raise ReversalError(
                        f"lines.lines[{place}].amount_minor",
                        f"{left.lines[line_id]} minor units are left of line {line_id!r}",
                    )
            return _some(left, amounts, sum(amounts.values()))


def take_what_is_there(left: RemainingAmounts, extent: Extent) -> ReversedAmounts | None:
    """As `take`, for a reversal accepted before its conversion was known: it is cut to what there is.

    None where nothing remains of it.
    """
    if left.is_reversed:
        return None
    match extent:
        case WholeExtent():
            return _everything(left)
        case AmountExtent(amount_minor):
            extent = AmountExtent(min(amount_minor, left.amount_minor))
            return take(left, extent) if extent.amount_minor else None
        case LinesExtent(amounts):
            there = {line_id: min(amount, left.lines.get(line_id, 0)) for line_id, amount in amounts.items()}
            there = {line_id: amount for line_id, amount in there.items() if amount}
            return take(left, LinesExtent(there)) if there else None


def after(left: RemainingAmounts, taken: ReversedAmounts) -> RemainingAmounts:
    """What is left once `taken` is gone."""
    return RemainingAmounts(
        left.amount_minor - taken.amount_minor,
        {line_id: amount - taken.lines.get(line_id, 0) for line_id, amount in left.lines.items()},
        taken.completes,
    )


def spread(amount_minor: int, rests: dict[str, int]) -> dict[str, int]:
    """Splits an amount over lines in proportion to their rests; sums exactly and never exceeds a rest.

    Largest remainder (Hamilton): whole shares first, then one unit each in the order of the remainders, earlier
    lines first where they tie. `amount_minor` is at most the sum of the rests.
    """
    total = sum(rests.values())
    if total == 0:
        return {}
    shares = {line_id: divmod(amount_minor * rest, total) for line_id, rest in rests.items()}
    units = amount_minor - sum(share for share, _ in shares.values())
    lucky = set(sorted(shares, key=lambda line_id: -shares[line_id][1])[:units])
    parts = {line_id: share + (line_id in lucky) for line_id, (share, _) in shares.items()}
    return {line_id: part for line_id, part in parts.items() if part}


def _everything(left: RemainingAmounts) -> ReversedAmounts:
    return ReversedAmounts(
        left.amount_minor, {line_id: amount for line_id, amount in left.lines.items() if amount}, True
    )


def _some(left: RemainingAmounts, lines: dict[str, int], amount_minor: int) -> ReversedAmounts:
    return ReversedAmounts(amount_minor, lines, amount_minor == left.amount_minor)


def _name(extent: Extent) -> str:
    return {WholeExtent: "whole", AmountExtent: "amount", LinesExtent: "lines"}[type(extent)]
