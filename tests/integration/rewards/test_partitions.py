"""Months get partitions of their own, but for those of which the default partition has rows already."""

from datetime import UTC, datetime

import psycopg

from tests.conftest import Servers
from tests.integration.rewards.conftest import Ledger

FILLED, EMPTY = datetime(2190, 3, 15, tzinfo=UTC), datetime(2190, 5, 15, tzinfo=UTC)
"""Months of no other test."""
LATE = """
    INSERT INTO rewards.transfer
        (transfer_id, program_id, kind, participant_id, debit, credit, asset, amount_minor, cause_id)
    VALUES (rewards.month_id(%s), 'late', 2, 'maria', 2, 3, 'USD', 1, 'late')
"""
MADE = "SELECT relname FROM pg_class WHERE relname ~ '^(reward|transfer)_2190' AND relkind = 'r' ORDER BY 1"


async def test_a_month_that_has_rows_already_keeps_nobody_from_making_others(ledger: Ledger, servers: Servers) -> None:
    async with await psycopg.AsyncConnection.connect(servers.postgres.url, options="-c search_path=rewards") as conn:
        try:
            await conn.execute(LATE, [FILLED])
            for moment in (FILLED, EMPTY, EMPTY):
                for parent in ("reward", "transfer"):
                    await conn.execute("SELECT ensure_partition(%s, %s)", [parent, moment])
            made = await (await conn.execute(MADE)).fetchall()
            assert [name for (name,) in made] == ["reward_219003", "reward_219005", "transfer_219005"]
        finally:
            await conn.rollback()
