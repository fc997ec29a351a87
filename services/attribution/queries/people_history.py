"""The history that a derived reader of facts about people is told from the tables: people, then links, codes and
shares, of all programs together, each in the order of its keys."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.stream import Message
from chassis.supplying import Told
from services.attribution import people_events
from services.attribution.store.links import list_all_codes, list_all_links, list_all_shares
from services.attribution.store.participants import list_people
from services.attribution.wire.links import LinkAddress

PART_ROWS = 500
"""The most rows that are told at once: as many as a message of what is new holds."""

Page = tuple[Sequence[Message], int | None]
"""The messages of some rows, and the key of the last one; no key where there are no more rows."""


async def tell_people(address: LinkAddress, conn: AsyncConnection, cursor: str) -> Told:
    """Tells a part of it. A cursor is the number of a table and the key of a row of it."""
    table, _, after = cursor.partition(":")
    number = int(table or 0)
    messages, last = await _TABLES[number](conn, int(after or 0), address)
    if last is not None:
        return Told(messages, f"{number}:{last}")
    return Told([], f"{number + 1}:" if number + 1 < len(_TABLES) else None)


async def _people(conn: AsyncConnection, after: int, _address: LinkAddress) -> Page:
    people = await list_people(conn, after, PART_ROWS)
    return people_events.people_told(people), people[-1].participant.key if people else None


async def _links(conn: AsyncConnection, after: int, address: LinkAddress) -> Page:
    links = await list_all_links(conn, after, PART_ROWS)
    return people_events.links_made([link for _, link in links], address), _last(links)


async def _codes(conn: AsyncConnection, after: int, _address: LinkAddress) -> Page:
    codes = await list_all_codes(conn, after, PART_ROWS)
    return people_events.codes_made([code for _, code in codes]), _last(codes)


async def _shares(conn: AsyncConnection, after: int, _address: LinkAddress) -> Page:
    shares = await list_all_shares(conn, after, PART_ROWS)
    return people_events.all_shared(shares), shares[-1][1].share_id if shares else None


def _last(numbered: Sequence[tuple[int, Any]]) -> int | None:
    return numbered[-1][0] if numbered else None


_TABLES: Sequence[Callable[[AsyncConnection, int, LinkAddress], Awaitable[Page]]] = (_people, _links, _codes, _shares)
