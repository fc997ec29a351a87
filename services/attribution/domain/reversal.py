"""Decides how much of a conversion a reversal takes back."""

from dataclasses import dataclass, field
from datetime import datetime


class ReversalError(ValueError):
    """The reversal asks for more than remains, or for a line that is not there."""

    def __init__(self, field_path: str, message: str) -> None:
        super().__init__(message)
        self.field_path = field_path
        """The path of the field at fault, inside the reversal."""


@dataclass(frozen=True, slots=True)
class WholeExtent:
    """The extent of a reversal that takes back everything that remains."""


@dataclass(frozen=True, slots=True)
class AmountExtent:
    """The extent of a reversal that takes back an amount, spread over the lines in proportion to what remains of
    each."""

    amount_minor: int
    """The amount to take back, more than zero."""


@dataclass(frozen=True, slots=True)
class LinesExtent:
    """The extent of a reversal that takes back amounts by line."""

    amounts: dict[str, int]
    """Minor units by line id, each more than zero."""


Extent = WholeExtent | AmountExtent | LinesExtent


@dataclass(frozen=True, slots=True)
class RemainingAmounts:
    """The amounts that remain of a conversion."""

    amount_minor: int
    lines: dict[str, int]
    """The minor units that remain by line id; they sum to `amount_minor`, or are empty for conversions without
    lines."""
    is_reversed: bool = False
    """Whether the conversion was reversed entirely: tells an event without value from one that is gone."""


@dataclass(frozen=True, slots=True)
class ReversedAmounts:
    """The amounts that a reversal takes back."""

    amount_minor: int
    lines: dict[str, int] = field(default_factory=dict)
    """The part of the amount that falls on each line, more than zero each."""
    completes: bool = False
    """Whether nothing remains after this reversal."""


@dataclass(frozen=True, slots=True)
class ReversalDraft:
    """A reversal as the caller reports it."""

    path: str
    """The place of the reversal in the request, for errors."""
    reversal_id: str
    conversion_id: str
    currency_code: str
    """The currency of the amount; empty unless an amount was given."""
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
    amounts: ReversedAmounts
    pending: bool
    create_time: datetime


def reversed_amounts(remaining: RemainingAmounts, extent: Extent) -> ReversedAmounts:
    """The amounts that a reversal of such an extent takes back. Raises ReversalError if that is more than remains."""
    if remaining.is_reversed:
        raise ReversalError(_field_of(extent), "nothing is left of the conversion")
    match extent:
        case WholeExtent():
            return _everything(remaining)
        case AmountExtent(amount_minor):
            if amount_minor > remaining.amount_minor:
                raise ReversalError("amount.amount_minor", f"{remaining.amount_minor} minor units are left")
            return _part(remaining, spread(amount_minor, remaining.lines), amount_minor)
        case LinesExtent(amounts):
            for index, (line_id, amount_minor) in enumerate(amounts.items()):
                if line_id not in remaining.lines:
                    raise ReversalError(f"lines.lines[{index}].line_id", "the conversion has no such line")
                if amount_minor > remaining.lines[line_id]:
                    raise ReversalError(
                        f"lines.lines[{index}].amount_minor",
                        f"{remaining.lines[line_id]} minor units are left of line {line_id!r}",
                    )
            return _part(remaining, amounts, sum(amounts.values()))


def reverse_what_remains(remaining: RemainingAmounts, extent: Extent) -> ReversedAmounts | None:
    """The amounts that a reversal takes back which was accepted before its conversion was known: no more than remains.

    None where nothing remains for it.
    """
    if remaining.is_reversed:
        return None
    match extent:
        case WholeExtent():
            return _everything(remaining)
        case AmountExtent(amount_minor):
            extent = AmountExtent(min(amount_minor, remaining.amount_minor))
            return reversed_amounts(remaining, extent) if extent.amount_minor else None
        case LinesExtent(amounts):
            cut = {line_id: min(amount, remaining.lines.get(line_id, 0)) for line_id, amount in amounts.items()}
            cut = {line_id: amount for line_id, amount in cut.items() if amount}
            return reversed_amounts(remaining, LinesExtent(cut)) if cut else None


def remaining_after(remaining: RemainingAmounts, amounts: ReversedAmounts) -> RemainingAmounts:
    """The amounts that remain once some are reversed."""
    return RemainingAmounts(
        remaining.amount_minor - amounts.amount_minor,
        {line_id: amount - amounts.lines.get(line_id, 0) for line_id, amount in remaining.lines.items()},
        amounts.completes,
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


def _everything(remaining: RemainingAmounts) -> ReversedAmounts:
    lines = {line_id: amount for line_id, amount in remaining.lines.items() if amount}
    return ReversedAmounts(remaining.amount_minor, lines, True)


def _part(remaining: RemainingAmounts, lines: dict[str, int], amount_minor: int) -> ReversedAmounts:
    return ReversedAmounts(amount_minor, lines, amount_minor == remaining.amount_minor)


def _field_of(extent: Extent) -> str:
    return {WholeExtent: "whole", AmountExtent: "amount", LinesExtent: "lines"}[type(extent)]
