"""The checkpoint that an audit of all programs goes on from: the sums of accounts as the last clean audit found them.

The sums are of the movements that were written before the *horizon*, the oldest transaction that was still running
then. So no transaction that commits late is passed over: what it writes is at the horizon or beyond it, whatever times
its ids tell. Movements beyond the horizon are new to the next audit, also those that were seen already.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from psycopg.errors import LockNotAvailable
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.database import allow_statements
from services.rewards.store.audits.balances import legs
from services.rewards.store.audits.findings import AUDIT_TIMEOUT_MS

FULL_AFTER = timedelta(days=7)
"""The longest time between full audits: what no sample comes by is looked at again within it, however much there is."""

# The lock of a table is taken before a transaction has its snapshot, so that it shows what the audit before it wrote.
# Nobody but audits takes this one: reading and writing rows goes on.
_LOCK = "LOCK TABLE audit_checkpoint IN SHARE UPDATE EXCLUSIVE MODE"
_MAKE = text("INSERT INTO audit_checkpoint DEFAULT VALUES ON CONFLICT DO NOTHING")
_READ = text(f"""
    SELECT CASE WHEN horizon <= present THEN horizon END AS horizon, present, clean_time, due_time <= now() AS is_due,
        nullif(due_time, '-infinity') AS due_time,
        full_time > now() - make_interval(secs => {FULL_AFTER.total_seconds()}) AS is_fresh,
        sampled_program_id, sampled_participant_id,
        greatest(full_time, nullif(last_round_time, 'infinity')) AS round_time
    FROM (SELECT *, txid_snapshot_xmin(txid_current_snapshot()) + shift AS present FROM audit_checkpoint) AS c
""")
_ADD = """
    INSERT INTO audit_sum (program_id, participant_id, place, asset, amount_minor, movement_count)
    SELECT program_id, participant_id, place, asset, amount_minor, movement_count FROM ({}) AS t ORDER BY 1, 2, 3, 4
    ON CONFLICT (program_id, participant_id, place, asset) DO UPDATE
    SET amount_minor = audit_sum.amount_minor + excluded.amount_minor,
        movement_count = audit_sum.movement_count + excluded.movement_count
"""
_ADD_NEWS = text(_ADD.format(legs("news", "writer < :present")))
_ADD_ALL = text(_ADD.format(legs("movement", "(writer IS NULL OR writer < :present)")))
_ADVANCE = text("UPDATE audit_checkpoint SET horizon = :present, clean_time = now()")
_FULL = text("UPDATE audit_checkpoint SET full_time = now()")
_FORGET = text("UPDATE audit_checkpoint SET horizon = NULL")
_NEXT = text("UPDATE audit_checkpoint SET due_time = now() + make_interval(secs => :seconds) RETURNING due_time")
_SAMPLED = text("""
    UPDATE audit_checkpoint SET sampled_program_id = :program_id, sampled_participant_id = :participant_id,
        round_time = CASE WHEN round_time = 'infinity' OR :is_round THEN now() ELSE round_time END,
        last_round_time = CASE WHEN :is_round THEN least(round_time, now()) ELSE last_round_time END
""")


class AuditUnderWayError(Exception):
    """Somebody else audits all programs."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The state of audits."""

    horizon: int | None
    """Movements of this writer and of later ones are new; None where the next audit has to read everything."""
    present: int
    """The horizon of an audit in this transaction."""
    clean_time: datetime | None
    is_due: bool
    """Whether it is time for a process to audit by itself."""
    due_time: datetime | None
    """When that time comes, or came; another one after each such audit."""
    is_fresh: bool
    """Whether everything was read lately."""
    sampled: tuple[str, str]
    """The wallet that the samples have come to: (program_id, participant_id)."""
    round_time: datetime | None
    """No wallet was computed again longer ago, be it by a full audit or by samples; None before all of them were."""


NOTHING = Checkpoint(None, 0, None, True, None, False, ("", ""), None)
"""Before the first audit."""


async def lock(conn: AsyncConnection, waits: bool) -> None:
    """Keeps everybody else from auditing all programs until the transaction ends; its first statement after the level
    of isolation. Raises AuditUnderWayError: where it `waits`, after the time for which a transaction waits for locks.
    """
    try:
        await conn.execute(text(_LOCK if waits else f"{_LOCK} NOWAIT"))
    except DBAPIError as error:
        if isinstance(error.orig, LockNotAvailable):
            raise AuditUnderWayError from None
        raise
    await conn.execute(_MAKE)


async def read(conn: AsyncConnection) -> Checkpoint:
    """The state of audits as the transaction sees it."""
    row = (await conn.execute(_READ)).one_or_none()
    if row is None:
        return NOTHING
    sampled = row.sampled_program_id, row.sampled_participant_id
    return Checkpoint(
        row.horizon,
        row.present,
        row.clean_time,
        row.is_due,
        row.due_time,
        bool(row.is_fresh),
        sampled,
        row.round_time,
    )


async def advance(conn: AsyncConnection, found: Checkpoint) -> None:
    """Adds the news of a clean audit to the sums."""
    await conn.execute(_ADD_NEWS, {"present": found.present})
    await conn.execute(_ADVANCE, {"present": found.present})


async def begin_anew(conn: AsyncConnection, found: Checkpoint) -> None:
    """Makes the sums from all movements, after a clean audit that read all of them."""
    await allow_statements(conn, AUDIT_TIMEOUT_MS)
    await conn.execute(text("DELETE FROM audit_sum"))
    await conn.execute(_ADD_ALL, {"present": found.present})
    await conn.execute(_ADVANCE, {"present": found.present})
    await conn.execute(_FULL)


async def forget(conn: AsyncConnection) -> None:
    """Has the next audit read everything: something is wrong, and is told by every audit until it is repaired."""
    await conn.execute(_FORGET)


async def note_sample(conn: AsyncConnection, last: tuple[str, str], is_round: bool) -> None:
    """Notes the wallet that the samples have come to; empty names, and `is_round`, where they came to the last one."""
    await conn.execute(_SAMPLED, {"program_id": last[0], "participant_id": last[1], "is_round": is_round})


async def next_due(conn: AsyncConnection, seconds: float) -> datetime:
    """Says when a process audits by itself again, and returns it."""
    due_time: datetime = (await conn.execute(_NEXT, {"seconds": seconds})).scalar_one()
    return due_time
