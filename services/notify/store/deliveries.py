"""Deliveries as people read them, and their attempts."""

from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.measuring import MOST_COUNTED, Standing
from chassis.pages import Portion, read_portion, within_budget
from services.notify.domain.cause import Kind
from services.notify.domain.delivery import WAITING, Attempt, Delivery, DeliveryChannel, DeliveryState
from services.notify.domain.inbox import Inbox

_WAITING = ", ".join(f"{each:d}" for each in WAITING)
_COLUMNS = """delivery_no, delivery_id, channel, endpoint_id, participant_id, coalesce(event_id, '') AS event_id, kind,
    state, attempts, due_time, error, delivery.create_time, delivery.update_time"""
# A cause may have gone before its delivery, where entries are kept for a shorter time.
_FROM = "delivery LEFT JOIN cause USING (entry_id)"
_ROW_BYTES = "octet_length(concat(participant_id, event_id, error))"
# The newest of each state are found by the index, also where a program has few in it.
_PAGE_OF_PROGRAM = within_budget(
    f"""
    SELECT {_COLUMNS}
    FROM unnest(CAST(:states AS smallint[])) AS wanted (wanted_state)
    CROSS JOIN LATERAL (
        SELECT * FROM delivery
        WHERE delivery.program_id = :program_id AND state = wanted_state
          AND delivery_no < coalesce(:before, {2**63 - 1})
        ORDER BY delivery_no DESC LIMIT :limit
    ) AS delivery
    LEFT JOIN cause USING (entry_id)
    ORDER BY delivery_no DESC LIMIT :limit
""",
    _ROW_BYTES,
    "delivery_no DESC",
)
_PAGE_OF_PARTICIPANT = within_budget(
    f"""
    SELECT {_COLUMNS} FROM {_FROM}
    WHERE delivery.program_id = :program_id AND participant_id = :participant_id AND state = ANY(:states)
      AND delivery_no < coalesce(:before, {2**63 - 1})
    ORDER BY delivery_no DESC LIMIT :limit
""",
    _ROW_BYTES,
    "delivery_no DESC",
)
_PAGE_OF_CAUSE = within_budget(
    f"""
    SELECT {_COLUMNS} FROM {_FROM}
    WHERE cause.program_id = :program_id AND event_id = :cause_id AND state = ANY(:states)
      AND (:participant_id = '' OR participant_id = :participant_id)
      AND delivery_no < coalesce(:before, {2**63 - 1})
    ORDER BY delivery_no DESC LIMIT :limit
""",
    _ROW_BYTES,
    "delivery_no DESC",
)
_ONE = text(f"SELECT {_COLUMNS} FROM {_FROM} WHERE delivery.program_id = :program_id AND delivery_id = :delivery_id")
_ATTEMPTS = text("""
    SELECT attempt, attempt_time, duration_ms, http_status, error FROM delivery_attempt
    WHERE delivery_no = :delivery_no ORDER BY attempt
""")
_LOCK = text(f"""
    SELECT {_COLUMNS} FROM {_FROM} WHERE delivery.program_id = :program_id AND delivery_id = :delivery_id
    FOR UPDATE OF delivery
""")
_REDELIVER = text(f"""
    UPDATE delivery SET state = {DeliveryState.PENDING:d}, try_count = 0, update_time = clock_timestamp()
    WHERE delivery_no = :delivery_no
""")
_PARKED = text(f"""
    SELECT program_id, count(*) AS number,
        extract(epoch FROM clock_timestamp() - min(update_time))::float8 AS age_seconds
    FROM (SELECT program_id, update_time FROM delivery WHERE state = {DeliveryState.PARKED:d} LIMIT {MOST_COUNTED})
        AS parked
    GROUP BY program_id
""")
_STANDING = text(f"""
    SELECT program_id, count(*) AS number,
        extract(epoch FROM clock_timestamp() - min(create_time))::float8 AS age_seconds
    FROM (SELECT program_id, create_time FROM delivery WHERE state IN ({_WAITING}) LIMIT {MOST_COUNTED}) AS waiting
    GROUP BY program_id
""")


async def page(
    conn: AsyncConnection, inbox: Inbox, cause_id: str, state: DeliveryState | None, before: int | None, limit: int
) -> Portion[Delivery]:
    """Deliveries of a program older than number `before`, newest first; those of a participant, a cause or a state only
    where these are not empty."""
    values: dict[str, Any] = {
        "program_id": inbox.program_id,
        "states": [int(each) for each in ([state] if state else DeliveryState)],
        "before": before,
        "limit": limit,
    }
    statement = _PAGE_OF_PROGRAM
    if cause_id:
        statement = _PAGE_OF_CAUSE
        values |= {"cause_id": cause_id, "participant_id": inbox.participant_id}
    elif inbox.participant_id:
        statement = _PAGE_OF_PARTICIPANT
        values |= {"participant_id": inbox.participant_id}
    return await read_portion(conn, statement, values, _delivery)


async def get(conn: AsyncConnection, program_id: str, delivery_id: UUID) -> Delivery | None:
    """A delivery; None if the program has no such one."""
    row = (await conn.execute(_ONE, {"program_id": program_id, "delivery_id": delivery_id})).one_or_none()
    return None if row is None else _delivery(row)


async def attempts(conn: AsyncConnection, delivery_no: int) -> list[Attempt]:
    """The attempts of a delivery, the first ones first."""
    return [Attempt(*row) for row in await conn.execute(_ATTEMPTS, {"delivery_no": delivery_no})]


async def lock(conn: AsyncConnection, program_id: str, delivery_id: UUID) -> Delivery | None:
    """As `get`; nobody else changes it before this transaction has ended."""
    row = (await conn.execute(_LOCK, {"program_id": program_id, "delivery_id": delivery_id})).one_or_none()
    return None if row is None else _delivery(row)


async def redeliver(conn: AsyncConnection, delivery_no: int) -> None:
    """Has a delivery wait again, as if it had not been tried."""
    await conn.execute(_REDELIVER, {"delivery_no": delivery_no})


async def parked(conn: AsyncConnection) -> dict[str, Standing]:
    """How many deliveries wait for a person, and for how long the first of them, by program."""
    return {row.program_id: Standing(row.number, max(0.0, row.age_seconds)) for row in await conn.execute(_PARKED)}


async def waiting(conn: AsyncConnection) -> dict[str, Standing]:
    """How many deliveries are yet to be sent, and for how long the first of them, by program."""
    return {row.program_id: Standing(row.number, max(0.0, row.age_seconds)) for row in await conn.execute(_STANDING)}


def _delivery(row: Row[Any]) -> Delivery:
    return Delivery(
        delivery_no=row.delivery_no,
        delivery_id=row.delivery_id,
        channel=DeliveryChannel(row.channel),
        endpoint_id=row.endpoint_id,
        participant_id=row.participant_id,
        cause_id=row.event_id,
        kind=Kind(row.kind),
        state=DeliveryState(row.state),
        attempts=row.attempts,
        due_time=row.due_time,
        error=row.error,
        create_time=row.create_time,
        update_time=row.update_time,
    )
