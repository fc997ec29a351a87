"""The job that notify does by itself."""

import asyncio
from datetime import timedelta

import structlog

from services.notify.commands.deps import Deps
from services.notify.commands.retention import forget_old_entries

FORGET_SECONDS = 24 * 3600.0
RETRY_SECONDS = 60.0

log = structlog.get_logger(__name__)


async def forget_daily(deps: Deps, retention: timedelta) -> None:
    """Removes entries that are older than the retention, once a day, until cancelled. Several processes do no harm to
    one another."""
    while True:
        try:
            removed = await forget_old_entries(deps, retention)
        except Exception as error:
            log.warning("old entries not removed, will retry", error=error)
            await asyncio.sleep(RETRY_SECONDS)
        else:
            log.info("old entries removed", entries=removed)
            await deps.clock.sleep(FORGET_SECONDS)
