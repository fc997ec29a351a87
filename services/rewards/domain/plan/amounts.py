"""The amount that a level is owed: its base, and the exact share of it."""

from collections.abc import Mapping
from enum import Enum
from fractions import Fraction
from typing import NamedTuple

from services.rewards.domain.details import Line


class Base(Enum):
    """The amount that a percentage is taken of."""

    ORDER = "order"
    MARGIN = "margin"
    LINES = "lines"
    EARNINGS = "earnings"


class LevelAmount(NamedTuple):
    """The amount of one level: a share of the base, or fixed."""

    level: int
    """0 for the buyer, 1 for the buyer's sponsor, and so on."""
    numerator: int
    """Minor units of the asset for one minor unit of the base, or in all if the amount is fixed."""
    denominator: int
    percent: Fraction | None
    """The percentage as the plan states it; None for a fixed amount."""


class TableRow(NamedTuple):
    """The amount that one line pays: a share of its remaining price, or fixed while anything of it remains."""

    share: Fraction
    """Minor units of the asset for one minor unit of the line, or in all if the amount is fixed."""
    percent: Fraction | None
    """The percentage as the plan states it; None for a fixed amount."""


class Table(NamedTuple):
    """Amounts by the kind of line."""

    by: str
    """`sku`, `category`, or the name of a line attribute."""
    rows: Mapping[str, TableRow]
    otherwise: TableRow | None

    def row(self, line: Line) -> TableRow | None:
        """The row by which a line pays; None for a line that pays nothing."""
        if self.by == "sku":
            value: str | None = line.sku
        elif self.by == "category":
            value = line.category
        else:
            value = line.attributes.get(self.by)
        return self.otherwise if value is None else self.rows.get(value, self.otherwise)
