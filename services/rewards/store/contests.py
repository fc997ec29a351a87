"""Contests: rankings, and which of them are final."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.rewards.domain.plan.contests import Contest, Score

LONGEST_WAIT = timedelta(days=1)
"""A contest waits no longer than this for facts that came in time and take long to settle: the most of them that wait
of a program are settled in 14 hours (`services.rewards.store.deferred.MAX_FACTS_OF_PROGRAM`), and a fault that lasts is
no reason to keep winners waiting."""

_CLOSED = text("""
    SELECT program_id, contest_id FROM contest_settlement WHERE program_id = ANY (CAST(:program_ids AS text[]))
""")
_CLOSING_VERSION = text("""
    SELECT plan_version FROM contest_settlement WHERE program_id = :program_id AND contest_id = :contest_id
""")
# The newest version says when, until the contest is closed.
_EXPECT = text("""
    INSERT INTO contest_due (program_id, contest_id, due_time)
    SELECT :program_id, contest_id, due_time
    FROM unnest(CAST(:contest_ids AS text[]), CAST(:due_times AS timestamptz[])) AS t (contest_id, due_time)
    WHERE NOT EXISTS (
        SELECT 1 FROM contest_settlement AS s WHERE s.program_id = :program_id AND s.contest_id = t.contest_id)
    ON CONFLICT (program_id, contest_id) DO UPDATE SET due_time = excluded.due_time
""")
# The first of the facts that wait is the one that was put there first: the index finds it, however many there are.
WAITS_FOR_FACTS = f"""
    (contest_due.due_time > clock_timestamp() - make_interval(secs => {LONGEST_WAIT.total_seconds():.0f})
     AND coalesce((
        SELECT deferred.create_time <= contest_due.due_time FROM deferred
        WHERE deferred.program_id = contest_due.program_id ORDER BY deferred.deferred_id LIMIT 1), false))
"""
"""The condition that a contest in `contest_due` is not closed yet though its time has come: facts of its program wait
that were put into `deferred` before, and would no longer count. The bound goes by the clock of the database, as the
facts' own times do."""
_DUE = text(f"""
    SELECT program_id, contest_id FROM contest_due
    WHERE due_time <= :now AND NOT {WAITS_FOR_FACTS} AND (program_id, contest_id) NOT IN (
        SELECT * FROM unnest(CAST(:passing_programs AS text[]), CAST(:passing_contests AS text[])))
    ORDER BY due_time LIMIT :limit
""")
_IS_DUE = text(f"""
    SELECT 1 FROM contest_due
    WHERE program_id = :program_id AND contest_id = :contest_id AND due_time <= :now AND NOT {WAITS_FOR_FACTS}
""")
_COUNT_LEFT_OUT = text("""
    SELECT count(*) FROM contest_due JOIN deferred USING (program_id)
    WHERE program_id = :program_id AND contest_id = :contest_id AND create_time <= contest_due.due_time
""")
_CLOSE = text("""
    WITH gone AS (DELETE FROM contest_due WHERE program_id = :program_id AND contest_id = :contest_id)
    INSERT INTO contest_settlement (program_id, contest_id, plan_version, settle_time, position)
    VALUES (:program_id, :contest_id, :plan_version, :settle_time, :position)
""")
_OF_CONTEST = "program_id = :program_id AND contest_id = :contest_id AND score >= :min_score"
_AFTER = """
    (score < :score OR (score = :score AND (reach_time, reach_position, participant_id)
        > (CAST(:reach_time AS timestamptz), CAST(:reach_position AS bigint), :participant_id)))
"""
_BEFORE = """
    (score > :score OR (score = :score AND (reach_time, reach_position, participant_id)
        < (CAST(:reach_time AS timestamptz), CAST(:reach_position AS bigint), :participant_id)))
"""
_COLUMNS = "SELECT participant_id, score, reach_time, reach_position FROM contest_score"
_ORDER = "ORDER BY score DESC, reach_time, reach_position, participant_id LIMIT :limit"
_FIRST = text(f"{_COLUMNS} WHERE {_OF_CONTEST} {_ORDER}")
_NEXT = text(f"{_COLUMNS} WHERE {_OF_CONTEST} AND {_AFTER} {_ORDER}")
_ONE = text(f"""
    {_COLUMNS} WHERE program_id = :program_id AND contest_id = :contest_id AND participant_id = :participant_id
""")
_AHEAD = text(f"""
    SELECT count(*) AS ahead_count, min(score) AS next_score FROM contest_score WHERE {_OF_CONTEST} AND {_BEFORE}
""")
_COUNT = text(f"SELECT count(*) FROM contest_score WHERE {_OF_CONTEST}")


async def closed(conn: AsyncConnection, program_ids: Collection[str]) -> list[tuple[str, str]]:
    """Contests whose ranking is final, as (program_id, contest_id)."""
    rows = await conn.execute(_CLOSED, {"program_ids": list(program_ids)})
    return [(row.program_id, row.contest_id) for row in rows]


async def closing_version(conn: AsyncConnection, program_id: str, contest_id: str) -> int | None:
    """The version whose prizes were posted; None while the ranking is not final."""
    key = {"program_id": program_id, "contest_id": contest_id}
    version: int | None = (await conn.execute(_CLOSING_VERSION, key)).scalar_one_or_none()
    return version


async def expect(conn: AsyncConnection, program_id: str, contests: Sequence[Contest]) -> None:
    """Notes when the contests of a version that is being published are to be closed."""
    if contests:
        parameters = {
            "program_id": program_id,
            "contest_ids": [each.contest_id for each in contests],
            "due_times": [each.close_time for each in contests],
        }
        await conn.execute(_EXPECT, parameters)


async def due(
    conn: AsyncConnection, now: datetime, passing: Collection[tuple[str, str]], limit: int
) -> list[tuple[str, str]]:
    """Contests to be closed but for those passing and those that wait for facts, the longest overdue first, as
    (program_id, contest_id)."""
    parameters = {
        "now": now,
        "passing_programs": [program_id for program_id, _ in passing],
        "passing_contests": [contest_id for _, contest_id in passing],
        "limit": limit,
    }
    return [(row.program_id, row.contest_id) for row in await conn.execute(_DUE, parameters)]


async def is_due(conn: AsyncConnection, program_id: str, contest_id: str, now: datetime) -> bool:
    """Whether a contest is still to be closed, and does not wait for facts."""
    key = {"program_id": program_id, "contest_id": contest_id, "now": now}
    return (await conn.execute(_IS_DUE, key)).one_or_none() is not None


async def count_left_out(conn: AsyncConnection, program_id: str, contest_id: str) -> int:
    """The number of facts that came in time, and that a contest which is due waits for no longer."""
    key = {"program_id": program_id, "contest_id": contest_id}
    count: int = (await conn.execute(_COUNT_LEFT_OUT, key)).scalar_one()
    return count


async def close(
    conn: AsyncConnection, program_id: str, contest_id: str, version: int, now: datetime, position: int
) -> None:
    """Makes the ranking final: facts with higher positions no longer change it."""
    await conn.execute(
        _CLOSE,
        {
            "program_id": program_id,
            "contest_id": contest_id,
            "plan_version": version,
            "settle_time": now,
            "position": position,
        },
    )


async def ranking(
    conn: AsyncConnection, program_id: str, contest: Contest, limit: int, after: Score | None = None
) -> list[Score]:
    """The best, or the best of those behind `after`."""
    parameters: dict[str, object] = {**_key(program_id, contest), "limit": limit}
    if after is not None:
        parameters |= _place(after)
    rows = await conn.execute(_FIRST if after is None else _NEXT, parameters)
    return [_score(row) for row in rows]


async def score(conn: AsyncConnection, program_id: str, contest: Contest, participant_id: str) -> Score | None:
    """A participant's score, also one too small to be ranked; None if nothing was ever counted for them."""
    key = {"program_id": program_id, "contest_id": contest.contest_id, "participant_id": participant_id}
    row = (await conn.execute(_ONE, key)).one_or_none()
    return None if row is None else _score(row)


async def ahead_of(conn: AsyncConnection, program_id: str, contest: Contest, score: Score) -> tuple[int, int]:
    """The number of participants ahead of a score, and the score right before it; 0 and 0 if nobody is ahead."""
    row = (await conn.execute(_AHEAD, {**_key(program_id, contest), **_place(score)})).one()
    return row.ahead_count, row.next_score or 0


async def ranked_count(conn: AsyncConnection, program_id: str, contest: Contest) -> int:
    """The number of participants who are ranked."""
    count: int = (await conn.execute(_COUNT, _key(program_id, contest))).scalar_one()
    return count


def _key(program_id: str, contest: Contest) -> dict[str, object]:
    return {"program_id": program_id, "contest_id": contest.contest_id, "min_score": contest.min_score}


def _place(score: Score) -> dict[str, object]:
    return {
        "score": score.score,
        "reach_time": score.reach_time,
        "reach_position": score.reach_position,
        "participant_id": score.participant_id,
    }


def _score(row: Row[Any]) -> Score:
    return Score(row.participant_id, row.score, row.reach_time, row.reach_position)
