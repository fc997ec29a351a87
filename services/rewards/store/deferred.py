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
# is passed over: its facts keep their order. A time that is further ahead than any can have been set was set before the
# clock of the database went back, as in a failover, and says nothing any more.
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
_IS_CLAIMED = "clock_timestamp() BETWEEN claim_time AND claimed_until"
_NEXT = text(f"""
    {_PROGRAMS}
    SELECT deferred_id FROM program CROSS JOIN LATERAL (
        SELECT deferred_id FROM deferred
        WHERE deferred.program_id = program.program_id
            AND due_time NOT BETWEEN clock_timestamp() AND clock_timestamp() + :longest_pause
        ORDER BY deferred_id LIMIT 1
    ) AS earliest
    WHERE NOT EXISTS (SELECT FROM deferred WHERE deferred.program_id = program.program_id AND {_IS_CLAIMED})
    ORDER BY program_id <= :program_id, program_id LIMIT 1
""")
_CLAIM = text(f"""
    UPDATE deferred
    SET claim_count = claim_count + 1, claim_time = clock_timestamp(), claimed_until = clock_timestamp() + :lease
    WHERE deferred_id = :deferred_id AND ({_IS_CLAIMED}) IS NOT TRUE
    RETURNING deferred_id, claim_time, program_id, event_id, payload, claim_count, attempts
""")
# Who took so long that another process has claimed the fact since has nothing to say about it any more.
_OWN = "deferred_id = :deferred_id AND claim_time = :claim_time"
_RENEW = text(f"UPDATE deferred SET claimed_until = clock_timestamp() + :lease WHERE {_OWN}")
_GIVE_BACK = text(f"UPDATE deferred SET claimed_until = NULL, claim_count = claim_count - 1 WHERE {_OWN}")
_FAIL = text(f"""
    UPDATE deferred
    SET claimed_until = NULL, attempts = attempts + 1, due_time = clock_timestamp() + :pause, error = :error
    WHERE {_OWN}
""")
_REMOVE = text(f"DELETE FROM deferred WHERE {_OWN}")
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
    claim_time: datetime
    program_id: str
    event_id: str
    payload: bytes
    claim_count: int
    """How often it was claimed, with this time, and not given back unharmed."""
    attempts: int
    """How often it failed."""

    @property
    def unanswered(self) -> int:
        """How often it was claimed before, and its process did not live to say what became of it."""
        return self.claim_count - 1 - self.attempts

    @property
    def own(self) -> dict[str, object]:
        """The claim, by which statements know whether it is still this one."""
        return {"deferred_id": self.deferred_id, "claim_time": self.claim_time}


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


async def claim(
    conn: AsyncConnection, program_id: str, lease: timedelta, longest_pause: timedelta
) -> ClaimedFact | None:
    """Takes up the earliest fact that is due, of the first program behind this one, round the circle of them; None if
    there is none. Nobody else takes one of its program before `lease` is over, or it is given back.

    `longest_pause`: the longest that a fact which failed may pause.
    """
    while True:
        behind = {"program_id": program_id, "longest_pause": longest_pause}
        found = (await conn.execute(_NEXT, behind)).scalar_one_or_none()
        if found is None:
            return None
        row = (await conn.execute(_CLAIM, {"deferred_id": found, "lease": lease})).one_or_none()
        if row is not None:  # else somebody else was quicker
            return ClaimedFact(**{**row._mapping, "payload": bytes(row.payload)})


async def renew(conn: AsyncConnection, claimed: ClaimedFact, lease: timedelta) -> None:
    """Keeps a claim for `lease` from now on."""
    await conn.execute(_RENEW, claimed.own | {"lease": lease})


async def give_back(conn: AsyncConnection, claimed: ClaimedFact) -> None:
    """Gives a fact back that nothing was wrong with."""
    await conn.execute(_GIVE_BACK, claimed.own)


async def fail(conn: AsyncConnection, claimed: ClaimedFact, error: str, pause: timedelta) -> None:
    """Counts a failure; the fact is due again after a pause, and meanwhile those behind it are."""
    await conn.execute(_FAIL, claimed.own | {"error": error, "pause": pause})


async def remove(conn: AsyncConnection, claimed: ClaimedFact) -> bool:
    """Removes a fact that is settled, or to be set aside; says whether it was still there, and claimed here."""
    return bool((await conn.execute(_REMOVE, claimed.own)).rowcount)


async def standing(conn: AsyncConnection) -> dict[str, Standing]:
    """How many facts wait, and for how long the first of them, by program."""
    rows = await conn.execute(_STANDING)
    return {row.program_id: Standing(row.number, max(0.0, row.age_seconds)) for row in rows}
