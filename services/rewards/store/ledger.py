"""Rewards, transfers and balances."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.copying import NULL, copy_lines, escape
from services.rewards.domain.conversion import Conversion, ConversionKey
from services.rewards.domain.ledger import Account, AccountKind, Reward, Transfer, deltas
from services.rewards.domain.settle.clawback import PostedReward, Revision
from services.rewards.domain.settle.ids import FIRST_POSITION, LAST_POSITION, reward_prefix

MAX_DELTA_MINOR = 2**63 - 1


class DueHold(NamedTuple):
    """A hold with the time at which it ends."""

    program_id: str
    conversion_id: str
    due_time: datetime

    @property
    def key(self) -> ConversionKey:
        """The conversion whose rewards are held."""
        return self.program_id, self.conversion_id


_BEFORE_ALL = DueHold("", "", datetime(1, 1, 1, tzinfo=UTC))

REWARD_COLUMNS = (
    "beneficiary_id, program_id, reward_id, conversion_id, rule_id, level, asset, amount_minor, hold_until,"
    " plan_version"
)
REVISION_COLUMNS = "reward_id, reversal_id, delta_minor, record_time"
_COPY_REWARDS = f"COPY reward ({REWARD_COLUMNS}) FROM STDIN"
_COPY_TRANSFERS = (
    "COPY transfer (transfer_id, program_id, kind, participant_id, debit, credit, asset, amount_minor, reward_id,"
    " cause_id) FROM STDIN"
)
_COPY_DELTAS = "COPY balance_delta (participant_id, program_id, place, asset, delta_minor) FROM STDIN"
_COPY_HOLDS = "COPY hold (program_id, conversion_id, due_time, record_time) FROM STDIN"
_INSERT_REVISION = text(f"""
    INSERT INTO reward_revision ({REVISION_COLUMNS})
    SELECT * FROM unnest(CAST(:reward_ids AS uuid[]), CAST(:reversal_ids AS text[]), CAST(:deltas AS bigint[]),
        CAST(:record_times AS timestamptz[]))
""")
_LOCK_HOLDS = text("""
    SELECT program_id, conversion_id, due_time FROM hold
    WHERE (program_id, conversion_id) IN (
        SELECT * FROM unnest(CAST(:program_ids AS text[]), CAST(:conversion_ids AS text[])))
    ORDER BY program_id, conversion_id, due_time FOR UPDATE
""")
# Rewards are found by whom they are for: a row for everybody a plan can pay, in the range of the conversion's ids.
# OFFSET 0 keeps the planner to one look into the index for each of them: it would rather read every reward and join
# them by hash, for it cannot know how narrow the ranges are.
_REWARDS_OF = text("""
    SELECT r.reward_id, r.program_id, r.conversion_id, r.rule_id, r.beneficiary_id, r.level, r.asset, r.amount_minor,
        r.hold_until, r.plan_version, coalesce(v.delta_minor, 0) AS revised_minor
    FROM unnest(CAST(:people AS text[]), CAST(:program_ids AS text[]), CAST(:conversion_ids AS text[]),
        CAST(:first_ids AS uuid[]), CAST(:last_ids AS uuid[]))
            AS c (participant_id, program_id, conversion_id, first_id, last_id)
    CROSS JOIN LATERAL (
        SELECT * FROM reward WHERE beneficiary_id = c.participant_id AND program_id = c.program_id
            AND reward_id BETWEEN c.first_id AND c.last_id AND conversion_id = c.conversion_id OFFSET 0) AS r
    LEFT JOIN LATERAL (SELECT sum(delta_minor)::bigint AS delta_minor FROM reward_revision
        WHERE reward_id = r.reward_id) AS v ON true
    ORDER BY r.reward_id
""")
_DUE = text("""
    SELECT program_id, conversion_id, due_time FROM hold
    WHERE due_time <= :now AND (due_time, program_id, conversion_id)
        > (CAST(:after_time AS timestamptz), CAST(:after_program AS text), CAST(:after_conversion AS text))
    ORDER BY due_time, program_id, conversion_id LIMIT :limit FOR UPDATE SKIP LOCKED
""")
_CLAIM = text("""
    SELECT program_id, conversion_id, due_time FROM hold
    WHERE (program_id, conversion_id, due_time) IN (
        SELECT * FROM unnest(CAST(:program_ids AS text[]), CAST(:conversion_ids AS text[]),
            CAST(:due_times AS timestamptz[])))
    ORDER BY due_time, program_id, conversion_id FOR UPDATE SKIP LOCKED
""")
_END_HOLDS = text("""
    DELETE FROM hold WHERE (program_id, conversion_id, due_time) IN (
        SELECT * FROM unnest(CAST(:program_ids AS text[]), CAST(:conversion_ids AS text[]),
            CAST(:due_times AS timestamptz[])))
""")
# One statement, so that a delta is never lost between the two tables.
_ROLL_UP = text("""
    WITH pending AS (
        DELETE FROM balance_delta WHERE ctid = ANY (ARRAY(
            SELECT ctid FROM balance_delta LIMIT :limit FOR UPDATE SKIP LOCKED))
        RETURNING program_id, participant_id, place, asset, delta_minor
    ), summed AS (
        SELECT program_id, participant_id, place, asset, sum(delta_minor) AS amount_minor, count(*) AS delta_count
        FROM pending GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
    ), rolled AS (
        INSERT INTO balance (program_id, participant_id, place, asset, amount_minor)
        SELECT program_id, participant_id, place, asset, amount_minor FROM summed
        ON CONFLICT (program_id, participant_id, place, asset) DO UPDATE
        SET amount_minor = balance.amount_minor + excluded.amount_minor
    )
    SELECT coalesce(sum(delta_count), 0)::bigint FROM summed
""")
_TRY_ROLL_UP_LOCK = text("SELECT pg_try_advisory_xact_lock(hashtextextended('rewards.roll_up', 0))")


async def post(
    conn: AsyncConnection, rewards: Sequence[Reward], transfers: Sequence[Transfer], revisions: Sequence[Revision]
) -> None:
    """Writes postings in the caller's transaction: rewards, transfers, balance deltas, holds, revisions."""
    if rewards:
        await copy_lines(conn, _COPY_REWARDS, _reward_lines(rewards))
        held = {
            (each.program_id, each.conversion_id, each.hold_until, each.cause_time)
            for each in rewards
            if each.hold_until is not None
        }
        if held:
            await copy_lines(conn, _COPY_HOLDS, map(_hold_line, sorted(held)))
    if transfers:
        await copy_lines(conn, _COPY_TRANSFERS, map(_transfer_line, sorted(transfers, key=_by_participant)))
    if rewards or transfers:
        await copy_lines(conn, _COPY_DELTAS, _delta_lines(deltas(rewards, transfers)))
    if revisions:
        await conn.execute(
            _INSERT_REVISION,
            {
                "reward_ids": [each.reward.reward_id for each in revisions],
                "reversal_ids": [each.reversal_id for each in revisions],
                "deltas": [each.delta_minor for each in revisions],
                "record_times": [each.record_time for each in revisions],
            },
        )


async def lock_holds(conn: AsyncConnection, conversions: Iterable[Conversion]) -> set[DueHold]:
    """Locks the holds of conversions: as long as they are locked, held rewards stay held."""
    ordered = sorted({each.key for each in conversions})
    rows = await conn.execute(
        _LOCK_HOLDS,
        {"program_ids": [each[0] for each in ordered], "conversion_ids": [each[1] for each in ordered]},
    )
    return {DueHold(row.program_id, row.conversion_id, row.due_time) for row in rows}


async def load_posted(
    conn: AsyncConnection, conversions: Sequence[Conversion], held: set[DueHold]
) -> dict[ConversionKey, list[PostedReward]]:
    """The rewards of conversions as they stand, in the order of rules and levels. `held`: holds that have not ended."""
    times = {each.key: each.record_time for each in conversions}
    ranges = [(person, each, reward_prefix(each)) for each in conversions for person in each.people]
    rows = await conn.execute(
        _REWARDS_OF,
        {
            "people": [person for person, _, _ in ranges],
            "program_ids": [each.program_id for _, each, _ in ranges],
            "conversion_ids": [each.conversion_id for _, each, _ in ranges],
            "first_ids": [prefix + FIRST_POSITION for _, _, prefix in ranges],
            "last_ids": [prefix + LAST_POSITION for _, _, prefix in ranges],
        },
    )
    found: dict[ConversionKey, list[PostedReward]] = {key: [] for key in times}
    for row in rows:
        key = (row.program_id, row.conversion_id)
        found[key].append(
            PostedReward(
                reward_of(row, times[key]),
                row.amount_minor + row.revised_minor,
                AccountKind.HELD if DueHold(*key, row.hold_until) in held else AccountKind.AVAILABLE,
            )
        )
    return found


async def due_holds(conn: AsyncConnection, now: datetime, after: DueHold | None, limit: int) -> list[DueHold]:
    """Holds that have ended, the oldest first, after the one `after`; passes over those that another process
    releases."""
    after = after or _BEFORE_ALL
    names = {
        "after_program": after.program_id,
        "after_conversion": after.conversion_id,
        "after_time": after.due_time,
    }
    rows = await conn.execute(_DUE, {**names, "now": now, "limit": limit})
    return [DueHold(row.program_id, row.conversion_id, row.due_time) for row in rows]


async def claim_holds(conn: AsyncConnection, holds: Sequence[DueHold]) -> list[DueHold]:
    """Locks those of the holds that have not ended meanwhile; passes over those that another process releases."""
    rows = await conn.execute(_CLAIM, _columns(holds))
    return [DueHold(row.program_id, row.conversion_id, row.due_time) for row in rows]


async def end_holds(conn: AsyncConnection, holds: Sequence[DueHold]) -> None:
    """Removes holds."""
    await conn.execute(_END_HOLDS, _columns(holds))


async def roll_up(conn: AsyncConnection, limit: int) -> int:
    """Adds pending deltas to balances; returns how many. Returns 0, too, while another process does it."""
    if not (await conn.execute(_TRY_ROLL_UP_LOCK)).scalar_one():
        return 0
    count: int = (await conn.execute(_ROLL_UP, {"limit": limit})).scalar_one()
    return count


def reward_of(row: Row[tuple[object, ...]], cause_time: datetime) -> Reward:
    """The reward in a row of the table of rewards."""
    return Reward(
        row.reward_id.hex,
        row.program_id,
        row.conversion_id,
        row.rule_id,
        row.beneficiary_id,
        row.level,
        row.asset,
        row.amount_minor,
        row.hold_until,
        row.plan_version,
        cause_time,
    )


def _columns(holds: Sequence[DueHold]) -> dict[str, list[object]]:
    return {
        "program_ids": [each.program_id for each in holds],
        "conversion_ids": [each.conversion_id for each in holds],
        "due_times": [each.due_time for each in holds],
    }


def _by_participant(transfer: Transfer) -> tuple[str, str, str]:
    return transfer.program_id, transfer.participant_id, transfer.transfer_id


def _reward_lines(rewards: Iterable[Reward]) -> list[str]:
    lines = [
        f"{escape(each.beneficiary_id)}\t{each.program_id}\t{each.reward_id}\t{escape(each.conversion_id)}"
        f"\t{each.rule_id}\t{each.level}\t{each.asset}\t{each.amount_minor}"
        f"\t{NULL if each.hold_until is None else each.hold_until.isoformat()}\t{each.plan_version}\n"
        for each in rewards
    ]
    # A line begins with the columns of the index: in their order, neighbouring entries of it are written together.
    lines.sort()
    return lines


def _delta_lines(changes: dict[Account, int]) -> list[str]:
    return sorted(
        f"{escape(participant_id)}\t{program_id}\t{account_kind:d}\t{asset}\t{part}\n"
        for (program_id, participant_id, account_kind, asset), delta in changes.items()
        for part in ((delta,) if -MAX_DELTA_MINOR <= delta <= MAX_DELTA_MINOR else _parts(delta))
    )


def _parts(delta: int) -> Iterator[int]:
    """A sum that no column holds, as several that do: changes of a balance may come in any number of rows."""
    sign = -1 if delta < 0 else 1
    for start in range(0, abs(delta), MAX_DELTA_MINOR):
        yield sign * min(abs(delta) - start, MAX_DELTA_MINOR)


def _transfer_line(transfer: Transfer) -> str:
    return (
        f"{transfer.transfer_id}\t{transfer.program_id}\t{transfer.kind:d}\t{escape(transfer.participant_id)}"
        f"\t{transfer.debit:d}\t{transfer.credit:d}\t{transfer.asset}\t{transfer.amount_minor}"
        f"\t{transfer.reward_id}\t{escape(transfer.cause_id)}\n"
    )


def _hold_line(hold: tuple[str, str, datetime, datetime]) -> str:
    program_id, conversion_id, due_time, record_time = hold
    return f"{program_id}\t{escape(conversion_id)}\t{due_time.isoformat()}\t{record_time.isoformat()}\n"
