"""Stored facts of a program in the order in which they were settled."""

import heapq
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.database import psycopg_connection
from services.rewards.domain.conversion import Conversion, Reversal
from services.rewards.domain.settle.waiting import Rejection
from services.rewards.store.conversions import read_lines
from services.rewards.wire.events import read_stored_conversion

ROWS_A_FETCH = 2_000
_LAST_TEXT = "\U0010ffff"

# A program whose facts had no order when a conversion was settled gave it no position: it stands before all that have
# one. Reversals always have one.
_PAST = b"""
    SELECT c.conversion_id, c.event, c.plan_version, c.position, c.snapshot,
        w.rule_ids, w.decide_time, w.position,
        r.reversal_ids, r.amounts, r.completes, r.record_times, r.lines, r.positions
    FROM conversion AS c
    LEFT JOIN (
        SELECT conversion_id, array_agg(rule_id ORDER BY mark) AS rule_ids, min(decide_time) AS decide_time, min(position) AS position
        FROM hold_wait WHERE program_id = %(program_id)s AND conversion_id > %(after)s AND conversion_id <= %(up_to)s AND approval = 3
        GROUP BY conversion_id
    ) AS w USING (conversion_id)
    LEFT JOIN (
        SELECT conversion_id, array_agg(reversal_id ORDER BY position) AS reversal_ids,
            array_agg(amount_minor ORDER BY position) AS amounts,
            array_agg(completes ORDER BY position) AS completes,
            array_agg(record_time ORDER BY position) AS record_times,
            array_agg(lines ORDER BY position) AS lines,
            array_agg(position ORDER BY position) AS positions
        FROM reversal WHERE program_id = %(program_id)s AND conversion_id > %(after)s AND conversion_id <= %(up_to)s
        GROUP BY conversion_id
    ) AS r USING (conversion_id)
    WHERE c.program_id = %(program_id)s AND c.event IS NOT NULL AND c.conversion_id > %(after)s
        AND c.conversion_id <= %(up_to)s
    ORDER BY c.position NULLS FIRST, c.record_time
"""
_BOUNDS = text("""
    SELECT conversion_id FROM (
        SELECT conversion_id, row_number() OVER (ORDER BY conversion_id) AS number
        FROM conversion WHERE program_id = :program_id AND event IS NOT NULL) AS numbered
    WHERE number % :size = 0 ORDER BY conversion_id
""")
_SETTLED = text("""
    SELECT contest_id, position FROM contest_settlement WHERE program_id = :program_id ORDER BY position
""")
_FIRST_POSITION = text("SELECT min(position) FROM conversion WHERE program_id = :program_id")
_COUNTS = text("""
    SELECT program_id, count(*) AS conversion_count FROM conversion
    WHERE event IS NOT NULL AND (:program_id = '' OR program_id = :program_id) GROUP BY 1 ORDER BY 1
""")
_PAID = """
    SELECT r.rule_id, r.beneficiary_id, r.asset, count(*) AS reward_count,
        (sum(r.amount_minor) + coalesce(sum(v.delta_minor), 0))::bigint AS net_minor
    FROM reward AS r
    LEFT JOIN (SELECT reward_id, sum(delta_minor) AS delta_minor FROM reward_revision GROUP BY 1) AS v USING (reward_id)
    WHERE r.program_id = :program_id AND r.conversion_id > :after AND r.conversion_id <= :up_to {chosen}
    GROUP BY 1, 2, 3
"""
_PAID_FOR_ALL = text(_PAID.format(chosen=""))
_PAID_FOR_SOME = text(_PAID.format(chosen="AND r.conversion_id = ANY (CAST(:conversion_ids AS text[]))"))


@dataclass(frozen=True, slots=True)
class Slice:
    """Some of a program's conversions: those with ids above `after` up to `up_to`."""

    program_id: str
    after: str = ""
    up_to: str = _LAST_TEXT


@dataclass(frozen=True, slots=True)
class SettledConversion:
    """A conversion that was settled."""

    conversion: Conversion
    plan_version: int
    """0: none was in force."""
    position: int | None
    snapshot: str | None
    reversals: tuple[tuple[Reversal, int], ...]
    """What took it back, in the order in which that took effect, each with its position."""
    rejection: tuple[Rejection, int] | None
    """What a person refused of it, with its position."""

    @property
    def is_revised(self) -> bool:
        """Whether its rewards did not stay as they were."""
        return bool(self.reversals) or self.rejection is not None


@dataclass(frozen=True, slots=True)
class SettledFact:
    """A conversion that was settled, or one of the reversals that took it back, or that a person refused rewards for it."""

    past: SettledConversion
    change: Reversal | Rejection | None
    """None for the conversion itself."""
    position: int | None
    """When it took effect among the facts of its program; None where their order made no difference."""


Moment = tuple[bool, int, datetime]


async def counts(conn: AsyncConnection, program_id: str) -> dict[str, int]:
    """How many conversions each program has; only the one named, or all for an empty id."""
    rows = await conn.execute(_COUNTS, {"program_id": program_id})
    return {row.program_id: row.conversion_count for row in rows}


async def slices(conn: AsyncConnection, program_id: str, size: int) -> list[Slice]:
    """The program's conversions in slices of that size, the last one smaller or empty."""
    bounds = list((await conn.execute(_BOUNDS, {"program_id": program_id, "size": size})).scalars())
    return [Slice(program_id, after, up_to) for after, up_to in zip(["", *bounds], [*bounds, _LAST_TEXT], strict=True)]


async def closed_contests(conn: AsyncConnection, program_id: str) -> list[tuple[int, str]]:
    """(position, contest) of those whose ranking became final, in this order."""
    return [(row.position, row.contest_id) for row in await conn.execute(_SETTLED, {"program_id": program_id})]


async def facts(conn: AsyncConnection, part: Slice) -> AsyncIterator[SettledFact]:
    """The facts of a slice in the order in which they were settled.

    A reversal that was there before its conversion took effect with it, so it comes right behind it.
    """
    # Changes that take effect later, each with its position, which tells those of one moment apart.
    waiting: list[tuple[Moment, int, SettledFact]] = []
    first = (await conn.execute(_FIRST_POSITION, {"program_id": part.program_id})).scalar_one()
    async for past in _in_turn(_pasts(conn, part)):
        moment = _moment(past)
        while waiting and waiting[0][0] < moment:  # of one instant, conversions come first: so they are settled too
            yield heapq.heappop(waiting)[2]
        yield SettledFact(past, None, past.position)
        last = past.conversion.record_time
        for reversal, position in past.reversals:
            if past.position is not None and position < past.position:
                yield SettledFact(past, reversal, past.position)
                continue
            # Before anything was counted, all is in the order of recording, but those of one conversion as they were settled.
            last = max(last, reversal.record_time)
            at = position if first is not None and position > first else None
            heapq.heappush(waiting, (_moment_of(at, last), position, SettledFact(past, reversal, at)))
        if past.rejection is not None:
            rejection, position = past.rejection
            then = _moment_of(position, rejection.time)
            heapq.heappush(waiting, (then, position, SettledFact(past, rejection, position)))
    while waiting:
        yield heapq.heappop(waiting)[2]


async def paid(
    conn: AsyncConnection, part: Slice, conversion_ids: list[str] | None
) -> dict[tuple[str, str, str], tuple[int, int]]:
    """By rule, beneficiary and asset: how many rewards were posted for the slice's conversions, all of them for None, and what
    is left of them after reversals."""
    parameters: dict[str, object] = {"program_id": part.program_id, "after": part.after, "up_to": part.up_to}
    if conversion_ids is not None:
        parameters["conversion_ids"] = conversion_ids
    rows = await conn.execute(_PAID_FOR_ALL if conversion_ids is None else _PAID_FOR_SOME, parameters)
    return {(rule_id, person, asset): (count, minor) for rule_id, person, asset, count, minor in rows}


async def _in_turn(pasts: AsyncIterator[SettledConversion]) -> AsyncIterator[SettledConversion]:
    """The same conversions, where those without a position that were recorded at one instant are put into the order of
    the calls that recorded them, which their events tell. One instant is a microsecond: there are as many of them as
    calls end in it, by a thousand."""
    alike: list[SettledConversion] = []
    async for past in pasts:
        if alike and _moment(past) != _moment(alike[0]):
            for each in sorted(alike, key=lambda each: each.conversion.turn):
                yield each
            alike.clear()
        alike.append(past)
    for each in sorted(alike, key=lambda each: each.conversion.turn):
        yield each


async def _pasts(conn: AsyncConnection, part: Slice) -> AsyncIterator[SettledConversion]:
    parameters = {"program_id": part.program_id, "after": part.after, "up_to": part.up_to}
    raw = await psycopg_connection(conn)
    # A cursor of the server: a history may not fit into memory.
    async with raw.cursor(name="history", binary=True) as cursor:
        await cursor.execute(_PAST, parameters)
        while rows := await cursor.fetchmany(ROWS_A_FETCH):
            for conversion_id, event, version, position, snapshot, rule_ids, decide_time, decided, *reversals in rows:
                conversion = read_stored_conversion(event)
                taken = _reversals(part.program_id, conversion_id, reversals) if reversals[0] else ()
                rejected = None
                if rule_ids:
                    rejected = Rejection(part.program_id, conversion_id, tuple(rule_ids), decide_time), decided
                yield SettledConversion(conversion, version, position, snapshot, taken, rejected)


def _reversals(program_id: str, conversion_id: str, columns: list[Any]) -> tuple[tuple[Reversal, int], ...]:
    return tuple(
        (Reversal(program_id, name, conversion_id, amount, completes, time, read_lines(lines)), position)
        for name, amount, completes, time, lines, position in zip(*columns, strict=True)
    )


def _moment(past: SettledConversion) -> Moment:
    return _moment_of(past.position, past.conversion.record_time)


def _moment_of(position: int | None, record_time: datetime) -> Moment:
    return position is not None, position or 0, record_time
