"""Wallets: their locks, balances and transfers."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any
from zlib import crc32

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.ids import id_at, id_time, least_id
from chassis.pages import Portion, read_portion, within_budget
from services.rewards.domain.ledger import PARTICIPANT_ACCOUNT_KINDS, AccountKind
from services.rewards.domain.wallet.statement import TransferView
from services.rewards.domain.wallet.wallet import Pocket, WalletTransfer, changes
from services.rewards.store.numbers import numbers

WALLET_LOCKS = 1024
LAST_ID = "f" * 32

# One lock a statement, in the order of the array: they are taken as the rows come.
_LOCK = text("""
    SELECT pg_advisory_xact_lock(hashtextextended(name, 0))
    FROM (SELECT name FROM unnest(CAST(:names AS text[])) WITH ORDINALITY AS t (name, n) ORDER BY n OFFSET 0) AS ordered
""")
_POCKETS = text(f"""
    SELECT participant_id, asset,
        coalesce(sum(amount_minor) FILTER (WHERE place = {AccountKind.AVAILABLE:d}), 0) AS available_minor,
        coalesce(-sum(amount_minor) FILTER (WHERE place = {AccountKind.DEBT:d}), 0) AS debt_minor
    FROM (
        SELECT participant_id, asset, place, amount_minor FROM balance
        WHERE program_id = :program_id AND participant_id = ANY (CAST(:participants AS text[]))
            AND place IN ({AccountKind.AVAILABLE:d}, {AccountKind.DEBT:d})
        UNION ALL
        SELECT participant_id, asset, place, delta_minor FROM balance_delta
        WHERE program_id = :program_id AND participant_id = ANY (CAST(:participants AS text[]))
            AND place IN ({AccountKind.AVAILABLE:d}, {AccountKind.DEBT:d})
    ) AS b GROUP BY participant_id, asset
""")
_INSERT_TRANSFERS = text("""
    INSERT INTO transfer
        (transfer_id, program_id, kind, participant_id, debit, credit, asset, amount_minor, cause_id, recipient_id)
    SELECT * FROM unnest(CAST(:transfer_ids AS uuid[]), CAST(:program_ids AS text[]), CAST(:kinds AS smallint[]),
        CAST(:participants AS text[]), CAST(:debits AS smallint[]), CAST(:credits AS smallint[]),
        CAST(:assets AS text[]), CAST(:amounts AS bigint[]), CAST(:causes AS text[]), CAST(:recipients AS text[]))
""")
_INSERT_DELTAS = text("""
    INSERT INTO balance_delta (program_id, participant_id, place, asset, delta_minor)
    SELECT * FROM unnest(CAST(:program_ids AS text[]), CAST(:participants AS text[]), CAST(:places AS smallint[]),
        CAST(:assets AS text[]), CAST(:deltas AS bigint[]))
""")
_DEBTORS = text(f"""
    SELECT DISTINCT program_id, participant_id FROM (
        SELECT program_id, participant_id, asset FROM (
            SELECT program_id, participant_id, asset, amount_minor FROM balance
            WHERE place = {AccountKind.DEBT:d} AND amount_minor <> 0
            UNION ALL
            SELECT program_id, participant_id, asset, delta_minor FROM balance_delta WHERE place = {AccountKind.DEBT:d}
        ) AS parts GROUP BY 1, 2, 3 HAVING sum(amount_minor) < 0
    ) AS d
    WHERE (SELECT coalesce(sum(amount_minor), 0) FROM balance AS b WHERE b.program_id = d.program_id
            AND b.participant_id = d.participant_id AND b.place = {AccountKind.AVAILABLE:d} AND b.asset = d.asset)
        + (SELECT coalesce(sum(delta_minor), 0) FROM balance_delta AS b WHERE b.program_id = d.program_id
            AND b.participant_id = d.participant_id AND b.place = {AccountKind.AVAILABLE:d} AND b.asset = d.asset) > 0
        AND (program_id, participant_id) NOT IN (
            SELECT * FROM unnest(CAST(:passing_programs AS text[]), CAST(:passing_people AS text[])))
    ORDER BY program_id, participant_id LIMIT :limit
""")
_BALANCES = text("""
    SELECT asset, place, sum(amount_minor)::bigint AS amount_minor FROM (
        SELECT asset, place, amount_minor FROM balance
        WHERE program_id = :program_id AND participant_id = :participant_id
        UNION ALL
        SELECT asset, place, delta_minor FROM balance_delta
        WHERE program_id = :program_id AND participant_id = :participant_id
    ) AS b GROUP BY asset, place
""")
# Ids tell the times of transfers, to the millisecond.
_BALANCES_AT = text(f"""
    SELECT asset, place, sum(amount_minor)::bigint AS amount_minor FROM (
        SELECT asset, debit AS place, -amount_minor AS amount_minor FROM movement
        WHERE program_id = :program_id AND participant_id = :participant_id AND transfer_id < CAST(:end AS uuid)
        UNION ALL
        SELECT asset, credit, amount_minor FROM movement
        WHERE program_id = :program_id AND participant_id = :participant_id AND transfer_id < CAST(:end AS uuid)
            AND recipient_id IS NULL
        UNION ALL
        SELECT asset, credit, amount_minor FROM transfer
        WHERE program_id = :program_id AND recipient_id = :participant_id AND transfer_id < CAST(:end AS uuid)
    ) AS m WHERE place IN ({numbers(*sorted(PARTICIPANT_ACCOUNT_KINDS))}) GROUP BY asset, place
""")
_TRANSFERS = within_budget(
    """
    SELECT * FROM (
        SELECT transfer_id, kind, participant_id, recipient_id, debit, credit, asset, amount_minor, reward_id, cause_id
        FROM movement
        WHERE program_id = :program_id AND participant_id = :participant_id AND transfer_id < CAST(:before AS uuid)
        ORDER BY transfer_id DESC LIMIT :limit
    ) AS own
    UNION ALL
    SELECT * FROM (
        SELECT transfer_id, kind, participant_id, recipient_id, debit, credit, asset, amount_minor, reward_id, cause_id
        FROM transfer
        WHERE program_id = :program_id AND recipient_id = :participant_id AND transfer_id < CAST(:before AS uuid)
        ORDER BY transfer_id DESC LIMIT :limit
    ) AS received
    ORDER BY transfer_id DESC LIMIT :limit
    """,
    "octet_length(concat(participant_id, recipient_id, asset, cause_id))",
    "transfer_id DESC",
)
_CHECK_EXPIRY_AGAIN = text("""
    UPDATE expiring SET check_time = 'epoch'
    WHERE program_id = :program_id AND participant_id = :participant_id AND asset = :asset
""")


def wallet_lock(program_id: str, participant_id: str) -> str:
    """The name of the lock of a wallet: a transaction that lowers what is available there holds it until it ends.

    Some wallets share a lock, so that refunds of thousands of people in one transaction do not fill the server's table
    of locks.
    """
    name = f"{program_id}\x1f{participant_id}"
    return f"wallet:{crc32(name.encode()) % WALLET_LOCKS}"


def order_lock(program_id: str, order_id: str) -> str:
    """The name of the lock of an order: its redemptions are counted together, from whatever wallets they come."""
    return f"order:{program_id}\x1f{order_id}"


async def lock(conn: AsyncConnection, names: Iterable[str]) -> None:
    """Takes locks until the transaction ends, in one order for everybody.

    Locks of conversions and holds are taken before these, those of redemptions and payouts after.
    """
    await conn.execute(_LOCK, {"names": sorted(set(names))})


async def pockets(conn: AsyncConnection, program_id: str, participants: Iterable[str]) -> dict[tuple[str, str], Pocket]:
    """Pockets by participant and asset; to be read behind their locks."""
    rows = await conn.execute(_POCKETS, {"program_id": program_id, "participants": sorted(set(participants))})
    return {(row.participant_id, row.asset): Pocket(int(row.available_minor), int(row.debt_minor)) for row in rows}


async def post(conn: AsyncConnection, moves: Sequence[WalletTransfer], moment: datetime) -> None:
    """Writes moves, dated `moment`, in the caller's transaction."""
    if not moves:
        return
    await conn.execute(
        _INSERT_TRANSFERS,
        {
            "transfer_ids": [id_at(moment) for _ in moves],
            "program_ids": [each.program_id for each in moves],
            "kinds": [int(each.kind) for each in moves],
            "participants": [each.participant_id for each in moves],
            "debits": [int(each.debit) for each in moves],
            "credits": [int(each.credit) for each in moves],
            "assets": [each.asset for each in moves],
            "amounts": [each.amount_minor for each in moves],
            "causes": [each.cause_id for each in moves],
            "recipients": [each.recipient_id or None for each in moves],
        },
    )
    accounts, deltas = zip(*sorted(changes(moves).items()), strict=True)
    program_ids, participants, kinds, assets = zip(*accounts, strict=True)
    await conn.execute(
        _INSERT_DELTAS,
        {
            "program_ids": list(program_ids),
            "participants": list(participants),
            "places": [int(each) for each in kinds],
            "assets": list(assets),
            "deltas": list(deltas),
        },
    )
    # Value that comes back is as old as it was: some of it may expire earlier than the expiry that was looked at last.
    for each in moves:
        if each.credit is AccountKind.AVAILABLE and each.debit in {
            AccountKind.RESERVED,
            AccountKind.REDEEMED,
            AccountKind.PAID_OUT,
        }:
            await conn.execute(
                _CHECK_EXPIRY_AGAIN,
                {"program_id": each.program_id, "participant_id": each.participant_id, "asset": each.asset},
            )


async def debtors(conn: AsyncConnection, passing: Collection[tuple[str, str]], limit: int) -> list[tuple[str, str]]:
    """Wallets that owe something beside what they have available, but for those passing, as (program_id,
    participant_id)."""
    parameters = {
        "passing_programs": [program_id for program_id, _ in passing],
        "passing_people": [participant_id for _, participant_id in passing],
        "limit": limit,
    }
    return [(row.program_id, row.participant_id) for row in await conn.execute(_DEBTORS, parameters)]


async def balances(conn: AsyncConnection, program_id: str, participant_id: str) -> dict[tuple[str, int], int]:
    """A participant's balances by asset and kind of account."""
    rows = await conn.execute(_BALANCES, {"program_id": program_id, "participant_id": participant_id})
    return {(row.asset, row.place): row.amount_minor for row in rows}


async def balances_at(
    conn: AsyncConnection, program_id: str, participant_id: str, moment: datetime
) -> dict[tuple[str, int], int]:
    """A participant's balances by asset and kind of account: the sums of what moved until `moment` (inclusive)."""
    end = least_id(moment + timedelta(milliseconds=1))
    parameters = {"program_id": program_id, "participant_id": participant_id, "end": end}
    return {(row.asset, row.place): row.amount_minor for row in await conn.execute(_BALANCES_AT, parameters)}


async def transfers(
    conn: AsyncConnection, program_id: str, participant_id: str, before: str, limit: int
) -> Portion[TransferView]:
    """A participant's transfers with ids below `before`, newest first; also what others passed on to them."""
    parameters = {"program_id": program_id, "participant_id": participant_id, "before": before, "limit": limit}
    return await read_portion(conn, _TRANSFERS, parameters, _transfer)


def _transfer(row: Row[Any]) -> TransferView:
    return TransferView(
        transfer_id=row.transfer_id.hex,
        kind=row.kind,
        participant_id=row.participant_id,
        recipient_id=row.recipient_id or "",
        debit=AccountKind(row.debit),
        credit=AccountKind(row.credit),
        asset=row.asset,
        amount_minor=row.amount_minor,
        reward_id=row.reward_id.hex if row.reward_id else "",
        cause_id=row.cause_id,
        create_time=id_time(row.transfer_id),
    )
