"""The file as a whole."""

from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Annotated, Any, ClassVar

from cli.scenario.shapes.events import Apply, Order, RefundOrder
from cli.scenario.shapes.expect import Expect
from cli.scenario.shapes.marks import NewPerson, ProgramFile, When
from cli.scenario.shapes.payouts import (
    Approve,
    ApprovePayout,
    AskPayout,
    BatchPayouts,
    BouncePayout,
    CancelPayout,
    Reject,
    RejectPayout,
    ReportPayout,
    RetryPayout,
)
from cli.scenario.shapes.people import Bind, Click, Enrol, MakeCode, MakeLink, Newcomer, SetAttributes, ShareInvitation
from cli.scenario.shapes.wallets import Buy, Capture, Exchange, Gift, GiveBack, Redeem, Void


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedRefusal:
    """The refusal that a step expects."""

    reason: str
    """The reason in the error's details, such as INSUFFICIENT_BALANCE."""
    field: str = ""
    """The request's field at fault."""

    SHORT: ClassVar[str] = "reason"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step: when, and one thing that happens or is expected."""

    at: When | None = None
    """The moment of the step; left out, it is that of the step before."""
    note: str = ""
    refused: ExpectedRefusal | None = None
    enrol: Enrol | None = None
    bind: Bind | None = None
    attributes: SetAttributes | None = None
    link: MakeLink | None = None
    code: MakeCode | None = None
    share: ShareInvitation | None = None
    click: Click | None = None
    order: Order | None = None
    refund: RefundOrder | None = None
    redeem: Redeem | None = None
    capture: Capture | None = None
    void: Void | None = None
    give_back: GiveBack | None = None
    buy: Buy | None = None
    exchange: Exchange | None = None
    gift: Gift | None = None
    approve: Approve | None = None
    reject: Reject | None = None
    ask_payout: AskPayout | None = None
    approve_payout: ApprovePayout | None = None
    reject_payout: RejectPayout | None = None
    batch_payouts: BatchPayouts | None = None
    report_payout: ReportPayout | None = None
    bounce_payout: BouncePayout | None = None
    retry_payout: RetryPayout | None = None
    cancel_payout: CancelPayout | None = None
    apply: Apply | None = None
    expect: Expect | None = None

    def actions(self) -> dict[str, Any]:
        """The actions of the step by their keys; in a sound file there is exactly one."""
        found = {name: getattr(self, name) for name in ACTIONS}
        return {name: action for name, action in found.items() if action is not None}


ACTIONS = tuple(each.name for each in fields(Step) if each.name not in ("at", "note", "refused"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A scenario file."""

    program: Annotated[str, ProgramFile()]
    start: datetime
    """The time at which the clock stands at first."""
    people: dict[NewPerson, Newcomer] = field(default_factory=dict)
    """The people who are enrolled at the start, in this order."""
    steps: tuple[Step, ...]
