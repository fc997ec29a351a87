"""Occurrences: the choice of a buyer's conversions that a rule pays."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Occurrence:
    """A choice of a buyer's conversions; at least one of its fields is set."""

    first: int = 0
    """The number of first conversions that are paid; 0 for any number."""
    nth: int = 0
    """The number of the one conversion that is paid; 0 for any."""
    within_of_binding: timedelta | None = None
    """The time after the buyer's binding within which the conversion occurs (exclusive); None for ever, also if they
    are not bound."""
    after_binding_only: bool = False
    """Whether `within_of_binding` leaves out conversions that occurred before the binding. Versions that were published
    before anybody could say so do not leave it out."""
