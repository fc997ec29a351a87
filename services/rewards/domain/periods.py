"""Stretches of time over which things are counted, in a plan's time zone."""

from datetime import datetime, timedelta, tzinfo
from enum import Enum


class Period(Enum):
    """How long a count goes on before it begins anew."""

    LIFETIME = "lifetime"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"


def period_start(period: Period, moment: datetime, zone: tzinfo) -> str:
    """The local date (ISO 8601) on which the period around `moment` began; empty for LIFETIME. A week begins on Monday."""
    if period is Period.LIFETIME:
        return ""
    day = moment.astimezone(zone).date()
    if period is Period.WEEK:
        day -= timedelta(days=day.weekday())
    elif period is Period.MONTH:
        day = day.replace(day=1)
    elif period is Period.QUARTER:
        day = day.replace(month=(day.month - 1) // 3 * 3 + 1, day=1)
    elif period is Period.YEAR:
        day = day.replace(month=1, day=1)
    return day.isoformat()
