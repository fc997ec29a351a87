"""Holds that wait for more than time. A row outlives its hold: a repeated call finds the decision there."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum
from typing import NamedTuple

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.rewards.domain.conversion import ConversionKey
from services.rewards.domain.settle.holds import EndedHold, Signal, Wait


class ApprovalState(IntEnum):
    """The state of a person's approval. The numbers are stored."""

    NOT_NEEDED = 0
    PENDING = 1
    APPROVED = 2
    REJECTED = 3


class WaitingHold(NamedTuple):
    """A hold that waits, or waited, for more than time."""

    earliest: datetime
    program_id: str
    conversion_id: str
    mark: datetime


_FIRST_TIME = datetime(1, 1, 1, tzinfo=UTC)
_BEFORE_ALL = WaitingHold(_FIRST_TIME, "", "", _FIRST_TIME)

_INSERT = text("""
    INSERT INTO hold_wait (program_id, conversion_id, mark, rule_id, buyer_id, event_type, approval, earliest,
        occurred_at)
    SELECT * FROM unnest(CAST(:program_ids AS text[]), CAST(:conversion_ids AS text[]), CAST(:marks AS timestamptz[]),
        CAST(:rule_ids AS text[]), CAST(:buyer_ids AS text[]), CAST(:event_types AS text[]),
        CAST(:approvals AS smallint[]),
        CAST(:earliests AS timestamptz[]), CAST(:occurred_ats AS timestamptz[]))
""")
_INSERT_SIGNALS = text("""
    INSERT INTO awaited_event (program_id, conversion_id, buyer_id, event_type, target_id, occurred_at, record_time)
    SELECT * FROM unnest(CAST(:program_ids AS text[]), CAST(:conversion_ids AS text[]), CAST(:buyer_ids AS text[]),
        CAST(:event_types AS text[]), CAST(:target_ids AS text[]), CAST(:occurred_ats AS timestamptz[]),
        CAST(:record_times AS timestamptz[]))
""")
# The first of the events that fit, so that it does not matter in which order they were settled. When they happened says
# whether they fit; when they were recorded, when the hold ends: nothing becomes available, or begins to expire, before
# it could be known.
_MATCH = text("""
    UPDATE hold_wait AS w SET event_time = e.record_time
    FROM (
        SELECT w.program_id, w.conversion_id, w.mark, min(e.record_time) AS record_time
        FROM unnest(CAST(:program_ids AS text[]), CAST(:buyer_ids AS text[])) AS b (program_id, buyer_id)
        JOIN hold_wait AS w ON w.program_id = b.program_id AND w.buyer_id = b.buyer_id
            AND w.event_type <> '' AND w.event_time IS NULL
        JOIN awaited_event AS e ON e.program_id = w.program_id AND e.buyer_id = w.buyer_id
            AND e.event_type = w.event_type
            AND e.conversion_id <> w.conversion_id
            AND (e.target_id = w.conversion_id OR (e.target_id = '' AND e.occurred_at >= w.occurred_at))
        GROUP BY 1, 2, 3
    ) AS e
    WHERE w.program_id = e.program_id AND w.conversion_id = e.conversion_id AND w.mark = e.mark
""")
WAITS_FOR_NOBODY = f"approval IN ({ApprovalState.NOT_NEEDED:d}, {ApprovalState.APPROVED:d})"
"""The condition that no person's approval is missing."""
OVER_FOR_GOOD = f"approval <> {ApprovalState.REJECTED:d}"
"""The condition that nothing is computed from a wait once it has ended: what a person rejected, a rebuild and every
later refund of the conversion read."""
IS_ENDED = f"end_time IS NULL AND {WAITS_FOR_NOBODY} AND (event_type = '' OR event_time IS NOT NULL)"
_ENDED = text(f"""
    SELECT earliest, program_id, conversion_id, mark FROM hold_wait
    WHERE {IS_ENDED} AND earliest <= :now AND greatest(earliest, event_time, decide_time) <= :now
        AND (earliest, program_id, conversion_id, mark) > (CAST(:after_time AS timestamptz),
            CAST(:after_program AS text),
            CAST(:after_conversion AS text), CAST(:after_mark AS timestamptz))
    ORDER BY earliest, program_id, conversion_id, mark LIMIT :limit FOR UPDATE SKIP LOCKED
""")
_CLAIM = text(f"""
    SELECT program_id, conversion_id, mark, rule_id, greatest(earliest, event_time, decide_time) AS time
    FROM hold_wait
    WHERE (program_id, conversion_id, mark) IN (
        SELECT * FROM unnest(CAST(:program_ids AS text[]), CAST(:conversion_ids AS text[]),
            CAST(:marks AS timestamptz[])))
        AND {IS_ENDED}
    ORDER BY program_id, conversion_id, mark FOR UPDATE SKIP LOCKED
""")
_END = text("""
    UPDATE hold_wait AS w SET end_time = e.time
    FROM unnest(CAST(:program_ids AS text[]), CAST(:conversion_ids AS text[]), CAST(:marks AS timestamptz[]),
        CAST(:times AS timestamptz[])) AS e (program_id, conversion_id, mark, time)
    WHERE w.program_id = e.program_id AND w.conversion_id = e.conversion_id AND w.mark = e.mark
""")
_OF_CONVERSION = f"""
    SELECT mark, rule_id, approval FROM hold_wait
    WHERE program_id = :program_id AND conversion_id = :conversion_id AND approval <> {ApprovalState.NOT_NEEDED:d}
    ORDER BY mark
"""
_APPROVALS = text(_OF_CONVERSION)
_LOCK_FOR_APPROVAL = text(f"{_OF_CONVERSION} FOR UPDATE")
_DECIDE = text(f"""
    UPDATE hold_wait SET approval = :approval, decide_time = :now, reason = :reason, position = :position
    WHERE program_id = :program_id AND conversion_id = :conversion_id AND approval = {ApprovalState.PENDING:d}
""")
_PENDING = text(f"""
    SELECT conversion_id, min(earliest) AS earliest FROM hold_wait AS w
    WHERE program_id = :program_id AND end_time IS NULL AND approval = {ApprovalState.PENDING:d}
    GROUP BY conversion_id HAVING (min(earliest), conversion_id) > (CAST(:after_time AS timestamptz),
        CAST(:after_id AS text))
    ORDER BY 2, 1 LIMIT :limit
""")
_REJECTIONS = text(f"""
    SELECT program_id, conversion_id, array_agg(rule_id) AS rule_ids, min(reason) AS reason FROM hold_wait
    WHERE (program_id, conversion_id) IN (
        SELECT * FROM unnest(CAST(:program_ids AS text[]), CAST(:conversion_ids AS text[])))
        AND approval = {ApprovalState.REJECTED:d}
    GROUP BY 1, 2
""")


@dataclass(frozen=True, slots=True)
class ApprovalRequest:
    """A person is asked to approve a conversion's rewards by one rule."""

    mark: datetime
    rule_id: str
    approval: ApprovalState


class StoredRejection(NamedTuple):
    """A person's no to rewards of a conversion, as stored."""

    rule_ids: tuple[str, ...] = ()
    """The rules whose rewards the person rejected."""
    reason: str = ""


NO_REJECTION = StoredRejection()


async def keep(conn: AsyncConnection, waits: Sequence[Wait], signals: Sequence[Signal]) -> None:
    """Adds holds that wait and events that are waited for, and matches them.

    The caller holds the programs' lock: of a hold and its event, the one that comes second finds the other.
    """
    if waits:
        await conn.execute(
            _INSERT,
            {
                "program_ids": [each.program_id for each in waits],
                "conversion_ids": [each.conversion_id for each in waits],
                "marks": [each.mark for each in waits],
                "rule_ids": [each.rule_id for each in waits],
                "buyer_ids": [each.buyer_id for each in waits],
                "event_types": [each.event_type for each in waits],
                "approvals": [
                    int(ApprovalState.PENDING if each.needs_approval else ApprovalState.NOT_NEEDED) for each in waits
                ],
                "earliests": [each.earliest for each in waits],
                "occurred_ats": [each.occurred_at for each in waits],
            },
        )
    if signals:
        await conn.execute(
            _INSERT_SIGNALS,
            {
                "program_ids": [each.program_id for each in signals],
                "conversion_ids": [each.conversion_id for each in signals],
                "buyer_ids": [each.buyer_id for each in signals],
                "event_types": [each.event_type for each in signals],
                "target_ids": [each.target_id for each in signals],
                "occurred_ats": [each.occurred_at for each in signals],
                "record_times": [each.record_time for each in signals],
            },
        )
    waiting = [(each.program_id, each.buyer_id) for each in waits if each.event_type]
    people = sorted({*waiting, *((each.program_id, each.buyer_id) for each in signals)})
    if people:
        await conn.execute(
            _MATCH, {"program_ids": [each[0] for each in people], "buyer_ids": [each[1] for each in people]}
        )


async def ended_holds(conn: AsyncConnection, now: datetime, after: WaitingHold | None, limit: int) -> list[WaitingHold]:
    """Holds for which everything has happened, after the one `after`; passes over those that another process
    releases."""
    after = after or _BEFORE_ALL
    names = {
        "after_time": after.earliest,
        "after_program": after.program_id,
        "after_conversion": after.conversion_id,
        "after_mark": after.mark,
    }
    rows = await conn.execute(_ENDED, {**names, "now": now, "limit": limit})
    return [WaitingHold(row.earliest, row.program_id, row.conversion_id, row.mark) for row in rows]


async def claim(conn: AsyncConnection, holds: Sequence[WaitingHold]) -> list[EndedHold]:
    """Locks those of the holds that nobody released meanwhile; passes over those that another process
    releases."""
    rows = await conn.execute(
        _CLAIM,
        {
            "program_ids": [each.program_id for each in holds],
            "conversion_ids": [each.conversion_id for each in holds],
            "marks": [each.mark for each in holds],
        },
    )
    return [EndedHold(row.program_id, row.conversion_id, row.mark, row.rule_id, row.time) for row in rows]


async def end(conn: AsyncConnection, ended: Sequence[EndedHold]) -> None:
    """Remembers that holds are over."""
    await conn.execute(
        _END,
        {
            "program_ids": [each.program_id for each in ended],
            "conversion_ids": [each.conversion_id for each in ended],
            "marks": [each.mark for each in ended],
            "times": [each.time for each in ended],
        },
    )


async def approvals(conn: AsyncConnection, program_id: str, conversion_id: str) -> list[ApprovalRequest]:
    """The approvals that a conversion needs or needed, as they stand now: those that are pending may be decided."""
    return await _approvals(conn, _APPROVALS, program_id, conversion_id)


async def lock_for_approval(conn: AsyncConnection, program_id: str, conversion_id: str) -> list[ApprovalRequest]:
    """The approvals that a conversion needs or needed; they stay as they are until the transaction ends."""
    return await _approvals(conn, _LOCK_FOR_APPROVAL, program_id, conversion_id)


async def _approvals(
    conn: AsyncConnection, statement: TextClause, program_id: str, conversion_id: str
) -> list[ApprovalRequest]:
    rows = await conn.execute(statement, {"program_id": program_id, "conversion_id": conversion_id})
    return [ApprovalRequest(row.mark, row.rule_id, ApprovalState(row.approval)) for row in rows]


async def decide(
    conn: AsyncConnection,
    program_id: str,
    conversion_id: str,
    approval: ApprovalState,
    now: datetime,
    reason: str = "",
    position: int | None = None,
) -> None:
    """Writes a person's decision about all rewards of a conversion that wait for approval. `position`: that of a no."""
    names = {"program_id": program_id, "conversion_id": conversion_id}
    await conn.execute(
        _DECIDE, {**names, "approval": int(approval), "reason": reason, "now": now, "position": position}
    )


async def load_rejections(
    conn: AsyncConnection, keys: Collection[ConversionKey]
) -> dict[ConversionKey, StoredRejection]:
    """The rejections of these conversions."""
    if not keys:
        return {}
    rows = await conn.execute(
        _REJECTIONS, {"program_ids": [each[0] for each in keys], "conversion_ids": [each[1] for each in keys]}
    )
    return {(row.program_id, row.conversion_id): StoredRejection(tuple(row.rule_ids), row.reason) for row in rows}


async def pending(
    conn: AsyncConnection, program_id: str, after: tuple[datetime, str], limit: int
) -> list[tuple[datetime, ConversionKey]]:
    """Conversions that wait for a person, oldest first, after (time, conversion)."""
    rows = await conn.execute(
        _PENDING, {"program_id": program_id, "after_time": after[0], "after_id": after[1], "limit": limit}
    )
    return [(row.earliest, (program_id, row.conversion_id)) for row in rows]
