"""What expires, oldest first. Amounts in the asset's minor units.

No lots are kept: whatever leaves a wallet is taken out of what came in first, so what came in until some time and is still there is
everything that came in until then less everything that ever left. What was set aside or spent and came back counts as never having left.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

WARNING = timedelta(days=7)
"""How long before something expires its owner is told, or a quarter of its time where that is shorter."""
LOOK_AGAIN = timedelta(days=1)
"""Terms may change meanwhile, and something may come that lives no longer: after half of its life it has not even been announced."""


@dataclass(frozen=True, slots=True)
class ExpiryScan:
    """What a look at a wallet finds."""

    expired_minor: int
    warned_minor: int
    """What its owner is to be told of."""
    warned_time: datetime | None
    """When the first of that expires."""
    warned_until: datetime | None
    """What expires until then was told of."""
    check_time: datetime
    """When to look again."""


def scan_wallet(
    inflows: Sequence[tuple[datetime, int]],
    outflow_minor: int,
    expires_after: timedelta,
    now: datetime,
    warned_until: datetime | None,
) -> ExpiryScan:
    """What of a wallet's `inflows` (oldest first) has expired by now, and what will soon. A unit that came at t can be used before
    t + `expires_after`."""
    ahead = min(WARNING, expires_after / 4)
    expired, soon, first_soon = 0, 0, None
    check_time = now + min(LOOK_AGAIN, expires_after / 2)
    left = outflow_minor
    for came, amount in inflows:
        used = min(left, amount)
        left -= used
        there = amount - used
        if not there:
            continue
        end = came + expires_after
        if end <= now:
            expired += there
            continue
        if warned_until is None or end > warned_until:
            if end - ahead > now:
                check_time = min(check_time, end - ahead)
                break
            soon += there
            first_soon = first_soon or end
        check_time = min(check_time, end)
    told_until = warned_until if first_soon is None else now + ahead
    return ExpiryScan(expired, soon, first_soon, told_until, check_time)
