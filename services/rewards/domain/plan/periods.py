"""Stretches of time over which things are counted, in a plan's time zone."""

from datetime import datetime, tzinfo
from enum import Enum


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
    if period is Period.LIFETIME:
        return ""
    day = moment.astimezone(zone).date()
    if period is Period.DAY:
        return day.isoformat()
    if period is Period.WEEK:
        return f"{day:%G-W%V}"
    if period is Period.MONTH:
        return f"{day:%Y-%m}"
    return f"{day:%Y}-Q{(day.month + 2) // 3}" if period is Period.QUARTER else f"{day:%Y}"
