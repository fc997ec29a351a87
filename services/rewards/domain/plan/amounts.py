"""How much a level is owed: of what, and exactly."""

from collections.abc import Mapping
from enum import Enum
from fractions import Fraction
from typing import NamedTuple

from services.rewards.domain.details import Line


class Base(Enum):
    """What a percentage is taken of."""

    ORDER = "order"
    MARGIN = "margin"
    LINES = "lines"
    EARNINGS = "earnings"


class LevelAmount(NamedTuple):
    """What one level gets: a share of the base, or a fixed amount."""

    level: int
    """0 for the buyer, 1 for his sponsor, …"""
    numerator: int
    """Asset minor units: of one minor unit of the base, or fixed."""
    denominator: int
    percent: Fraction | None
    """The percentage as the plan states it; None for a fixed amount."""


class TableRow(NamedTuple):
    """What one line pays: a share of what is left of it, or a fixed amount while anything of it is left."""

    share: Fraction
    """Asset minor units: of one minor unit of the line, or fixed."""
    percent: Fraction | None
    """The percentage as the plan states it; None for a fixed amount."""


class Table(NamedTuple):
    """Amounts by line."""

    by: str
    """`sku`, `category`, or the name of a line attribute."""
    rows: Mapping[str, TableRow]
    otherwise: TableRow | None

    def row(self, line: Line) -> TableRow | None:
        """What the line pays by; None for nothing."""
        if self.by == "sku":
            value: str | None = line.sku
        elif self.by == "category":
            value = line.category
        else:
            value = line.attributes.get(self.by)
        return self.otherwise if value is None else self.rows.get(value, self.otherwise)
