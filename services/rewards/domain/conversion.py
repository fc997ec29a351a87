"""A conversion as the payout sees it: what happened, and what is left of it."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Conversion:
    """One conversion and the upline of its buyer at that time."""

    program_id: str
    conversion_id: str
    event_type: str
    currency_code: str
    amount_minor: int
    """What was paid at first."""
    margin_minor: int | None
    buyer_id: str
    occurred_at: datetime
    record_time: datetime
    upline: tuple[str, ...]
    """Participants by level: `upline[0]` is level 1."""
    remaining_minor: int
    """What is left of the amount."""
    void: bool = False
    """Whether nothing is left, also of a conversion without an amount."""

    @property
    def people(self) -> list[str]:
        """Everybody whom a plan can pay for it, each once: its rewards are found by them."""
        return list(dict.fromkeys((self.buyer_id, *self.upline)))


@dataclass(frozen=True, slots=True)
class Reversal:
    """One reversal of a conversion."""

    program_id: str
    reversal_id: str
    conversion_id: str
    amount_minor: int
    completes: bool
    record_time: datetime


class OverReversedError(ValueError):
    """More was taken back than there was: a fact that contradicts the others."""


def after(conversion: Conversion, reversals: Iterable[Reversal]) -> Conversion:
    """What is left of `conversion` after all of `reversals`, whatever their order."""
    remaining = conversion.amount_minor
    void = False
    for reversal in reversals:
        remaining -= reversal.amount_minor
        void = void or (reversal.completes and conversion.amount_minor == 0)
    if remaining < 0:
        raise OverReversedError(f"{conversion.conversion_id}: {-remaining} more was taken back than there was")
    return replace(conversion, remaining_minor=remaining, void=void or (conversion.amount_minor > 0 and remaining == 0))
