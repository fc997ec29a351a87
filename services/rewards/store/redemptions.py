"""Redemptions, their refunds, and operations: purchases, exchanges and gifts."""

from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.rewards.domain.ledger import TransferKind
from services.rewards.domain.wallet.redemption import Redemption, RedemptionState

_COLUMNS = """
    program_id, redemption_id, participant_id, asset, authorized_minor, captured_minor, refunded_minor, state, order_id,
    order_minor, worth_minor, create_time
"""
_READ = text(f"SELECT {_COLUMNS} FROM redemption WHERE program_id = :program_id AND redemption_id = :redemption_id")
_LOCK = text(
    f"SELECT {_COLUMNS} FROM redemption WHERE program_id = :program_id AND redemption_id = :redemption_id FOR UPDATE"
)
_OF_ORDER = text(f"SELECT {_COLUMNS} FROM redemption WHERE program_id = :program_id AND order_id = :order_id")
_INSERT = text(f"""
    INSERT INTO redemption ({_COLUMNS}) VALUES (:program_id, :redemption_id, :participant_id, :asset, :authorized_minor,
        :captured_minor, :refunded_minor, :state, :order_id, :order_minor, :worth_minor, :create_time)
    ON CONFLICT (program_id, redemption_id) DO NOTHING
""")
_UPDATE = text("""
    UPDATE redemption SET state = :state, captured_minor = :captured_minor, refunded_minor = :refunded_minor
    WHERE program_id = :program_id AND redemption_id = :redemption_id
""")
_READ_REFUND = text("""
    SELECT redemption_id, asked_minor FROM redemption_refund WHERE program_id = :program_id AND refund_id = :refund_id
""")
_INSERT_REFUND = text("""
    INSERT INTO redemption_refund (program_id, refund_id, redemption_id, asked_minor, amount_minor, create_time)
    VALUES (:program_id, :refund_id, :redemption_id, :asked_minor, :amount_minor, :create_time)
    ON CONFLICT (program_id, refund_id) DO NOTHING
""")
_READ_OPERATION = text("""
    SELECT body_hash, response, create_time FROM operation
    WHERE program_id = :program_id AND kind = :kind AND operation_id = :operation_id
""")
_INSERT_OPERATION = text("""
    INSERT INTO operation (program_id, kind, operation_id, body_hash, response, create_time)
    VALUES (:program_id, :kind, :operation_id, :body_hash, :response, :create_time)
    ON CONFLICT (program_id, kind, operation_id) DO NOTHING
""")


class Refund(NamedTuple):
    """One refund of a redemption, by the columns of its table."""

    program_id: str
    refund_id: str
    redemption_id: str
    asked_minor: int | None
    """The amount asked for; None for all that was left."""
    amount_minor: int
    create_time: datetime


class Operation(NamedTuple):
    """A purchase, exchange or gift that was done, by the columns of its table."""

    program_id: str
    kind: TransferKind
    operation_id: str
    body_hash: bytes
    """The digest of the call."""
    response: bytes
    """The answer to the call as it was stored, for its repetitions."""
    create_time: datetime


async def load(
    conn: AsyncConnection, program_id: str, redemption_id: str, *, locked: bool = False
) -> Redemption | None:
    """One redemption, or None; its row is `locked` until the transaction ends if asked."""
    key = {"program_id": program_id, "redemption_id": redemption_id}
    row = (await conn.execute(_LOCK if locked else _READ, key)).one_or_none()
    return None if row is None else _redemption(row)


async def of_order(conn: AsyncConnection, program_id: str, order_id: str) -> list[Redemption]:
    """Every redemption of an order."""
    rows = await conn.execute(_OF_ORDER, {"program_id": program_id, "order_id": order_id})
    return [_redemption(row) for row in rows]


async def insert(conn: AsyncConnection, redemption: Redemption) -> bool:
    """Adds a redemption; False if its id is taken."""
    added = await conn.execute(
        _INSERT,
        {
            "program_id": redemption.program_id,
            "redemption_id": redemption.redemption_id,
            "participant_id": redemption.participant_id,
            "asset": redemption.asset,
            "authorized_minor": redemption.authorized_minor,
            "captured_minor": redemption.captured_minor,
            "refunded_minor": redemption.refunded_minor,
            "state": int(redemption.state),
            "order_id": redemption.order_id,
            "order_minor": redemption.order_minor,
            "worth_minor": redemption.worth_minor,
            "create_time": redemption.create_time,
        },
    )
    return added.rowcount == 1


async def update(conn: AsyncConnection, redemption: Redemption) -> None:
    """Writes the state of a redemption; its row is locked."""
    await conn.execute(
        _UPDATE,
        {
            "program_id": redemption.program_id,
            "redemption_id": redemption.redemption_id,
            "state": int(redemption.state),
            "captured_minor": redemption.captured_minor,
            "refunded_minor": redemption.refunded_minor,
        },
    )


async def refund_of(conn: AsyncConnection, program_id: str, refund_id: str) -> tuple[str, int | None] | None:
    """The redemption of a refund, and the amount asked for (None for all that was left); None if there is no such
    refund."""
    row = (await conn.execute(_READ_REFUND, {"program_id": program_id, "refund_id": refund_id})).one_or_none()
    return None if row is None else (row.redemption_id, row.asked_minor or None)


async def insert_refund(conn: AsyncConnection, refund: Refund) -> bool:
    """Adds a refund; False if its id is taken."""
    columns = refund._asdict() | {"asked_minor": refund.asked_minor or 0}
    return (await conn.execute(_INSERT_REFUND, columns)).rowcount == 1


async def load_operation(
    conn: AsyncConnection, program_id: str, kind: TransferKind, operation_id: str
) -> Operation | None:
    """The operation that was done under an id; None if there was none."""
    key = {"program_id": program_id, "kind": int(kind), "operation_id": operation_id}
    row = (await conn.execute(_READ_OPERATION, key)).one_or_none()
    if row is None:
        return None
    return Operation(program_id, kind, operation_id, bytes(row.body_hash), bytes(row.response), row.create_time)


async def insert_operation(conn: AsyncConnection, operation: Operation) -> bool:
    """Notes an operation; False if its id is taken."""
    columns = operation._asdict() | {"kind": int(operation.kind)}
    return (await conn.execute(_INSERT_OPERATION, columns)).rowcount == 1


def _redemption(row: Row[Any]) -> Redemption:
    return Redemption(
        row.program_id,
        row.redemption_id,
        row.participant_id,
        row.asset,
        row.authorized_minor,
        row.captured_minor,
        row.refunded_minor,
        RedemptionState(row.state),
        row.order_id,
        row.order_minor,
        row.worth_minor,
        row.create_time,
    )
