"""Payouts, their attempts and batches."""

from collections.abc import Collection, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.pages import Portion, read_portion, within_budget
from services.rewards.domain.wallet.payout import Payout, PayoutState

_COLUMNS = ", ".join(each.name for each in fields(Payout))
_READ = text(f"SELECT {_COLUMNS} FROM payout WHERE program_id = :program_id AND payout_id = :payout_id")
_LOCK = text(f"SELECT {_COLUMNS} FROM payout WHERE program_id = :program_id AND payout_id = :payout_id FOR UPDATE")
_INSERT = text(f"""
    INSERT INTO payout ({_COLUMNS}) VALUES ({", ".join(f":{each.name}" for each in fields(Payout))})
    ON CONFLICT (program_id, payout_id) DO NOTHING
""")
_UPDATE = text("""
    UPDATE payout SET state = :state, provider_reference = :provider_reference, reason = :reason, attempts = :attempts,
        sends = :sends, send_time = :send_time, batch_id = :batch_id, update_time = :update_time
    WHERE program_id = :program_id AND payout_id = :payout_id
""")
_INSERT_ATTEMPT = text("""
    INSERT INTO payout_attempt (program_id, payout_id, attempt, batch_id, create_time)
    VALUES (:program_id, :payout_id, :attempts, :batch_id, :update_time)
""")
_LIST = within_budget(
    f"""
    SELECT {_COLUMNS} FROM payout
    WHERE program_id = :program_id AND (:participant_id = '' OR participant_id = :participant_id)
        AND (:state = 0 OR state = :state)
        AND (CAST(:before_time AS timestamptz) IS NULL
            OR (create_time, payout_id) < (CAST(:before_time AS timestamptz), :before_id))
    ORDER BY create_time DESC, payout_id DESC LIMIT :limit
    """,
    "octet_length(concat(destination, provider_reference, reason))",
    "create_time DESC, payout_id DESC",
)
_LOCK_APPROVED = text(f"""
    SELECT {_COLUMNS} FROM payout
    WHERE program_id = :program_id AND state = {PayoutState.APPROVED:d}
        AND (:method = '' OR method = :method) AND method <> ALL (CAST(:elsewhere AS text[]))
    ORDER BY payout_id COLLATE "C" LIMIT :limit FOR UPDATE
""")
_APPROVED_METHODS = text(
    f"SELECT DISTINCT method FROM payout WHERE program_id = :program_id AND state = {PayoutState.APPROVED:d}"
)
_CLAIM_NEW = text(f"""
    SELECT {_COLUMNS} FROM payout WHERE state = {PayoutState.APPROVED:d} AND method = ANY (CAST(:methods AS text[]))
        AND program_id <> ALL (CAST(:busy AS text[]))
    ORDER BY program_id, payout_id LIMIT :limit FOR UPDATE SKIP LOCKED
""")
_CLAIM_UNANSWERED = text(f"""
    SELECT {_COLUMNS} FROM payout WHERE state = {PayoutState.SENT:d} AND send_time <= :now
        AND program_id <> ALL (CAST(:busy AS text[]))
    ORDER BY send_time LIMIT :limit FOR UPDATE SKIP LOCKED
""")
_WAITING_METHODS = text(f"SELECT DISTINCT method FROM payout WHERE state = {PayoutState.APPROVED:d}")
_INSERT_BATCH = text("""
    INSERT INTO payout_batch (program_id, batch_id, method, create_time)
    VALUES (:program_id, :batch_id, :method, :create_time)
    ON CONFLICT (program_id, batch_id) DO NOTHING
""")
_BATCH_METHOD = text("SELECT method FROM payout_batch WHERE program_id = :program_id AND batch_id = :batch_id")
_OF_BATCH = text(f"""
    SELECT {", ".join(f"p.{each.name}" for each in fields(Payout))}, a.attempt FROM payout_attempt AS a
    JOIN payout AS p USING (program_id, payout_id)
    WHERE a.program_id = :program_id AND a.batch_id = :batch_id ORDER BY a.payout_id COLLATE "C"
""")


async def load(conn: AsyncConnection, program_id: str, payout_id: str, *, locked: bool = False) -> Payout | None:
    """One payout, or None; its row is `locked` until the transaction ends if asked."""
    key = {"program_id": program_id, "payout_id": payout_id}
    row = (await conn.execute(_LOCK if locked else _READ, key)).one_or_none()
    return None if row is None else _payout(row)


async def insert(conn: AsyncConnection, payout: Payout) -> bool:
    """Adds a payout; False if its id is taken."""
    return (await conn.execute(_INSERT, _values(payout))).rowcount == 1


async def update(conn: AsyncConnection, payouts: Sequence[Payout]) -> None:
    """Writes the state of payouts; their rows are locked."""
    if payouts:
        await conn.execute(_UPDATE, [_values(each) for each in payouts])


async def insert_attempts(conn: AsyncConnection, payouts: Sequence[Payout]) -> None:
    """Notes that payouts are being handed over, as they stand now."""
    if payouts:
        await conn.execute(_INSERT_ATTEMPT, [_values(each) for each in payouts])


async def page(
    conn: AsyncConnection,
    program_id: str,
    participant_id: str,
    state: int,
    before: tuple[datetime, str] | None,
    limit: int,
) -> Portion[Payout]:
    """Payouts asked for before one, newest first; of one participant or all (empty), in one state or all (0)."""
    return await read_portion(
        conn,
        _LIST,
        {
            "program_id": program_id,
            "participant_id": participant_id,
            "state": state,
            "before_time": before[0] if before else None,
            "before_id": before[1] if before else "",
            "limit": limit,
        },
        _payout,
    )


async def approved_methods(conn: AsyncConnection, program_id: str) -> set[str]:
    """The methods of a program's payouts that wait to be handed over."""
    return {row.method for row in await conn.execute(_APPROVED_METHODS, {"program_id": program_id})}


async def lock_approved(
    conn: AsyncConnection, program_id: str, method: str, elsewhere: Collection[str], limit: int
) -> list[Payout]:
    """A program's payouts that wait to be handed over, locked, in the order of their ids.

    Those of one method or all (empty), without the methods of `elsewhere`.
    """
    parameters = {"program_id": program_id, "method": method, "elsewhere": sorted(elsewhere), "limit": limit}
    return [_payout(row) for row in await conn.execute(_LOCK_APPROVED, parameters)]


async def waiting_methods(conn: AsyncConnection) -> set[str]:
    """The methods of all payouts that wait to be handed over."""
    return {row.method for row in await conn.execute(_WAITING_METHODS)}


async def claim_new(conn: AsyncConnection, methods: Collection[str], busy: Sequence[str], limit: int) -> list[Payout]:
    """Payouts by these methods that wait to be handed over, locked; passes over those of the programs in `busy`, and
    those that another process has."""
    rows = await conn.execute(_CLAIM_NEW, {"methods": sorted(methods), "busy": busy, "limit": limit})
    return [_payout(row) for row in rows]


async def claim_unanswered(conn: AsyncConnection, now: datetime, busy: Sequence[str], limit: int) -> list[Payout]:
    """Payouts without an answer that are to be sent again, locked; passes over those of the programs in `busy`, and
    those that another process has."""
    rows = await conn.execute(_CLAIM_UNANSWERED, {"now": now, "busy": busy, "limit": limit})
    return [_payout(row) for row in rows]


async def begin_batch(conn: AsyncConnection, program_id: str, batch_id: str, method: str, now: datetime) -> bool:
    """Notes a batch; False if its id is taken."""
    parameters = {"program_id": program_id, "batch_id": batch_id, "method": method, "create_time": now}
    return (await conn.execute(_INSERT_BATCH, parameters)).rowcount == 1


async def batch_method(conn: AsyncConnection, program_id: str, batch_id: str) -> str:
    """The method a batch was made for; empty for all."""
    method: str = (await conn.execute(_BATCH_METHOD, {"program_id": program_id, "batch_id": batch_id})).scalar_one()
    return method


async def of_batch(conn: AsyncConnection, program_id: str, batch_id: str) -> list[tuple[Payout, int]]:
    """The payouts of a batch by their ids, each with its attempt then."""
    rows = await conn.execute(_OF_BATCH, {"program_id": program_id, "batch_id": batch_id})
    return [(_payout(row), row.attempt) for row in rows]


def _values(payout: Payout) -> dict[str, Any]:
    return {each.name: getattr(payout, each.name) for each in fields(Payout)} | {"state": int(payout.state)}


def _payout(row: Row[Any]) -> Payout:
    values = {each.name: getattr(row, each.name) for each in fields(Payout)}
    return Payout(**(values | {"state": PayoutState(row.state)}))
