"""Facts that take long to settle, in the table where they wait for it."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.measuring import MOST_COUNTED, Standing
from services.rewards.wire.events import ToldFact

MAX_FACTS_OF_PROGRAM = 100_000
"""The most facts of a program that wait: 14 hours of the worst plan, and some hundred MB of orders without lines.
Whatever comes beyond them fails as if by a fault of its own, and so is tried again for ten minutes before it is set
aside: the program that sends too much waits for itself."""

# Settling asks this in each transaction, so it goes by the index, one row a program.
_PROGRAMS_AMONG = text("""
    SELECT program_id FROM unnest(CAST(:program_ids AS text[])) AS asked (program_id)
    WHERE EXISTS (SELECT FROM deferred WHERE deferred.program_id = asked.program_id)
""")
_COUNT = text("SELECT count(*) FROM (SELECT FROM deferred WHERE program_id = :program_id LIMIT :limit) AS few")
_ADD = text("""
    INSERT INTO deferred (program_id, event_id, payload)
    SELECT program_id, event_id, payload
    FROM unnest(CAST(:program_ids AS text[]), CAST(:event_ids AS text[]), CAST(:payloads AS bytea[]))
        WITH ORDINALITY AS t (program_id, event_id, payload, place)
    ORDER BY place
    ON CONFLICT (program_id, event_id) DO NOTHING
""")
# Programs are found one after the other by the index, however many facts each of them has. One that somebody works on
# is passed over: its facts keep their order.
_PROGRAMS = """
    WITH RECURSIVE program AS (
        (SELECT program_id FROM deferred ORDER BY program_id LIMIT 1)
        UNION ALL
        SELECT (
            SELECT next.program_id FROM deferred AS next
            WHERE next.program_id > program.program_id ORDER BY next.program_id LIMIT 1
        ) FROM program WHERE program_id IS NOT NULL
    )
"""
_NEXT = text(f"""
    {_PROGRAMS}
    SELECT deferred_id FROM program CROSS JOIN LATERAL (
        SELECT deferred_id FROM deferred
        WHERE deferred.program_id = program.program_id AND due_time <= clock_timestamp()
        ORDER BY deferred_id LIMIT 1
    ) AS earliest
    WHERE NOT EXISTS (
        SELECT FROM deferred WHERE deferred.program_id = program.program_id AND claimed_until > clock_timestamp()
    )
    ORDER BY program_id <= :program_id, program_id LIMIT 1
""")
_CLAIM = text("""
    UPDATE deferred
    SET claim_count = claim_count + 1, claim_time = clock_timestamp(), claimed_until = clock_timestamp() + :lease
    WHERE deferred_id = :deferred_id AND (claimed_until IS NULL OR claimed_until <= clock_timestamp())
    RETURNING deferred_id, program_id, event_id, payload, create_time, claim_count, attempts
""")
_GIVE_BACK = text(
    "UPDATE deferred SET claimed_until = NULL, claim_count = claim_count - 1 WHERE deferred_id = :deferred_id"
)
_FAIL = text("""
    UPDATE deferred
    SET claimed_until = NULL, attempts = attempts + 1, due_time = clock_timestamp() + :pause, error = :error
    WHERE deferred_id = :deferred_id
""")
_REMOVE = text("DELETE FROM deferred WHERE deferred_id = :deferred_id")
_STANDING = text(f"""
    {_PROGRAMS}
    SELECT program_id, number, extract(epoch FROM clock_timestamp() - create_time)::float8 AS age_seconds
    FROM program
    CROSS JOIN LATERAL (
        SELECT count(*) AS number FROM (
            SELECT FROM deferred WHERE deferred.program_id = program.program_id LIMIT {MOST_COUNTED}
        ) AS few
    ) AS counted
    CROSS JOIN LATERAL (
        SELECT create_time FROM deferred WHERE deferred.program_id = program.program_id ORDER BY deferred_id LIMIT 1
    ) AS oldest
    LIMIT {MOST_COUNTED}
""")


class ClaimedFact(NamedTuple):
    """A fact that waited, and that this process works on."""

    deferred_id: int
    program_id: str
    event_id: str
    payload: bytes
    create_time: datetime
    claim_count: int
    """How often it was claimed up, with this time, and not given back unharmed."""
    attempts: int
    """How often it failed."""

    @property
    def unanswered(self) -> int:
        """How often it was claimed up before, and its process did not live to say what became of it."""
        return self.claim_count - 1 - self.attempts


async def programs_among(conn: AsyncConnection, program_ids: Collection[str]) -> set[str]:
    """Those among programs of which facts wait."""
    return set((await conn.execute(_PROGRAMS_AMONG, {"program_ids": sorted(program_ids)})).scalars())


async def add(conn: AsyncConnection, facts: Iterable[ToldFact]) -> set[str]:
    """Has facts wait, in their order; one that waits already changes nothing. Returns the programs that have no room
    for theirs, of which none is added."""
    full: set[str] = set()
    by_program = attrgetter("program_id")
    for program_id, group in groupby(sorted(facts, key=by_program), key=by_program):
        own: Sequence[ToldFact] = list(group)
        counted = {"program_id": program_id, "limit": MAX_FACTS_OF_PROGRAM}
        if (await conn.execute(_COUNT, counted)).scalar_one() >= MAX_FACTS_OF_PROGRAM:
            full.add(program_id)
            continue
        columns = {
            "program_ids": [each.program_id for each in own],
            "event_ids": [each.event_id for each in own],
            "payloads": [each.payload for each in own],
        }
        await conn.execute(_ADD, columns)
    return full


async def claim(conn: AsyncConnection, program_id: str, lease: timedelta) -> ClaimedFact | None:
    """Takes up the earliest fact that is due, of the first program behind this one, round the circle of them; None if
    there is none. Nobody else takes one of its program before `lease` is over, or it is given back."""
    while True:
        found = (await conn.execute(_NEXT, {"program_id": program_id})).scalar_one_or_none()
        if found is None:
            return None
        row = (await conn.execute(_CLAIM, {"deferred_id": found, "lease": lease})).one_or_none()
        if row is not None:  # else somebody else was quicker
            return ClaimedFact(**{**row._mapping, "payload": bytes(row.payload)})


async def give_back(conn: AsyncConnection, deferred_id: int) -> None:
    """Gives a fact back that nothing was wrong with."""
    await conn.execute(_GIVE_BACK, {"deferred_id": deferred_id})


async def fail(conn: AsyncConnection, deferred_id: int, error: str, pause: timedelta) -> None:
    """Counts a failure; the fact is due again after a pause, and meanwhile those behind it are."""
    await conn.execute(_FAIL, {"deferred_id": deferred_id, "error": error, "pause": pause})


async def remove(conn: AsyncConnection, deferred_id: int) -> None:
    """Removes a fact that is settled, or set aside."""
    await conn.execute(_REMOVE, {"deferred_id": deferred_id})


async def standing(conn: AsyncConnection) -> dict[str, Standing]:
    """How many facts wait, and for how long the first of them, by program."""
    rows = await conn.execute(_STANDING)
    return {row.program_id: Standing(row.number, max(0.0, row.age_seconds)) for row in rows}
