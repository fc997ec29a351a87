"""Steps in which something happens: orders and other rewarded events, refunds, a changed program."""

from dataclasses import dataclass, field
from typing import Annotated, ClassVar

from cli.scenario.shapes.marks import (
    CLICK,
    EVENT,
    PERSON,
    AnyName,
    Attributes,
    Event,
    KnownName,
    Money,
    NewName,
    ProgramFile,
    When,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderLine:
    """One line of an order."""

    amount: Money
    id: str = ""
    sku: str = ""
    category: str = ""
    attributes: Attributes = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An event of a buyer's: an order unless `type` says otherwise."""

    id: Annotated[str, NewName(EVENT)]
    buyer: Annotated[str, AnyName(PERSON)]
    type: str = "order"
    amount: Money | None = None
    """The amount; left out, it is the sum of the lines, or the event is without value."""
    lines: tuple[OrderLine, ...] = ()
    margin: Money | None = None
    attributes: Attributes = field(default_factory=dict)
    code: str = ""
    """The code that the buyer typed; it need not exist."""
    click: Annotated[str, KnownName(CLICK)] = ""
    visitor: str = ""
    new_customer: bool | None = None
    occurred: When | None = None
    """The time at which it happened; left out, it is that of the step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundOrder:
    """An order is taken back: all that is left of it, an amount, or amounts by line."""

    of: Event
    id: str = ""
    amount: Money | None = None
    lines: dict[str, Money] = field(default_factory=dict)
    reason: str = ""

    SHORT: ClassVar[str] = "of"


@dataclass(frozen=True, slots=True, kw_only=True)
class Apply:
    """A changed program file is applied: from now on it pays."""

    file: Annotated[str, ProgramFile()]

    SHORT: ClassVar[str] = "file"
