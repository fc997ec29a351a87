"""Inbox entries."""

import json
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Row, TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.copying import NULL, copy_lines, escape_once
from chassis.pages import Portion, read_portion, within_budget
from services.notify.domain.cause import Amount, Asset, Kind, Notice
from services.notify.domain.inbox import Entry, Inbox
from services.notify.store.people import People, people_of

MAX_LOOKED_AT = 10_000
"""The most entries that are looked at to find those that are not read: an inbox may have any number of them, and its
owner may have read all. Ten thousand take some milliseconds."""
_FIRST = UUID(int=0)

_COPY = """
    COPY inbox_entry (program_id, participant_id, entry_id, kind, level, amounts, hold_until, rank) FROM STDIN
"""

_SELECT = """
    SELECT program_id, participant_id, entry_id, kind, event_id, conversion_id, event_type, buyer_id, level, assets,
           amounts, hold_until, contest_id, reason, coalesce(rank, 0) AS rank, occurred_at, cause.create_time, read,
           texts_version, coalesce(locale, '') AS locale
    FROM inbox_entry JOIN cause USING (entry_id, program_id) LEFT JOIN preference USING (program_id, participant_id)
"""
_PAGE = f"""
    {_SELECT}
    WHERE program_id = :program_id AND participant_id = :participant_id
      AND entry_id < coalesce(CAST(:before AS uuid), 'ffffffff-ffff-ffff-ffff-ffffffffffff')
      {{unread}}
    ORDER BY entry_id DESC LIMIT :limit
"""
_ROW_BYTES = "octet_length(concat(assets, amounts, reason))"
_PAGE_OF_ALL = within_budget(_PAGE.format(unread=""), _ROW_BYTES, "entry_id DESC")
_PAGE_OF_UNREAD = within_budget(
    _PAGE.format(unread="AND NOT read AND entry_id >= CAST(:oldest AS uuid)"), _ROW_BYTES, "entry_id DESC"
)
_OLDEST = text("""
    SELECT entry_id FROM inbox_entry
    WHERE program_id = :program_id AND participant_id = :participant_id
      AND entry_id < coalesce(CAST(:before AS uuid), 'ffffffff-ffff-ffff-ffff-ffffffffffff')
    ORDER BY entry_id DESC LIMIT 1 OFFSET :most - 1
""")
_UNREAD_COUNT = text("""
    SELECT count(*) FILTER (WHERE NOT read) AS unread_count, count(*) AS looked_at_count FROM (
        SELECT read FROM inbox_entry WHERE program_id = :program_id AND participant_id = :participant_id
        ORDER BY entry_id DESC LIMIT :most
    ) AS newest
""")
_MARK_READ = text("""
    UPDATE inbox_entry SET read = true
    WHERE program_id = :program_id AND participant_id = :participant_id AND entry_id <= :up_to AND NOT read
""")


class UnreadCount(NamedTuple):
    """How much of an inbox is not read yet."""

    number: int
    is_lower_bound: bool
    """Whether there may be more of them, further back than was looked."""


async def write(conn: AsyncConnection, claimed: Iterable[tuple[UUID, str, Sequence[Notice]]]) -> None:
    """Writes the entries of causes that this transaction claimed: of each, the entry's id, the program and the notices.

    They are sorted by inbox, because neighbours share index pages.
    """
    if lines := sorted(line for each in claimed for line in _copy_lines(*each)):
        await copy_lines(conn, _COPY, lines)


def _copy_lines(entry_id: UUID, program_id: str, notices: Sequence[Notice]) -> Iterator[str]:
    program, entry = escape_once(program_id), str(entry_id)
    for each in notices:
        sums = ",".join(
            [f"[{_json_escaped(amount.asset)},{amount.total_minor},{amount.held_minor}]" for amount in each.amounts]
        )
        yield (
            f"{program}\t{escape_once(each.participant_id)}\t{entry}\t{each.kind:d}\t{each.level}\t[{sums}]"
            f"\t{each.hold_until.isoformat() if each.hold_until else NULL}\t{each.rank or NULL}\n"
        )


@lru_cache(maxsize=1024)
def _json_escaped(asset: str) -> str:
    return escape_once(json.dumps(asset))


async def page(conn: AsyncConnection, inbox: Inbox, before: UUID | None, limit: int) -> Portion[Entry]:
    """Entries older than `before`, newest first."""
    return await _portion(conn, _PAGE_OF_ALL, {**_key(inbox), "before": before, "limit": limit})


async def page_of_unread(
    conn: AsyncConnection, inbox: Inbox, before: UUID | None, limit: int
) -> tuple[Portion[Entry], UUID | None]:
    """Entries older than `before` that are not read yet, newest first, as far as MAX_LOOKED_AT entries reach; and the
    last entry that was looked at, None if there was none behind."""
    row = await conn.execute(_OLDEST, {**_key(inbox), "before": before, "most": MAX_LOOKED_AT})
    oldest: UUID | None = row.scalar_one_or_none()
    values = {**_key(inbox), "before": before, "limit": limit, "oldest": oldest or _FIRST}
    return await _portion(conn, _PAGE_OF_UNREAD, values), oldest


async def unread_count(conn: AsyncConnection, inbox: Inbox) -> UnreadCount:
    """The number of entries that are not read yet, of the newest MAX_LOOKED_AT."""
    row = (await conn.execute(_UNREAD_COUNT, {**_key(inbox), "most": MAX_LOOKED_AT})).one()
    return UnreadCount(row.unread_count, row.looked_at_count == MAX_LOOKED_AT)


async def mark_read(conn: AsyncConnection, inbox: Inbox, up_to: UUID) -> int:
    """Marks entries up to and including one; returns how many were not marked before."""
    return (await conn.execute(_MARK_READ, {**_key(inbox), "up_to": up_to})).rowcount


async def read(conn: AsyncConnection, statement: TextClause, parameters: dict[str, Any]) -> list[Entry]:
    """The entries that a statement made by `selected` finds."""
    return await _entries(conn, (await conn.execute(statement, parameters)).all())


def selected(tail: str) -> TextClause:
    """A statement that reads entries; joins and conditions go into `tail`."""
    return text(f"{_SELECT} {tail}")


async def _portion(conn: AsyncConnection, statement: TextClause, parameters: dict[str, Any]) -> Portion[Entry]:
    rows: Portion[Row[Any]] = await read_portion(conn, statement, parameters, lambda row: row)
    return Portion(await _entries(conn, rows.items), rows.listed_count)


async def _entries(conn: AsyncConnection, rows: Sequence[Row[Any]]) -> list[Entry]:
    """The entries of some rows, with what is known by now of their readers and buyers."""
    whose = {Inbox(row.program_id, each) for row in rows for each in (row.participant_id, row.buyer_id) if each}
    people = await people_of(conn, whose)
    return [_entry(row, people) for row in rows]


def _entry(row: Row[Any], people: People) -> Entry:
    inbox = Inbox(row.program_id, row.participant_id)
    reader = people.person(inbox)
    amounts: Sequence[list[Any]] = row.amounts
    assets: Sequence[list[Any]] = row.assets
    return Entry(
        inbox=inbox,
        entry_id=row.entry_id,
        kind=Kind(row.kind),
        cause_id=row.event_id,
        conversion_id=row.conversion_id,
        event_type=row.event_type,
        buyer_id=row.buyer_id,
        level=row.level,
        assets={code: Asset(code, is_money, digits) for code, is_money, digits in assets},
        amounts=tuple(Amount(asset, total, held) for asset, total, held in amounts),
        hold_until=row.hold_until,
        contest_id=row.contest_id,
        reason=row.reason,
        rank=row.rank,
        occurred_at=row.occurred_at,
        create_time=row.create_time,
        read=row.read,
        texts_version=row.texts_version,
        chosen_locale=reader.language(row.locale),
        buyer_name=people.person(Inbox(row.program_id, row.buyer_id)).name,
        reader_name=reader.name,
        time_zone=reader.time_zone,
        newest_texts_version=people.texts_versions.get(row.program_id, 0),
    )


def _key(inbox: Inbox) -> dict[str, str]:
    return {"program_id": inbox.program_id, "participant_id": inbox.participant_id}
