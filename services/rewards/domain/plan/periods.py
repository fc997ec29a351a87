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


_LIFETIME = Period.LIFETIME  # in Python 3.11, to look up a member takes longer than much of what is done with it
_DAY = Period.DAY
_WEEK = Period.WEEK
_MONTH = Period.MONTH


def period_name(period: Period, moment: datetime, zone: tzinfo) -> str:
    """The period around `moment`, as tallies name it (ISO 8601 where it has a name: `2026-05-01`, `2026-W18`, `2026-05`, `2026-Q2`, `2026`).

    Empty for LIFETIME. Periods of different length have different names, so that one which begins with a longer one has a count of its own.
    """
    if period is _LIFETIME:
        return ""
    day = moment.astimezone(zone).date()
    if period is _DAY:
        return day.isoformat()
    if period is _WEEK:
        return f"{day:%G-W%V}"
    if period is _MONTH:
        return f"{day.year:04}-{day.month:02}"
    return f"{day.year:04}-Q{(day.month + 2) // 3}" if period is Period.QUARTER else f"{day.year:04}"
