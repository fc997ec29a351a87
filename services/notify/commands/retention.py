"""Removing inbox entries that have grown old."""

from datetime import timedelta

from chassis.ids import least_id
from services.notify.commands.deps import Deps
from services.notify.store import causes as cause_store
from services.notify.store import entries as entry_store

BLOCKS_A_TRANSACTION = 4_096
"""The blocks that one transaction looks through, 32 MB of the table: some hundred thousand entries at most."""
CAUSES_A_TRANSACTION = 5_000


async def forget_old_entries(deps: Deps, retention: timedelta) -> int:
    """Removes entries older than the retention, in small transactions, and then their causes; returns how many
    entries."""
    oldest = least_id(deps.clock.now() - retention)
    async with deps.database.transaction() as conn:
        blocks = await entry_store.block_count(conn)
    removed = 0
    for first in range(0, blocks, BLOCKS_A_TRANSACTION):
        async with deps.database.transaction() as conn:
            removed += await entry_store.remove_older(conn, oldest, first, first + BLOCKS_A_TRANSACTION)
    more = True
    while more:
        async with deps.database.transaction() as conn:
            more = await cause_store.remove_older(conn, oldest, CAUSES_A_TRANSACTION) == CAUSES_A_TRANSACTION
    return removed
