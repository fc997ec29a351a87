"""Conversions and reversals that arrived. Their keys are the inbox: a second delivery conflicts and changes nothing."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.comparison import Fact
from chassis.copying import NULL, copy_lines, escape, escape_once
from chassis.pages import Portion, read_portion, within_budget
from services.rewards.domain.conversion import ArrivedConversion, Conversion, ConversionKey, Reversal, ReversalKey
from services.rewards.domain.settle.counting import CountedPosition
from services.rewards.domain.settle.ids import FIRST_POSITION, first_reward_id, reward_prefix
from services.rewards.domain.tally.snapshot import EMPTY, Snapshot, from_json
from services.rewards.wire.events import read_stored_conversion

_NOTHING_COUNTED = f"\t{NULL}\t{NULL}"
_COPY = (
    "COPY conversion (program_id, conversion_id, amount_minor, record_time, plan_version, first_reward_id, event,"
    " position, snapshot) FROM STDIN"
)
# A row without an event was left by a reversal that came first; the conversion fills it in.
_MERGE = text("""
    INSERT INTO conversion (program_id, conversion_id, amount_minor, record_time, plan_version, first_reward_id, event)
    SELECT * FROM unnest(CAST(:program_ids AS text[]), CAST(:conversion_ids AS text[]), CAST(:amounts AS bigint[]),
        CAST(:record_times AS timestamptz[]), CAST(:plan_versions AS integer[]),
        CAST(:first_reward_ids AS uuid[]), CAST(:events AS bytea[]))
    ON CONFLICT (program_id, conversion_id) DO UPDATE
    SET amount_minor = excluded.amount_minor, record_time = excluded.record_time,
        plan_version = excluded.plan_version,
        first_reward_id = excluded.first_reward_id, event = excluded.event
    WHERE conversion.event IS NULL
    RETURNING program_id, conversion_id, xmax <> 0 AS was_expected
""")
_STORE_POSITIONS = text("""
    UPDATE conversion SET position = t.position, snapshot = t.snapshot
    FROM unnest(CAST(:program_ids AS text[]), CAST(:conversion_ids AS text[]), CAST(:positions AS bigint[]),
        CAST(:snapshots AS text[])) AS t (program_id, conversion_id, position, snapshot)
    WHERE conversion.program_id = t.program_id AND conversion.conversion_id = t.conversion_id
""")
# The update that never happens locks the rows that are there, in one order with those that are added (PostgreSQL
# manual, INSERT, "ON CONFLICT Clause"): added first and locked afterwards, they would deadlock with conversions that
# arrive.
_EXPECT = text("""
    INSERT INTO conversion (program_id, conversion_id, amount_minor, plan_version)
    SELECT program_id, conversion_id, 0, 0
    FROM unnest(CAST(:program_ids AS text[]), CAST(:conversion_ids AS text[])) AS t (program_id, conversion_id)
    ON CONFLICT (program_id, conversion_id) DO UPDATE SET amount_minor = conversion.amount_minor WHERE false
""")
_READ_LOCKED = text("""
    SELECT program_id, conversion_id, plan_version, event, snapshot FROM conversion
    WHERE (program_id, conversion_id) IN (
        SELECT * FROM unnest(CAST(:program_ids AS text[]), CAST(:conversion_ids AS text[])))
""")
_READ = text("""
    SELECT plan_version, event, snapshot FROM conversion
    WHERE program_id = :program_id AND conversion_id = :conversion_id AND event IS NOT NULL
""")
_READ_BY_REWARD = text("""
    SELECT plan_version, event, snapshot FROM conversion
    WHERE program_id = :program_id AND first_reward_id = CAST(:first_reward_id AS uuid) AND event IS NOT NULL
""")
_READ_MANY = text("""
    SELECT program_id, conversion_id, plan_version, event, snapshot FROM conversion
    WHERE (program_id, conversion_id) IN (
        SELECT * FROM unnest(CAST(:program_ids AS text[]), CAST(:conversion_ids AS text[])))
        AND event IS NOT NULL
""")
_READ_IN_TURN = within_budget(
    """
    SELECT place, plan_version, event, snapshot
    FROM unnest(CAST(:program_ids AS text[]), CAST(:conversion_ids AS text[]))
        WITH ORDINALITY AS wanted (program_id, conversion_id, place)
    JOIN conversion USING (program_id, conversion_id)
    WHERE event IS NOT NULL
    """,
    "octet_length(event) + coalesce(octet_length(snapshot), 0)",
    "place",
)
_INSERT_REVERSALS = text("""
    INSERT INTO reversal (program_id, reversal_id, conversion_id, amount_minor, completes, record_time, position, lines)
    SELECT * FROM unnest(CAST(:program_ids AS text[]), CAST(:reversal_ids AS text[]), CAST(:conversion_ids AS text[]),
        CAST(:amounts AS bigint[]), CAST(:completes AS boolean[]), CAST(:record_times AS timestamptz[]),
        CAST(:positions AS bigint[]), CAST(:lines AS text[]))
    ON CONFLICT (program_id, reversal_id) DO NOTHING
    RETURNING program_id, reversal_id
""")
_LOAD_REVERSALS = text("""
    SELECT program_id, reversal_id, conversion_id, amount_minor, completes, record_time, lines FROM reversal
    WHERE (program_id, conversion_id) IN (
        SELECT * FROM unnest(CAST(:program_ids AS text[]), CAST(:conversion_ids AS text[])))
    ORDER BY position
""")

# A row without an event waits for its conversion.
_SETTLED = text("""
    SELECT program_id, 'conversion:' || program_id || '/' || conversion_id AS event_id FROM conversion
    JOIN unnest(CAST(:conversion_programs AS text[]), CAST(:conversion_ids AS text[]))
        AS asked (program_id, conversion_id) USING (program_id, conversion_id)
    WHERE event IS NOT NULL
    UNION ALL
    SELECT program_id, 'reversal:' || program_id || '/' || reversal_id FROM reversal
    JOIN unnest(CAST(:reversal_programs AS text[]), CAST(:reversal_ids AS text[]))
        AS asked (program_id, reversal_id) USING (program_id, reversal_id)
    UNION ALL
    SELECT program_id, event_id FROM deferred
    JOIN unnest(CAST(:programs AS text[]), CAST(:event_ids AS text[]))
        AS asked (program_id, event_id) USING (program_id, event_id)
""")


@dataclass(frozen=True, slots=True)
class StoredConversion:
    """A conversion as stored, with the number of the version that pays it; 0 where none was in force."""

    conversion: Conversion
    plan_version: int
    snapshot: Snapshot = EMPTY


async def copy_new(
    conn: AsyncConnection,
    rows: Sequence[tuple[ArrivedConversion, int]],
    counted: Mapping[ConversionKey, CountedPosition],
) -> None:
    """Adds conversions with their plan versions. psycopg.errors.UniqueViolation if one is there already."""
    await copy_lines(
        conn,
        _COPY,
        (
            f"{escape(each.conversion.program_id)}\t{escape(each.conversion.conversion_id)}"
            f"\t{each.conversion.amount_minor}\t{each.conversion.record_time.isoformat()}\t{version}"
            f"\t{reward_prefix(each.conversion)}{FIRST_POSITION}\t\\\\x{each.event.hex()}"
            f"{_counted_columns(counted.get(each.conversion.key))}\n"
            for each, version in sorted(rows, key=lambda row: row[0].conversion.key)
        ),
    )


async def merge_new(
    conn: AsyncConnection, rows: Sequence[tuple[ArrivedConversion, int]]
) -> tuple[set[ConversionKey], set[ConversionKey]]:
    """Adds those conversions that are not there yet; returns their keys, and the keys of those that a reversal
    awaited."""
    ordered = sorted(rows, key=lambda row: row[0].conversion.key)
    result = await conn.execute(
        _MERGE,
        {
            "program_ids": [each.conversion.program_id for each, _ in ordered],
            "conversion_ids": [each.conversion.conversion_id for each, _ in ordered],
            "amounts": [each.conversion.amount_minor for each, _ in ordered],
            "record_times": [each.conversion.record_time for each, _ in ordered],
            "plan_versions": [version for _, version in ordered],
            "first_reward_ids": [reward_prefix(each.conversion) + FIRST_POSITION for each, _ in ordered],
            "events": [each.event for each, _ in ordered],
        },
    )
    added = result.all()
    return (
        {(row.program_id, row.conversion_id) for row in added},
        {(row.program_id, row.conversion_id) for row in added if row.was_expected},
    )


async def store_positions(conn: AsyncConnection, counted: Mapping[ConversionKey, CountedPosition]) -> None:
    """Stores the positions and snapshots of conversions that were just added."""
    ordered = sorted(counted)
    await conn.execute(
        _STORE_POSITIONS,
        {
            "program_ids": [each[0] for each in ordered],
            "conversion_ids": [each[1] for each in ordered],
            "positions": [counted[each].position for each in ordered],
            "snapshots": [counted[each].snapshot for each in ordered],
        },
    )


async def lock_expected(
    conn: AsyncConnection, keys: Iterable[ConversionKey]
) -> dict[ConversionKey, StoredConversion | None]:
    """Locks conversions, leaving a row for those that have not arrived: None for these."""
    ordered = sorted(set(keys))
    parameters = {"program_ids": [each[0] for each in ordered], "conversion_ids": [each[1] for each in ordered]}
    await conn.execute(_EXPECT, parameters)
    return {
        (row.program_id, row.conversion_id): _stored_conversion(row)
        for row in await conn.execute(_READ_LOCKED, parameters)
    }


async def load(conn: AsyncConnection, program_id: str, conversion_id: str) -> StoredConversion | None:
    """One conversion; None if it has not arrived."""
    row = (await conn.execute(_READ, {"program_id": program_id, "conversion_id": conversion_id})).one_or_none()
    return None if row is None else _stored_conversion(row)


async def load_of_reward(conn: AsyncConnection, program_id: str, reward_id: str) -> StoredConversion | None:
    """The conversion that a reward is for; None if no conversion can have a reward of this id."""
    parameters = {"program_id": program_id, "first_reward_id": first_reward_id(reward_id)}
    row = (await conn.execute(_READ_BY_REWARD, parameters)).one_or_none()
    return None if row is None else _stored_conversion(row)


async def load_many(conn: AsyncConnection, keys: Iterable[ConversionKey]) -> dict[ConversionKey, StoredConversion]:
    """The conversions that have arrived among those with these keys."""
    ordered = sorted(set(keys))
    rows = await conn.execute(
        _READ_MANY,
        {"program_ids": [each[0] for each in ordered], "conversion_ids": [each[1] for each in ordered]},
    )
    found = {(row.program_id, row.conversion_id): _stored_conversion(row) for row in rows}
    return {key: stored for key, stored in found.items() if stored is not None}


async def load_in_turn(conn: AsyncConnection, keys: Sequence[ConversionKey]) -> Portion[StoredConversion]:
    """The first of the conversions with these keys, in their order, without those that have not arrived."""
    wanted = {"program_ids": [each[0] for each in keys], "conversion_ids": [each[1] for each in keys]}
    return await read_portion(conn, _READ_IN_TURN, wanted, _arrived_conversion)


async def insert_reversals(
    conn: AsyncConnection, reversals: Sequence[Reversal], positions: Mapping[ReversalKey, int]
) -> set[ReversalKey]:
    """Adds those reversals that are not there yet; returns their keys. `positions`: by key."""
    ordered = sorted(reversals, key=lambda each: each.key)
    result = await conn.execute(
        _INSERT_REVERSALS,
        {
            "program_ids": [each.program_id for each in ordered],
            "reversal_ids": [each.reversal_id for each in ordered],
            "conversion_ids": [each.conversion_id for each in ordered],
            "amounts": [each.amount_minor for each in ordered],
            "completes": [each.completes for each in ordered],
            "record_times": [each.record_time for each in ordered],
            "positions": [positions[each.key] for each in ordered],
            "lines": [_write_lines(each.lines) for each in ordered],
        },
    )
    return {(row.program_id, row.reversal_id) for row in result}


async def load_reversals(conn: AsyncConnection, keys: Iterable[ConversionKey]) -> dict[ConversionKey, list[Reversal]]:
    """Every reversal of these conversions, in the order in which they take effect."""
    ordered = sorted(set(keys))
    found: dict[ConversionKey, list[Reversal]] = {each: [] for each in ordered}
    rows = await conn.execute(
        _LOAD_REVERSALS,
        {"program_ids": [each[0] for each in ordered], "conversion_ids": [each[1] for each in ordered]},
    )
    for row in rows:
        found[row.program_id, row.conversion_id].append(
            Reversal(
                row.program_id,
                row.reversal_id,
                row.conversion_id,
                row.amount_minor,
                row.completes,
                row.record_time,
                read_lines(row.lines),
            )
        )
    return found


def read_lines(text: str | None) -> tuple[tuple[str, int], ...]:
    """The lines of a reversal, from the text in which they are stored."""
    return tuple((line_id, minor) for line_id, minor in json.loads(text)) if text else ()


def _write_lines(lines: Sequence[tuple[str, int]]) -> str | None:
    return json.dumps(lines, ensure_ascii=False, separators=(",", ":")) if lines else None


def _counted_columns(counted: CountedPosition | None) -> str:
    if counted is None:
        return _NOTHING_COUNTED
    position = NULL if counted.position is None else counted.position
    return f"\t{position}\t{NULL if counted.snapshot is None else escape_once(counted.snapshot)}"


def _stored_conversion(row: Any) -> StoredConversion | None:
    return None if row.event is None else _arrived_conversion(row)


def _arrived_conversion(row: Any) -> StoredConversion:
    conversion = read_stored_conversion(bytes(row.event))
    return StoredConversion(conversion, row.plan_version, EMPTY if row.snapshot is None else from_json(row.snapshot))


async def settled(conn: AsyncConnection, facts: Sequence[Fact]) -> set[Fact]:
    """Those among facts of attribution that are settled, or that wait for it in the database: they need not come
    again."""
    conversions, reversals = _ids(facts, "conversion"), _ids(facts, "reversal")
    asked = {
        "conversion_programs": [program_id for program_id, _ in conversions],
        "conversion_ids": [conversion_id for _, conversion_id in conversions],
        "reversal_programs": [program_id for program_id, _ in reversals],
        "reversal_ids": [reversal_id for _, reversal_id in reversals],
        "programs": [each.program_id for each in facts],
        "event_ids": [each.event_id for each in facts],
    }
    return {Fact(row.program_id, row.event_id) for row in await conn.execute(_SETTLED, asked)}


def _ids(facts: Sequence[Fact], kind: str) -> list[tuple[str, str]]:
    """The programs and ids of those facts that are of a kind, which their events' names begin with."""
    found = []
    for each in facts:
        prefix = f"{kind}:{each.program_id}/"
        if each.event_id.startswith(prefix):
            found.append((each.program_id, each.event_id.removeprefix(prefix)))
    return found
