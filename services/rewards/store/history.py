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
from services.rewards.domain.settle.holds import Rejection
from services.rewards.domain.settle.replay import NetRewards
from services.rewards.store.conversions import read_lines
from services.rewards.store.holds import ApprovalState
from services.rewards.wire.events import read_stored_conversion

ROWS_A_FETCH = 2_000
_LAST_TEXT = "\U0010ffff"

# A program whose facts had no order when a conversion was settled gave it no position: it stands before all that have
# one. Reversals always have one.
_SETTLED_CONVERSIONS = f"""
    SELECT c.conversion_id, c.event, c.plan_version, c.position, c.snapshot,
        w.rule_ids, w.decide_time, w.position,
        r.reversal_ids, r.amounts, r.completes, r.record_times, r.lines, r.positions
    FROM conversion AS c
    LEFT JOIN (
        SELECT conversion_id, array_agg(rule_id ORDER BY mark) AS rule_ids, min(decide_time) AS decide_time,
            min(position) AS position
        FROM hold_wait WHERE program_id = %(program_id)s AND conversion_id > %(after)s AND conversion_id <= %(up_to)s
            AND approval = {ApprovalState.REJECTED:d}
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
""".encode()
_BOUNDS = text("""
    SELECT conversion_id FROM (
        SELECT conversion_id, row_number() OVER (ORDER BY conversion_id) AS number
        FROM conversion WHERE program_id = :program_id AND event IS NOT NULL) AS numbered
    WHERE number % :size = 0 ORDER BY conversion_id
""")
_CLOSED_CONTESTS = text("""
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
    """The version that pays it; 0 where none was in force."""
    position: int | None
    snapshot: str | None
    reversals: tuple[tuple[Reversal, int], ...]
    """Its reversals in the order in which they took effect, each with its position."""
    rejection: tuple[Rejection, int] | None
    """A person's no to its rewards, with its position."""

    @property
    def is_revised(self) -> bool:
        """Whether its rewards did not stay as they were."""
        return bool(self.reversals) or self.rejection is not None


@dataclass(frozen=True, slots=True)
class SettledFact:
    """A conversion that was settled, or a later change of it: a reversal, or a person's no to its rewards."""

    settled: SettledConversion
    change: Reversal | Rejection | None
    """The later change; None where the fact is the conversion itself."""
    position: int | None
    """The fact's position among the facts of its program; None where their order made no difference."""


_Turn = tuple[bool, int, datetime]
"""The key by which facts are sorted: those without a position come first, in the order of recording."""


async def counts(conn: AsyncConnection, program_id: str) -> dict[str, int]:
    """How many conversions each program has, or the one that is named."""
    rows = await conn.execute(_COUNTS, {"program_id": program_id})
    return {row.program_id: row.conversion_count for row in rows}


async def slices(conn: AsyncConnection, program_id: str, size: int) -> list[Slice]:
    """The program's conversions in slices of that size, the last one smaller or empty."""
    bounds = list((await conn.execute(_BOUNDS, {"program_id": program_id, "size": size})).scalars())
    return [Slice(program_id, after, up_to) for after, up_to in zip(["", *bounds], [*bounds, _LAST_TEXT], strict=True)]


async def closed_contests(conn: AsyncConnection, program_id: str) -> list[tuple[int, str]]:
    """Contests of the program whose ranking became final: (position, contest id), in this order."""
    return [(row.position, row.contest_id) for row in await conn.execute(_CLOSED_CONTESTS, {"program_id": program_id})]


async def facts(conn: AsyncConnection, part: Slice) -> AsyncIterator[SettledFact]:
    """The facts of a slice in the order in which they were settled.

    A reversal that was there before its conversion took effect with it, so it comes right behind it.
    """
    # Changes that take effect later, each with its position, which tells those of one turn apart.
    waiting: list[tuple[_Turn, int, SettledFact]] = []
    first = (await conn.execute(_FIRST_POSITION, {"program_id": part.program_id})).scalar_one()
    async for settled in _in_turn(_settled_conversions(conn, part)):
        turn = _turn(settled)
        while waiting and waiting[0][0] < turn:  # of one instant, conversions come first: so they are settled too
            yield heapq.heappop(waiting)[2]
        yield SettledFact(settled, None, settled.position)
        last = settled.conversion.record_time
        for reversal, position in settled.reversals:
            if settled.position is not None and position < settled.position:
                yield SettledFact(settled, reversal, settled.position)
                continue
            # Before anything was counted, facts come in the order of recording, but those of one conversion as settled.
            last = max(last, reversal.record_time)
            at = position if first is not None and position > first else None
            heapq.heappush(waiting, (_turn_of(at, last), position, SettledFact(settled, reversal, at)))
        if settled.rejection is not None:
            rejection, position = settled.rejection
            then = _turn_of(position, rejection.time)
            heapq.heappush(waiting, (then, position, SettledFact(settled, rejection, position)))
    while waiting:
        yield heapq.heappop(waiting)[2]


async def net_rewards(conn: AsyncConnection, part: Slice, conversion_ids: list[str] | None) -> NetRewards:
    """The rewards that were posted for conversions of a slice; for all of them where `conversion_ids` is None."""
    parameters: dict[str, object] = {"program_id": part.program_id, "after": part.after, "up_to": part.up_to}
    if conversion_ids is not None:
        parameters["conversion_ids"] = conversion_ids
    rows = await conn.execute(_PAID_FOR_ALL if conversion_ids is None else _PAID_FOR_SOME, parameters)
    return {(rule_id, person, asset): (count, minor) for rule_id, person, asset, count, minor in rows}


async def _in_turn(conversions: AsyncIterator[SettledConversion]) -> AsyncIterator[SettledConversion]:
    """Puts conversions without a position that were recorded at one instant into the order of the calls that recorded
    them, which their events tell. One instant is a microsecond: there are as many of them as calls end in it, by a
    thousand."""
    alike: list[SettledConversion] = []
    async for settled in conversions:
        if alike and _turn(settled) != _turn(alike[0]):
            for each in sorted(alike, key=lambda each: each.conversion.turn):
                yield each
            alike.clear()
        alike.append(settled)
    for each in sorted(alike, key=lambda each: each.conversion.turn):
        yield each


async def _settled_conversions(conn: AsyncConnection, part: Slice) -> AsyncIterator[SettledConversion]:
    parameters = {"program_id": part.program_id, "after": part.after, "up_to": part.up_to}
    raw = await psycopg_connection(conn)
    # A cursor of the server: a history may not fit into memory.
    async with raw.cursor(name="history", binary=True) as cursor:
        await cursor.execute(_SETTLED_CONVERSIONS, parameters)
        while rows := await cursor.fetchmany(ROWS_A_FETCH):
            for conversion_id, event, version, position, snapshot, rule_ids, decide_time, rejected_at, *columns in rows:
                conversion = read_stored_conversion(event)
                reversals = _reversals(part.program_id, conversion_id, columns) if columns[0] else ()
                rejection = None
                if rule_ids:
                    rejection = Rejection(part.program_id, conversion_id, tuple(rule_ids), decide_time), rejected_at
                yield SettledConversion(conversion, version, position, snapshot, reversals, rejection)


def _reversals(program_id: str, conversion_id: str, columns: list[Any]) -> tuple[tuple[Reversal, int], ...]:
    return tuple(
        (Reversal(program_id, name, conversion_id, amount, completes, time, read_lines(lines)), position)
        for name, amount, completes, time, lines, position in zip(*columns, strict=True)
    )


def _turn(settled: SettledConversion) -> _Turn:
    return _turn_of(settled.position, settled.conversion.record_time)


def _turn_of(position: int | None, record_time: datetime) -> _Turn:
    return position is not None, position or 0, record_time
