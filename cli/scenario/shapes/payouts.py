"""Value that leaves, and rewards that wait for a person."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from cli.scenario.shapes.marks import PAYOUT, Amount, Asset, Event, NewName, Payout, Person


@dataclass(frozen=True, slots=True, kw_only=True)
class Approve:
    """An event's rewards that wait for a person's word get it."""

    event: Event

    SHORT: ClassVar[str] = "event"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reject:
    """An event's rewards that wait for a person's word are rejected."""

    event: Event
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AskPayout:
    """A person asks for a payout."""

    id: Annotated[str, NewName(PAYOUT)]
    by: Person
    asset: Asset
    amount: Amount
    method: str
    destination: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovePayout:
    """A payout that waits for a person's word gets it."""

    payout: Payout

    SHORT: ClassVar[str] = "payout"


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectPayout:
    """A payout is rejected by a person."""

    payout: Payout
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchPayouts:
    """All approved payouts are handed over in a file."""

    id: str
    method: str = ""

    SHORT: ClassVar[str] = "id"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportPayout:
    """The provider's answer to the last handing over: paid, unless there is `failed`, which may say why not."""

    payout: Payout
    failed: str | None = None
    reference: str = ""

    SHORT: ClassVar[str] = "payout"


@dataclass(frozen=True, slots=True, kw_only=True)
class BouncePayout:
    """A payout that was paid comes back."""

    payout: Payout
    reason: str = ""

    SHORT: ClassVar[str] = "payout"


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPayout:
    """A failed payout is handed over once more."""

    payout: Payout

    SHORT: ClassVar[str] = "payout"


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelPayout:
    """A failed payout is given up."""

    payout: Payout

    SHORT: ClassVar[str] = "payout"
