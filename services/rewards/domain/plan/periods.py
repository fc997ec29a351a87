"""Stretches of time over which things are counted, in a plan's time zone."""

from collections.abc import Mapping
from datetime import date, datetime, tzinfo
from enum import StrEnum
from functools import lru_cache


class Period(StrEnum):
    """The time over which a count goes on. A text, because members of other enumerations are hashed by Python code."""

    LIFETIME = "lifetime"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"


def period_name(period: Period, moment: datetime, zone: tzinfo) -> str:
    """The name of the period around `moment` in tallies; empty for LIFETIME.

    It is that of ISO 8601 where there is one (`2026-05-01`, `2026-W18`, `2026-05`, `2026-Q2`, `2026`). Periods of
    different length have different names, so that one which begins with a longer one has a count of its own.
    """
    return period_names(moment, zone)[period]


def period_names(moment: datetime, zone: tzinfo) -> Mapping[Period, str]:
    """The names of the periods around `moment`, for every length."""
    return _names(moment.astimezone(zone).date())


@lru_cache(maxsize=1_000)  # most conversions happen on the same few days
def _names(day: date) -> Mapping[Period, str]:
    return {
        Period.LIFETIME: "",
        Period.DAY: day.isoformat(),
        Period.WEEK: f"{day:%G-W%V}",
        Period.MONTH: f"{day.year:04}-{day.month:02}",
        Period.QUARTER: f"{day.year:04}-Q{(day.month + 2) // 3}",
        Period.YEAR: f"{day.year:04}",
    }
