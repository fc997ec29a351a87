"""Expiry: the oldest value of a wallet goes first. Amounts are in the asset's minor units.

No lots are kept: whatever leaves a wallet is taken out of the value that came in first. So the part of it that came in
until some time and is still there is everything that came in until then less everything that ever left. Value that was
set aside or spent and came back counts as never having left.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

WARNING = timedelta(days=7)
"""How long before something expires its owner is told, or a quarter of its time where that is shorter."""
SCAN_INTERVAL = timedelta(days=1)
"""How long after a scan the next one comes at the latest. Terms may change meanwhile, and something may come that lives
no longer: after half of its life it has not even been announced."""


@dataclass(frozen=True, slots=True)
class ExpiryScan:
    """The results of scanning a wallet."""

    expired_minor: int
    warned_minor: int
    """The amount that its owner is to be warned of."""
    warned_time: datetime | None
    """When the first part of that amount expires."""
    warned_until: datetime | None
    """The owner is warned of everything that expires until then."""
    check_time: datetime
    """When to scan the wallet again."""


def scan_wallet(
    inflows: Sequence[tuple[datetime, int]],
    outflow_minor: int,
    expires_after: timedelta,
    now: datetime,
    warned_until: datetime | None,
) -> ExpiryScan:
    """Finds the part of a wallet's `inflows` (oldest first) that has expired by now, and the part that soon will. A
    unit that came at t can be used before t + `expires_after`."""
    ahead = min(WARNING, expires_after / 4)
    expired, soon, first_soon = 0, 0, None
    check_time = now + min(SCAN_INTERVAL, expires_after / 2)
    left = outflow_minor
    for came, amount in inflows:
        used = min(left, amount)
        left -= used
        left_minor = amount - used
        if not left_minor:
            continue
        end = came + expires_after
        if end <= now:
            expired += left_minor
            continue
        if warned_until is None or end > warned_until:
            if end - ahead > now:
                check_time = min(check_time, end - ahead)
                break
            soon += left_minor
            first_soon = first_soon or end
        check_time = min(check_time, end)
    next_warned_until = warned_until if first_soon is None else now + ahead
    return ExpiryScan(expired, soon, first_soon, next_warned_until, check_time)
