"""Things that wait for too long, or for somebody: counted now and then, by indexes and up to a bound."""

from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.measuring import MOST_COUNTED, Standing
from services.rewards.domain.wallet.payout import PayoutState
from services.rewards.store.holds import IS_ENDED

HOLD_LATE = timedelta(minutes=1)
"""A hold that is over is released within seconds: one that is so late is overdue."""

# Each of the two indexes has only what has not ended; marks of holds without an end are never due.
_OVERDUE_HOLDS = text(f"""
    SELECT program_id, count(*) AS number,
        extract(epoch FROM CAST(:now AS timestamptz) - min(due_time))::float8 AS age_seconds
    FROM (
        (SELECT program_id, due_time FROM hold WHERE due_time <= :late ORDER BY due_time LIMIT {MOST_COUNTED})
        UNION ALL
        (SELECT program_id, greatest(earliest, event_time, decide_time) FROM hold_wait
         WHERE {IS_ENDED} AND earliest <= :late AND greatest(earliest, event_time, decide_time) <= :late
         ORDER BY earliest LIMIT {MOST_COUNTED})
    ) AS overdue
    GROUP BY program_id
""")
_OPEN_STATES = (PayoutState.REQUESTED, PayoutState.APPROVED, PayoutState.SENT, PayoutState.FAILED)
"""The states in which a payout waits for somebody; the index `payout_open` has these and no others."""
_WAITING_PAYOUTS = text(f"""
    SELECT program_id, state, count(*) AS number,
        extract(epoch FROM CAST(:now AS timestamptz) - min(update_time))::float8 AS age_seconds
    FROM (
        SELECT program_id, state, update_time FROM payout
        WHERE state = ANY (ARRAY[{", ".join(f"{each:d}" for each in _OPEN_STATES)}]) LIMIT {MOST_COUNTED}
    ) AS waiting
    GROUP BY program_id, state
""")


async def overdue_holds(conn: AsyncConnection, now: datetime) -> dict[str, Standing]:
    """Holds that were over HOLD_LATE ago and are not released, by program."""
    rows = await conn.execute(_OVERDUE_HOLDS, {"now": now, "late": now - HOLD_LATE})
    return {row.program_id: Standing(row.number, row.age_seconds) for row in rows}


async def waiting_payouts(conn: AsyncConnection, now: datetime) -> dict[tuple[PayoutState, str], Standing]:
    """Payouts that have not come to an end, by state and program, with the time since they came into it."""
    rows = await conn.execute(_WAITING_PAYOUTS, {"now": now})
    return {(PayoutState(row.state), row.program_id): Standing(row.number, max(0.0, row.age_seconds)) for row in rows}
