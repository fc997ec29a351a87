"""Stretches of time over which things are counted, in a plan's time zone."""

from collections.abc import Mapping
from datetime import date, datetime, tzinfo
from enum import Enum
from functools import lru_cache


class Period(Enum):
    """How long a count goes on before it begins anew."""

    LIFETIME = "lifetime"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"


def period_name(period: Period, moment: datetime, zone: tzinfo) -> str:
    """The period around `moment`, as tallies name it (ISO 8601 where it has a name: `2026-05-01`, `2026-W18`, `2026-05`, `2026-Q2`, `2026`).

    Empty for LIFETIME. Periods of different length have different names, so that one which begins with a longer one has a count of its own.
    """
    return period_names(moment, zone)[period.value]


def period_names(moment: datetime, zone: tzinfo) -> Mapping[str, str]:
    """The same for every period, by its value."""
    return _names(moment.astimezone(zone).date())


@lru_cache(maxsize=1_000)  # most conversions happen on the same few days
def _names(day: date) -> Mapping[str, str]:
    year = f"{day.year:04}"
    return {
        Period.LIFETIME.value: "",
        Period.DAY.value: day.isoformat(),
        Period.WEEK.value: f"{day:%G-W%V}",
        Period.MONTH.value: f"{year}-{day.month:02}",
        Period.QUARTER.value: f"{year}-Q{(day.month + 2) // 3}",
        Period.YEAR.value: year,
    }
