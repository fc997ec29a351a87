"""The webhooks of programs."""

from collections.abc import Collection
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.notify.domain.cause import Kind
from services.notify.domain.delivery import FAILING_LIFE, LONGEST_PAUSE
from services.notify.domain.webhook import Webhook, WebhookState

_COLUMNS = """webhook_id, program_id, url, kinds, state, switched_off_reason, secret_version, previous_secret_until,
    failing_since, create_time"""
# One at a time adds webhooks to a program, so that the bound on their number holds. The lock ends with the transaction.
_TAKE_TURN = text("SELECT pg_advisory_xact_lock(hashtextextended('webhooks of ' || :program_id, 0))")
_COUNT = text("SELECT count(*) FROM webhook WHERE program_id = :program_id")
_ADD = text(f"""
    INSERT INTO webhook (webhook_id, program_id, url, kinds, state)
    VALUES (:webhook_id, :program_id, :url, :kinds, {WebhookState.ENABLED:d})
    RETURNING {_COLUMNS}
""")
_OF_PROGRAM = text(f"SELECT {_COLUMNS} FROM webhook WHERE program_id = :program_id ORDER BY webhook_id")
# Whoever writes deliveries holds their webhooks, so that none is removed before its deliveries are seen.
_ENABLED = text(f"""
    SELECT {_COLUMNS} FROM webhook
    WHERE program_id = ANY(:program_ids) AND state = {WebhookState.ENABLED:d}
    ORDER BY webhook_id FOR KEY SHARE
""")
_IS_THERE = text("SELECT 1 FROM webhook WHERE webhook_id = :webhook_id FOR KEY SHARE")
_KEY = "program_id = :program_id AND webhook_id = :webhook_id"
_ROTATE = text(f"""
    UPDATE webhook
    SET secret_version = secret_version + 1,
        previous_secret_until = CASE WHEN :hours > 0 THEN clock_timestamp() + make_interval(hours => :hours) END
    WHERE {_KEY} RETURNING {_COLUMNS}
""")
_UPDATE = text(f"""
    UPDATE webhook
    SET kinds = coalesce(CAST(:kinds AS smallint[]), kinds), state = coalesce(CAST(:state AS smallint), state),
        switched_off_reason = CASE WHEN CAST(:state AS smallint) IS NULL THEN switched_off_reason ELSE '' END,
        failure_count = CASE WHEN :state = {WebhookState.ENABLED:d} THEN 0 ELSE failure_count END,
        failing_since = CASE WHEN :state = {WebhookState.ENABLED:d} THEN NULL ELSE failing_since END,
        rest_until = CASE WHEN :state = {WebhookState.ENABLED:d} THEN NULL ELSE rest_until END
    WHERE {_KEY} RETURNING {_COLUMNS}
""")
_REMOVE = text(f"DELETE FROM webhook WHERE {_KEY}")
_RECOVER = text("""
    UPDATE webhook SET failure_count = 0, failing_since = NULL, rest_until = NULL
    WHERE webhook_id = :webhook_id
""")
_IS_RESTING = "rest_until BETWEEN clock_timestamp() AND clock_timestamp() + :longest_pause"
# Those that were on their way together fail together, and count as one failure.
_FAIL = text(f"""
    UPDATE webhook
    SET failure_count = failure_count + CASE WHEN {_IS_RESTING} THEN 0 ELSE 1 END,
        failing_since = coalesce(failing_since, clock_timestamp())
    WHERE webhook_id = :webhook_id
    RETURNING failure_count, failing_since <= clock_timestamp() - CAST(:life AS interval) AS is_hopeless
""")
_REST = text(f"""
    UPDATE webhook
    SET rest_until = greatest(
        CASE WHEN {_IS_RESTING} THEN rest_until END, clock_timestamp() + make_interval(secs => :seconds)
    )
    WHERE webhook_id = :webhook_id
""")
_SWITCH_OFF = text(f"""
    UPDATE webhook SET state = {WebhookState.SWITCHED_OFF:d}, switched_off_reason = :reason
    WHERE webhook_id = :webhook_id AND state = {WebhookState.ENABLED:d}
""")
_SWITCHED_OFF = text(f"""
    SELECT program_id, count(*) AS number FROM webhook WHERE state = {WebhookState.SWITCHED_OFF:d} GROUP BY program_id
""")


class Failing(NamedTuple):
    """A webhook that has just failed."""

    failures: int
    """How often in a row."""
    is_hopeless: bool
    """Whether it has for FAILING_LIFE."""


async def take_turn(conn: AsyncConnection, program_id: str) -> int:
    """Lets one transaction at a time add webhooks to a program; returns how many it has."""
    await conn.execute(_TAKE_TURN, {"program_id": program_id})
    count: int = (await conn.execute(_COUNT, {"program_id": program_id})).scalar_one()
    return count


async def add(conn: AsyncConnection, webhook_id: UUID, program_id: str, url: str, kinds: Collection[Kind]) -> Webhook:
    """Adds a webhook, enabled."""
    values = {"webhook_id": webhook_id, "program_id": program_id, "url": url, "kinds": _numbers(kinds)}
    return _webhook((await conn.execute(_ADD, values)).one())


async def of_program(conn: AsyncConnection, program_id: str) -> list[Webhook]:
    """The webhooks of a program, the oldest first."""
    return [_webhook(row) for row in await conn.execute(_OF_PROGRAM, {"program_id": program_id})]


async def enabled(conn: AsyncConnection, program_ids: Collection[str]) -> list[Webhook]:
    """The enabled webhooks of programs. None of them is removed before this transaction has ended."""
    return [_webhook(row) for row in await conn.execute(_ENABLED, {"program_ids": sorted(program_ids)})]


async def hold(conn: AsyncConnection, webhook_id: UUID) -> bool:
    """Whether a webhook is there; if so, it is not removed before this transaction has ended."""
    return (await conn.execute(_IS_THERE, {"webhook_id": webhook_id})).scalar_one_or_none() is not None


async def rotate(conn: AsyncConnection, program_id: str, webhook_id: UUID, hours: int) -> Webhook | None:
    """Makes a further secret the newest, beside which the one before signs for some hours; None if there is no such
    webhook."""
    return await _changed(conn, _ROTATE, {"program_id": program_id, "webhook_id": webhook_id, "hours": hours})


async def update(
    conn: AsyncConnection,
    program_id: str,
    webhook_id: UUID,
    state: WebhookState | None,
    kinds: Collection[Kind] | None,
) -> Webhook | None:
    """Changes what is not None; None if there is no such webhook."""
    values = {
        "program_id": program_id,
        "webhook_id": webhook_id,
        "state": None if state is None else int(state),
        "kinds": None if kinds is None else _numbers(kinds),
    }
    return await _changed(conn, _UPDATE, values)


async def remove(conn: AsyncConnection, program_id: str, webhook_id: UUID) -> bool:
    """Removes a webhook; says whether it was there."""
    return (await conn.execute(_REMOVE, {"program_id": program_id, "webhook_id": webhook_id})).rowcount == 1


async def recover(conn: AsyncConnection, webhook_id: UUID) -> None:
    """Notes that a webhook which had failed has taken something."""
    await conn.execute(_RECOVER, {"webhook_id": webhook_id})


async def fail(conn: AsyncConnection, webhook_id: UUID) -> Failing | None:
    """Notes a failure; None where the webhook was removed."""
    values = {"webhook_id": webhook_id, "life": FAILING_LIFE, "longest_pause": LONGEST_PAUSE}
    row = (await conn.execute(_FAIL, values)).one_or_none()
    return None if row is None else Failing(row.failure_count, row.is_hopeless)


async def rest(conn: AsyncConnection, webhook_id: UUID, seconds: float) -> None:
    """Leaves a webhook alone for some time."""
    values = {"webhook_id": webhook_id, "seconds": seconds, "longest_pause": LONGEST_PAUSE}
    await conn.execute(_REST, values)


async def switch_off(conn: AsyncConnection, webhook_id: UUID, reason: str) -> bool:
    """Switches a webhook off; says whether this did it."""
    return (await conn.execute(_SWITCH_OFF, {"webhook_id": webhook_id, "reason": reason})).rowcount == 1


async def switched_off(conn: AsyncConnection) -> dict[str, int]:
    """How many webhooks were switched off by themselves, by program."""
    return {row.program_id: row.number for row in await conn.execute(_SWITCHED_OFF)}


async def _changed(conn: AsyncConnection, statement: Any, values: dict[str, Any]) -> Webhook | None:
    row = (await conn.execute(statement, values)).one_or_none()
    return None if row is None else _webhook(row)


def _numbers(kinds: Collection[Kind]) -> list[int]:
    return sorted(int(each) for each in kinds)


def _webhook(row: Row[Any]) -> Webhook:
    return Webhook(
        webhook_id=row.webhook_id,
        program_id=row.program_id,
        url=row.url,
        kinds=frozenset(Kind(each) for each in row.kinds),
        state=WebhookState(row.state),
        switched_off_reason=row.switched_off_reason,
        secret_version=row.secret_version,
        previous_secret_until=row.previous_secret_until,
        failing_since=row.failing_since,
        create_time=row.create_time,
    )
