"""The work that the attribution service does by itself, and how long its rows live."""

import asyncio
from datetime import timedelta

import structlog

from chassis.gaps import GAPS
from chassis.retention import Life, common_lives
from services.attribution.commands.click_writing import renew_partitions
from services.attribution.commands.deps import WriterDeps
from services.attribution.settings import AttributionSettings

UPKEEP_SECONDS = 3_600.0
UPKEEP_RETRY_SECONDS = 30.0

log = structlog.get_logger(__name__)


def lives(settings: AttributionSettings) -> list[Life]:
    """How long the rows of the tables that grow live; clicks go by whole days instead."""
    shares = Life("shares", ("share",), "create_time < :before", settings.share_retention_days)
    return [*common_lives(settings), shares, GAPS]


async def look_after_partitions(deps: WriterDeps, retention: timedelta) -> None:
    """Makes partitions of clicks ahead and drops old ones, until cancelled. A day too many or too few does no harm, so
    a fault waits for the next round."""
    while True:
        wait_seconds = UPKEEP_SECONDS
        try:
            await renew_partitions(deps, retention)
        except Exception as error:
            log.warning("click partitions not looked after, will retry", error=error)
            wait_seconds = UPKEEP_RETRY_SECONDS
        await asyncio.sleep(wait_seconds)
