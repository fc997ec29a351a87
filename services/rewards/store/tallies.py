"""What programs count. Every change is made behind the program's lock, so what is read there is what stands."""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.database import psycopg_connection
from services.rewards.domain.tallies import CONTEST_PREFIX, TallyKey

_LOCK = text("""
    SELECT pg_advisory_xact_lock(hashtextextended('tally:' || program_id, 0))
    FROM unnest(CAST(:program_ids AS text[])) AS t (program_id)
""")
# One look into the index for each key: the planner cannot know how few of the rows are wanted.
_LOAD = b"""
    SELECT k.number, t.value FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[])
        WITH ORDINALITY AS k (program_id, name, subject, period, number)
    CROSS JOIN LATERAL (
        SELECT value FROM tally
        WHERE subject = k.subject AND name = k.name AND period = k.period AND program_id = k.program_id OFFSET 0) AS t
"""
_ADD = b"""
    INSERT INTO tally (program_id, name, subject, period, value)
    SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::bigint[])
    ON CONFLICT (subject, name, period, program_id) DO UPDATE SET value = tally.value + excluded.value
"""
_ADD_SCORES = text("""
    INSERT INTO contest_score (program_id, contest_id, participant_id, score, reach_time)
    SELECT * FROM unnest(CAST(:program_ids AS text[]), CAST(:contest_ids AS text[]), CAST(:participant_ids AS text[]),
        CAST(:scores AS bigint[]), CAST(:reach_times AS timestamptz[]))
    ON CONFLICT (program_id, contest_id, participant_id) DO UPDATE
    SET score = contest_score.score + excluded.score, reach_time = greatest(contest_score.reach_time, excluded.reach_time)
""")
_DRAW = text("SELECT nextval('settle_position') FROM generate_series(1, :count)")


async def lock(conn: AsyncConnection, program_ids: Collection[str]) -> None:
    """Makes the programs' facts wait for one another until the transaction ends.

    Taken after the plan's lock and before any row's, in one order, so that nobody waits in a circle.
    """
    await conn.execute(_LOCK, {"program_ids": sorted(program_ids)})


async def draw_positions(conn: AsyncConnection, count: int) -> list[int]:
    """So many numbers, ascending, higher than all that were drawn behind the same lock before."""
    return sorted((await conn.execute(_DRAW, {"count": count})).scalars())


async def load(conn: AsyncConnection, keys: Iterable[TallyKey]) -> dict[TallyKey, int]:
    """Those of the tallies that were ever counted."""
    wanted = list(keys)
    if not wanted:
        return {}
    raw = await psycopg_connection(conn)
    rows = await (await raw.execute(_LOAD, list(map(list, zip(*wanted, strict=True))))).fetchall()
    return {wanted[number - 1]: value for number, value in rows}


async def add(conn: AsyncConnection, changes: Mapping[TallyKey, int], reach_times: Mapping[TallyKey, datetime]) -> None:
    """Adds to tallies. `reach_times`: of the scores among them, the record time of the last fact that changed them."""
    rows = sorted(
        (*key, change) for key, change in changes.items() if change and not key.name.startswith(CONTEST_PREFIX)
    )
    if rows:
        raw = await psycopg_connection(conn)
        await raw.execute(_ADD, list(map(list, zip(*rows, strict=True))))
    scores = sorted(reach_times)
    if scores:
        await conn.execute(
            _ADD_SCORES,
            {
                "program_ids": [each.program_id for each in scores],
                "contest_ids": [each.name.removeprefix(CONTEST_PREFIX) for each in scores],
                "participant_ids": [each.subject for each in scores],
                "scores": [changes[each] for each in scores],
                "reach_times": [reach_times[each] for each in scores],
            },
        )
