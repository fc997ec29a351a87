"""Deliveries that wait, by endpoint and participant: lanes, in which one is sent after the other.

Whoever takes the row of a lane works on its first delivery; nobody else does until the lease is over, or the lane is
given back. Nothing is locked meanwhile.
"""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.ids import new_id
from services.notify.domain.cause import Kind
from services.notify.domain.delivery import (
    LONGEST_PAUSE,
    MAX_ERROR_CHARACTERS,
    MAX_HISTORY,
    WAITING,
    DeliveryChannel,
    DeliveryState,
    Outgoing,
    Result,
    Verdict,
)
from services.notify.domain.inbox import Entry
from services.notify.domain.webhook import WebhookState
from services.notify.store import entries

_IS_OVER = "{} NOT BETWEEN clock_timestamp() AND clock_timestamp() + :longest_pause"
_WAITING = ", ".join(f"{each:d}" for each in WAITING)

_ADD = text(f"""
    INSERT INTO delivery (delivery_id, program_id, entry_id, participant_id, channel, endpoint_id, kind, state)
    SELECT delivery_id, program_id, entry_id, participant_id, {DeliveryChannel.WEBHOOK:d}, endpoint_id, kind,
           {DeliveryState.PENDING:d}
    FROM unnest(CAST(:delivery_ids AS uuid[]), CAST(:program_ids AS text[]), CAST(:entry_ids AS uuid[]),
                CAST(:participant_ids AS text[]), CAST(:endpoint_ids AS uuid[]), CAST(:kinds AS smallint[]))
         WITH ORDINALITY AS fresh (delivery_id, program_id, entry_id, participant_id, endpoint_id, kind, place)
    ORDER BY place
""")
# A lane that is there is locked until the transaction ends: whoever is about to find it empty, and to remove it, waits
# and then finds this. Lanes are taken in one order, so that transactions which write many of them cannot deadlock.
_OPEN = text("""
    INSERT INTO delivery_lane (endpoint_id, participant_id)
    SELECT DISTINCT endpoint_id, participant_id
    FROM unnest(CAST(:endpoint_ids AS uuid[]), CAST(:participant_ids AS text[])) AS lane (endpoint_id, participant_id)
    ORDER BY endpoint_id, participant_id
    ON CONFLICT (endpoint_id, participant_id) DO UPDATE SET due_time = delivery_lane.due_time
""")
# Endpoints are found one after the other by the index, however much waits at each of them; of each so many lanes are
# taken as it has room for here, so that a slow one keeps no other waiting.
_TAKE = text(f"""
    WITH RECURSIVE endpoint AS (
        (SELECT endpoint_id FROM delivery_lane ORDER BY endpoint_id LIMIT 1)
        UNION ALL
        SELECT (
            SELECT next.endpoint_id FROM delivery_lane AS next
            WHERE next.endpoint_id > endpoint.endpoint_id ORDER BY next.endpoint_id LIMIT 1
        ) FROM endpoint WHERE endpoint_id IS NOT NULL
    ), chosen AS (
        SELECT webhook_id, CASE WHEN failure_count > 0 THEN 1 ELSE :most END - coalesce(sends, 0) AS more
        FROM endpoint JOIN webhook ON webhook_id = endpoint_id
        LEFT JOIN unnest(CAST(:busy_ids AS uuid[]), CAST(:busy_counts AS integer[])) AS busy (busy_id, sends)
            ON busy_id = webhook_id
        WHERE webhook.state = {WebhookState.ENABLED:d} AND coalesce({_IS_OVER.format("rest_until")}, true)
          AND CASE WHEN failure_count > 0 THEN 1 ELSE :most END > coalesce(sends, 0)
          AND EXISTS (
            SELECT FROM delivery_lane
            WHERE delivery_lane.endpoint_id = webhook_id AND {_IS_OVER.format("due_time")}
          )
        ORDER BY webhook_id <= :after, webhook_id
        LIMIT :limit
    ), free AS (
        SELECT lane.endpoint_id, lane.participant_id
        FROM chosen CROSS JOIN LATERAL (
            SELECT endpoint_id, participant_id FROM delivery_lane
            WHERE delivery_lane.endpoint_id = webhook_id AND {_IS_OVER.format("due_time")}
            ORDER BY due_time LIMIT more
            FOR UPDATE SKIP LOCKED
        ) AS lane
        ORDER BY webhook_id <= :after, webhook_id
        LIMIT :limit
    )
    UPDATE delivery_lane SET due_time = clock_timestamp() + :lease
    FROM free
    WHERE delivery_lane.endpoint_id = free.endpoint_id AND delivery_lane.participant_id = free.participant_id
    RETURNING delivery_lane.endpoint_id, delivery_lane.participant_id, due_time
""")
# A statement of its own: it sees what those did who had the lanes before. That a delivery is tried is counted before it
# is: one whose process dies has spent a try, too.
_FIRST = text(f"""
    WITH first AS (
        SELECT earliest.delivery_no, lease_until
        FROM unnest(CAST(:endpoint_ids AS uuid[]), CAST(:participant_ids AS text[]), CAST(:leases AS timestamptz[]))
            AS lane (endpoint_id, participant_id, lease_until)
        CROSS JOIN LATERAL (
            SELECT delivery_no FROM delivery
            WHERE delivery.endpoint_id = lane.endpoint_id AND delivery.participant_id = lane.participant_id
              AND state IN ({_WAITING})
            ORDER BY delivery_no LIMIT 1
        ) AS earliest
    ), sent AS (
        UPDATE delivery
        SET state = {DeliveryState.SENDING:d}, attempts = attempts + 1, try_count = try_count + 1, due_time = NULL,
            update_time = clock_timestamp()
        FROM first WHERE delivery.delivery_no = first.delivery_no
        RETURNING delivery.*, lease_until
    ), noted AS (
        INSERT INTO delivery_attempt (delivery_no, attempt) SELECT delivery_no, attempts FROM sent
    )
    SELECT delivery_no, delivery_id, sent.program_id, entry_id, participant_id, endpoint_id, attempts, try_count,
           lease_until, url, secret_version,
           coalesce(previous_secret_until > clock_timestamp(), false) AS signs_twice, failure_count > 0 AS is_failing
    FROM sent JOIN webhook ON webhook_id = endpoint_id
    ORDER BY delivery_no
""")
_ENTRIES = entries.selected("""
    WHERE (inbox_entry.program_id, inbox_entry.participant_id, inbox_entry.entry_id) IN (
        SELECT program_id, participant_id, entry_id
        FROM unnest(CAST(:program_ids AS text[]), CAST(:participant_ids AS text[]), CAST(:entry_ids AS uuid[]))
            AS asked (program_id, participant_id, entry_id)
    )
""")
_END = text(f"""
    WITH ended AS (
        UPDATE delivery
        SET state = :state, error = :error, update_time = clock_timestamp(),
            due_time = CASE WHEN :state = {DeliveryState.RETRYING:d}
                THEN clock_timestamp() + make_interval(secs => :pause_seconds) END
        WHERE delivery_no = :delivery_no
    ), forgotten AS (
        DELETE FROM delivery_attempt
        WHERE delivery_no = :delivery_no AND attempt <= CAST(:attempt AS integer) - {MAX_HISTORY}
    )
    UPDATE delivery_attempt SET duration_ms = :duration_ms, http_status = :http_status, error = :error
    WHERE delivery_no = :delivery_no AND attempt = :attempt
""")
_GIVE_BACK = text("""
    UPDATE delivery_lane SET due_time = clock_timestamp() + make_interval(secs => :pause_seconds)
    WHERE endpoint_id = :endpoint_id AND participant_id = :participant_id AND due_time = :lease_until
""")
_CLOSE = text(f"""
    DELETE FROM delivery_lane
    WHERE endpoint_id = :endpoint_id AND participant_id = :participant_id AND NOT EXISTS (
        SELECT FROM delivery
        WHERE delivery.endpoint_id = delivery_lane.endpoint_id
          AND delivery.participant_id = delivery_lane.participant_id AND state IN ({_WAITING})
    )
""")
_CLOSE_ALL = text("DELETE FROM delivery_lane WHERE endpoint_id = :endpoint_id")
_PARK_ALL = text(f"""
    UPDATE delivery
    SET state = {DeliveryState.PARKED:d}, error = :error, due_time = NULL, update_time = clock_timestamp()
    WHERE endpoint_id = :endpoint_id AND state IN ({_WAITING})
""")


class NewDelivery(NamedTuple):
    """A delivery that is yet to be written."""

    program_id: str
    entry_id: UUID
    participant_id: str
    kind: Kind
    endpoint_id: UUID


async def add(conn: AsyncConnection, deliveries: Iterable[NewDelivery]) -> None:
    """Writes deliveries in their order, and has them wait. Their webhooks are held by this transaction."""
    fresh = list(deliveries)
    if not fresh:
        return
    columns = {
        "program_ids": [each.program_id for each in fresh],
        "entry_ids": [each.entry_id for each in fresh],
        "kinds": [int(each.kind) for each in fresh],
    }
    lanes = {
        "endpoint_ids": [each.endpoint_id for each in fresh],
        "participant_ids": [each.participant_id for each in fresh],
    }
    # The lanes first: whoever has them numbers the deliveries, so that numbers grow in the order of commits.
    await conn.execute(_OPEN, lanes)
    await conn.execute(_ADD, {"delivery_ids": [new_id() for _ in fresh], **columns, **lanes})


async def reopen(conn: AsyncConnection, endpoint_id: UUID, participant_id: str) -> None:
    """Has a lane be there, for a delivery that waits again."""
    await conn.execute(_OPEN, {"endpoint_ids": [endpoint_id], "participant_ids": [participant_id]})


async def claim(
    conn: AsyncConnection, sends: Mapping[UUID, int], most: int, limit: int, after: UUID, lease: timedelta
) -> list[Outgoing]:
    """Takes the first deliveries of lanes that are due, `limit` at most, `most` of each endpoint with those in `sends`
    that this process sends already, endpoints in turn from the one behind `after`."""
    busy = {"busy_ids": list(sends), "busy_counts": list(sends.values())}
    taken = await conn.execute(
        _TAKE, {**busy, "most": most, "limit": limit, "after": after, "lease": lease, "longest_pause": LONGEST_PAUSE}
    )
    lanes = taken.all()
    if not lanes:
        return []
    keys = {
        "endpoint_ids": [row.endpoint_id for row in lanes],
        "participant_ids": [row.participant_id for row in lanes],
        "leases": [row.due_time for row in lanes],
    }
    rows = (await conn.execute(_FIRST, keys)).all()
    asked = {
        "program_ids": [row.program_id for row in rows],
        "participant_ids": [row.participant_id for row in rows],
        "entry_ids": [row.entry_id for row in rows],
    }
    found: dict[tuple[UUID, str], Entry] = {
        (each.entry_id, each.inbox.participant_id): each for each in await entries.read(conn, _ENTRIES, asked)
    }
    return [
        Outgoing(
            delivery_no=row.delivery_no,
            delivery_id=row.delivery_id,
            endpoint_id=row.endpoint_id,
            participant_id=row.participant_id,
            program_id=row.program_id,
            attempts=row.attempts,
            tries=row.try_count,
            lease_until=row.lease_until,
            url=row.url,
            secret_version=row.secret_version,
            signs_twice=row.signs_twice,
            is_failing=row.is_failing,
            entry=found.get((row.entry_id, row.participant_id)),
        )
        for row in rows
    ]


async def end(conn: AsyncConnection, outgoing: Outgoing, result: Result, verdict: Verdict, duration_ms: int) -> bool:
    """Notes what became of an attempt, and gives the lane back; says False, and does nothing, where the lease is over
    and the lane somebody else's, or the webhook was removed."""
    lane = {"endpoint_id": outgoing.endpoint_id, "participant_id": outgoing.participant_id}
    given = {**lane, "lease_until": outgoing.lease_until, "pause_seconds": verdict.pause_seconds}
    if not (await conn.execute(_GIVE_BACK, given)).rowcount:
        return False
    values = {
        "delivery_no": outgoing.delivery_no,
        "attempt": outgoing.attempts,
        "state": int(verdict.state),
        "error": result.error[:MAX_ERROR_CHARACTERS],
        "http_status": result.http_status,
        "duration_ms": duration_ms,
        "pause_seconds": verdict.pause_seconds,
    }
    await conn.execute(_END, values)
    if verdict.state is not DeliveryState.RETRYING:
        await conn.execute(_CLOSE, lane)
    return True


async def park_all(conn: AsyncConnection, endpoint_id: UUID, error: str) -> int:
    """Parks whatever waits at an endpoint; returns how much."""
    await conn.execute(_CLOSE_ALL, {"endpoint_id": endpoint_id})
    return (await conn.execute(_PARK_ALL, {"endpoint_id": endpoint_id, "error": error})).rowcount
