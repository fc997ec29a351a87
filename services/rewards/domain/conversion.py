"""Conversions as decisions see them, and their reversals."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from fractions import Fraction
from typing import NamedTuple

from services.rewards.domain.details import Details


class CallPlace(NamedTuple):
    """The place of a fact among those that one call of attribution recorded. Facts from before this was kept have
    none."""

    call_key: int = 0
    """The number of the call: the same for all its facts, and greater for a later call."""
    number: int = 0
    """The number of the fact in its call, counted from 1."""


UNPLACED = CallPlace()
ConversionKey = tuple[str, str]
"""(program_id, conversion_id)."""
ReversalKey = tuple[str, str]
"""(program_id, reversal_id)."""
Turn = tuple[str, datetime, CallPlace, str]
"""The key by which facts are sorted that take effect one after the other: program, time of recording, place in the
call, and the id where all else is equal."""


class Verdicts:
    """The verdicts of a plan's conditions on a conversion: kept for whoever decides it, or its rest, again."""

    __slots__ = ("by_question", "plan")

    def __init__(self, plan: object) -> None:
        self.plan = plan
        """The plan, whose conditions are known by their identity."""
        self.by_question: dict[object, bool | str] = {}
        """True, false, or why there is none; filled by decide/inputs.py."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """One conversion and the upline of its buyer at that time."""

    program_id: str
    conversion_id: str
    event_type: str
    currency_code: str
    amount_minor: int
    """The amount that was paid at first."""
    margin_minor: int | None
    buyer_id: str
    occurred_at: datetime
    record_time: datetime
    upline: tuple[str, ...]
    """Participants by level: `upline[0]` is level 1."""
    remaining_minor: int
    """The amount after all reversals so far."""
    void: bool = False
    """Whether nothing is left, also of a conversion without an amount."""
    read_details: Callable[[], Details] = field(default=Details, compare=False, repr=False)
    """Reads the details, which only some plans ask for; call it once."""
    taken_by_line: Mapping[str, int] = field(default_factory=dict)
    """The amount that was taken back of each line, by line id."""
    call_place: CallPlace = UNPLACED
    trace_id: str = field(default="", compare=False)
    """The trace by which log lines about it are found; nothing is decided by it."""
    verdicts: Verdicts | None = field(default=None, compare=False, repr=False)
    """The verdicts on it so far; None where they are not kept."""

    @property
    def key(self) -> ConversionKey:
        """The conversion's name among all conversions."""
        return self.program_id, self.conversion_id

    @property
    def turn(self) -> Turn:
        """The conversion's turn among conversions that are settled together."""
        return self.program_id, self.record_time, self.call_place, self.conversion_id

    @property
    def terms_time(self) -> datetime:
        """The time at which the version that pays the conversion has to be in force.

        A caller's clock may be ahead: a conversion is not paid by a version that was published after it was recorded.
        """
        return min(self.occurred_at, self.record_time)

    @property
    def touched(self) -> bool:
        """Whether something was taken back."""
        return self.void or self.remaining_minor != self.amount_minor

    def is_left(self, least_percent: Fraction) -> bool:
        """Whether at least so much of the amount is left, in percent of what it was at first."""
        return not self.touched or self.remaining_minor * 100 >= least_percent * self.amount_minor

    @property
    def whole(self) -> "Conversion":
        """The conversion as it was before anything was taken back."""
        return replace(self, remaining_minor=self.amount_minor, void=False, taken_by_line={}) if self.touched else self

    def keeping_verdicts(self, plan: object) -> "Conversion":
        """The conversion with the verdicts of a plan's conditions kept from now on, and its details."""
        details = self.read_details()
        return replace(self, read_details=lambda: details, verdicts=Verdicts(plan))

    @property
    def people(self) -> list[str]:
        """Everybody whom a plan can pay for the conversion, each once: its rewards are found by them.

        A person who is missing here would keep their reward when the conversion is taken back.
        """
        owner_id = self.read_details().link_owner_id
        return list(dict.fromkeys((self.buyer_id, *self.upline, *([owner_id] if owner_id else []))))


@dataclass(frozen=True, slots=True)
class Reversal:
    """One reversal of a conversion."""

    program_id: str
    reversal_id: str
    conversion_id: str
    amount_minor: int
    completes: bool
    record_time: datetime
    lines: tuple[tuple[str, int], ...] = ()
    """(line id, amount that is taken back of it); empty for conversions without lines."""
    call_place: CallPlace = UNPLACED
    trace_id: str = field(default="", compare=False)
    """The trace by which log lines about it are found; unknown, and empty, for one that is read from the database."""

    @property
    def key(self) -> ReversalKey:
        """The reversal's name among all reversals."""
        return self.program_id, self.reversal_id

    @property
    def turn(self) -> Turn:
        """The reversal's turn among reversals that are settled together."""
        return self.program_id, self.record_time, self.call_place, self.reversal_id


@dataclass(frozen=True, slots=True)
class ArrivedConversion:
    """A conversion that arrived, with the bytes of its event: they are stored as they came."""

    conversion: Conversion
    event: bytes

    @property
    def key(self) -> ConversionKey:
        """The conversion's name among all conversions."""
        return self.conversion.key

    @property
    def program_id(self) -> str:
        """The program that the conversion belongs to."""
        return self.conversion.program_id


@dataclass(frozen=True, slots=True)
class FactBatch:
    """Facts that arrived together, each once, in the order in which they take effect."""

    conversions: list[ArrivedConversion]
    reversals: list[Reversal]


class OverReversedError(ValueError):
    """More was taken back than there was: a fact that contradicts the others."""


def after(conversion: Conversion, reversals: Iterable[Reversal]) -> Conversion:
    """The conversion as it is after all of `reversals`, whatever their order."""
    remaining = conversion.amount_minor
    void = False
    taken_by_line: dict[str, int] = {}
    for reversal in reversals:
        remaining -= reversal.amount_minor
        for line_id, taken_minor in reversal.lines:
            taken_by_line[line_id] = taken_by_line.get(line_id, 0) + taken_minor
        void = void or (reversal.completes and conversion.amount_minor == 0)
    if remaining < 0:
        raise OverReversedError(f"{conversion.conversion_id}: {-remaining} more was taken back than there was")
    void = void or (conversion.amount_minor > 0 and remaining == 0)
    return replace(conversion, remaining_minor=remaining, void=void, taken_by_line=taken_by_line)
