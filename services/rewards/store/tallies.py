"""The tallies of programs. Every change is made behind the program's lock, so nothing that is read there is stale."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from itertools import repeat

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.database import is_beyond_int64, psycopg_connection
from services.rewards.domain.tally.running import EffectTime
from services.rewards.domain.tally.tallies import CONTEST_PREFIX, TallyKey

_SEPARATOR, _PERIOD_SEPARATOR = "\x1e", "\x1d"

_LOCK = text("""
    SELECT pg_advisory_xact_lock(hashtextextended('tally:' || program_id, 0))
    FROM unnest(CAST(:program_ids AS text[])) AS t (program_id)
""")
# Columns come and go joined: as arrays or rows, the driver would look at every element by itself. For each period, the
# index is walked through once for all its subjects. What is found besides is another name of the same people: as good
# as nothing.
_LOAD = b"""
    SELECT t.name, k.period, string_agg(t.subject, E'\\x1e'), string_agg(t.value::text, E'\\x1e')
    FROM unnest(string_to_array(%(periods)s, E'\\x1d'), string_to_array(%(names)s, E'\\x1d'),
        string_to_array(%(subjects)s, E'\\x1d'))
        AS k (period, names, subjects)
    CROSS JOIN LATERAL (
        SELECT name, subject, value FROM tally
        WHERE subject = ANY(string_to_array(k.subjects, E'\\x1e')) AND name = ANY(string_to_array(k.names, E'\\x1e'))
            AND period = k.period AND program_id = %(program_id)s OFFSET 0) AS t
    GROUP BY t.name, k.period
"""
_ADD = b"""
    INSERT INTO tally (program_id, name, subject, period, value)
    SELECT %(program_id)s, name, subject, period, value::bigint
    FROM unnest(string_to_array(%(names)s, E'\\x1e'), string_to_array(%(subjects)s, E'\\x1e'),
        string_to_array(%(periods)s, E'\\x1e'), string_to_array(%(changes)s, E'\\x1e'))
        WITH ORDINALITY AS k (name, subject, period, value, number)
    WHERE number > 1
    ON CONFLICT (subject, name, period, program_id) DO UPDATE SET value = tally.value + excluded.value
"""
_ADD_SCORES = text("""
    INSERT INTO contest_score (program_id, contest_id, participant_id, score, reach_time, reach_position)
    SELECT CAST(:program_id AS text), * FROM unnest(CAST(:contest_ids AS text[]), CAST(:participant_ids AS text[]),
        CAST(:scores AS bigint[]), CAST(:reach_times AS timestamptz[]), CAST(:reach_positions AS bigint[]))
    ON CONFLICT (program_id, contest_id, participant_id) DO UPDATE
    SET score = contest_score.score + excluded.score,
        reach_time = greatest(contest_score.reach_time, excluded.reach_time),
        reach_position = CASE WHEN excluded.reach_time < contest_score.reach_time THEN contest_score.reach_position
            WHEN excluded.reach_time > contest_score.reach_time THEN excluded.reach_position
            ELSE greatest(contest_score.reach_position, excluded.reach_position) END
""")
_DRAW = b"SELECT string_agg(nextval('settle_position')::text, ',') FROM generate_series(1, %(count)s)"


class TallyOverflowError(ArithmeticError):
    """A counter or score would be more than 64 bits hold. The fact cannot be counted: it is set aside."""


async def lock(conn: AsyncConnection, program_ids: Collection[str]) -> None:
    """Makes the programs' facts wait for one another until the transaction ends.

    Taken after the plan's lock and before any row's, in one order, so that nobody waits in a circle.
    """
    await conn.execute(_LOCK, {"program_ids": sorted(program_ids)})


async def draw_positions(conn: AsyncConnection, count: int) -> list[int]:
    """So many numbers, ascending, higher than all that were drawn before behind the same lock: that of the program, or
    that of a conversion's row."""
    raw = await psycopg_connection(conn)
    rows = await (await raw.execute(_DRAW, {"count": count})).fetchall()
    return sorted(map(int, rows[0][0].split(",")))


async def load(conn: AsyncConnection, program_id: str, keys: Collection[TallyKey]) -> dict[TallyKey, int]:
    """The tallies with these keys that the program ever counted; others may be among them. A key may come twice."""
    found: dict[TallyKey, int] = {}
    by_period: defaultdict[str, tuple[set[str], set[str]]] = defaultdict(lambda: (set(), set()))
    for name, subject, period in keys:
        names, subjects = by_period[period]
        names.add(name)
        subjects.add(subject)
    wanted = {
        "program_id": program_id,
        "periods": _joined(by_period, _PERIOD_SEPARATOR),
        "names": _joined((_joined(names) for names, _ in by_period.values()), _PERIOD_SEPARATOR),
        "subjects": _joined((_joined(subjects) for _, subjects in by_period.values()), _PERIOD_SEPARATOR),
    }
    raw = await psycopg_connection(conn)
    for name, period, of_subjects, values in await (await raw.execute(_LOAD, wanted)).fetchall():
        counted = zip(repeat(name), of_subjects.split(_SEPARATOR), repeat(period), strict=False)
        found.update(zip(counted, map(int, values.split(_SEPARATOR)), strict=True))
    return found


async def add(
    conn: AsyncConnection,
    program_id: str,
    changes: Mapping[TallyKey, int],
    reached: Mapping[TallyKey, EffectTime],
) -> None:
    """Adds to a program's tallies. `reached`: when the last fact took effect that changed each score among them."""
    try:
        await _add(conn, program_id, changes, reached)
    except Exception as error:
        if is_beyond_int64(error):
            raise TallyOverflowError(f"a counter or score of {program_id} would be more than 2^63 - 1") from error
        raise


async def _add(
    conn: AsyncConnection,
    program_id: str,
    changes: Mapping[TallyKey, int],
    reached: Mapping[TallyKey, EffectTime],
) -> None:
    # In the order of the index: neighbours are written together.
    rows = sorted(
        [(key[1], key[0], key[2], str(change)) for key, change in changes.items() if change and key not in reached]
    )
    if rows:
        subjects, names, periods, added = (_joined(column) for column in zip(*rows, strict=True))
        columns = {
            "program_id": program_id, "subjects": subjects, "names": names, "periods": periods, "changes": added,
        }  # fmt: skip
        await (await psycopg_connection(conn)).execute(_ADD, columns)
    scores = sorted(reached)
    if scores:
        await conn.execute(
            _ADD_SCORES,
            {
                "program_id": program_id,
                "contest_ids": [name.removeprefix(CONTEST_PREFIX) for name, _, _ in scores],
                "participant_ids": [participant_id for _, participant_id, _ in scores],
                "scores": [changes[each] for each in scores],
                "reach_times": [reached[each][0] for each in scores],
                "reach_positions": [reached[each][1] for each in scores],
            },
        )


def _joined(texts: Iterable[str], separator: str = _SEPARATOR) -> str:
    # Ids hold no control characters. The first element is no row: one empty text alone would be no element at all.
    return separator.join(("", *texts))
