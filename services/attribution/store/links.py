"""Links and codes, and the participants to whom they lead back."""

from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.errors import not_found
from chassis.pages import Portion, read_portion, within_budget
from services.attribution.domain.codes import is_code, is_link_id, normalise
from services.attribution.domain.destination import Utm, leads_to
from services.attribution.domain.links import Code, Link, LinkKey, ShareCounts, ShareRecord, StoredShare
from services.attribution.domain.policy import VisitorCookie

_LINK_COLUMNS = """program_id, link_id, participant_id, destination_url, channel, campaign,
    utm_source, utm_medium, utm_campaign, utm_term, utm_content, create_time, share_percent"""
_CODE_COLUMNS = "program_id, code, participant_id, channel, create_time, share_percent"
_LINK_BYTES = "octet_length(concat(destination_url, utm_source, utm_medium, utm_campaign, utm_term, utm_content))"
_INSERT_LINK = text(f"""
    INSERT INTO link ({_LINK_COLUMNS}) VALUES (:program_id, :link_id, :participant_id, :destination_url, :channel,
        :campaign, :utm_source, :utm_medium, :utm_campaign, :utm_term, :utm_content, :create_time,
        :share_percent)
""")
_INSERT_CODE = text(f"""
    INSERT INTO code ({_CODE_COLUMNS}) VALUES (:program_id, :code, :participant_id, :channel, :create_time,
        :share_percent)
    ON CONFLICT (program_id, code) DO NOTHING
""")
_LINK = text(f"SELECT {_LINK_COLUMNS} FROM link WHERE program_id = :program_id AND link_id = :link_id")
_CODE = text(f"SELECT {_CODE_COLUMNS} FROM code WHERE program_id = :program_id AND code = :code")
_LINKS = within_budget(
    f"""
    SELECT link_number, {_LINK_COLUMNS} FROM link
    WHERE program_id = :program_id AND participant_id = :participant_id AND link_number > :after
    ORDER BY link_number LIMIT :limit
    """,
    _LINK_BYTES,
    "link_number",
)
_CODES = text(f"""
    SELECT code_number, {_CODE_COLUMNS} FROM code
    WHERE program_id = :program_id AND participant_id = :participant_id AND code_number > :after
    ORDER BY code_number LIMIT :limit
""")
_ALL_LINKS = within_budget(
    f"SELECT link_number, {_LINK_COLUMNS} FROM link WHERE link_number > :after ORDER BY link_number LIMIT :limit",
    _LINK_BYTES,
    "link_number",
)
_ALL_CODES = text(f"""
    SELECT code_number, {_CODE_COLUMNS} FROM code WHERE code_number > :after ORDER BY code_number LIMIT :limit
""")
_ALL_SHARES = text("""
    SELECT share_id, program_id, participant_id, channel, link_id, code, create_time FROM share
    WHERE share_id > :after ORDER BY share_id LIMIT :limit
""")
_KNOWN_LINKS = text("""
    SELECT wanted.program_id AS wanted_program_id, wanted.link_id AS wanted_link_id, program.allowed_hosts,
        program.visitor_cookie,
        link.program_id, link.link_id, link.participant_id, link.destination_url, link.channel,
        link.campaign, link.utm_source, link.utm_medium, link.utm_campaign, link.utm_term, link.utm_content,
        link.create_time, link.share_percent
    FROM unnest(CAST(:program_ids AS text[]), CAST(:link_ids AS text[])) AS wanted (program_id, link_id)
    LEFT JOIN program ON program.program_id = wanted.program_id
    LEFT JOIN link ON link.program_id = wanted.program_id AND link.link_id = wanted.link_id
""")
_OWNER = text("""
    SELECT participant.attributes, program.title FROM participant JOIN program USING (program_id)
    WHERE participant.program_id = :program_id AND participant.participant_id = :participant_id
""")
_INSERT_SHARE = text("""
    INSERT INTO share (program_id, participant_id, channel, link_id, code)
    VALUES (:program_id, :participant_id, :channel, :link_id, :code)
    RETURNING share_id, create_time
""")
_COUNT_SHARE = text("""
    INSERT INTO share_count AS counter (program_id, participant_id, channel, share_count)
    VALUES (:program_id, :participant_id, :channel, 1)
    ON CONFLICT (program_id, participant_id, channel) DO UPDATE SET share_count = counter.share_count + 1
    RETURNING share_count
""")
_SHARE_COUNTS = text("""
    SELECT channel, CAST(sum(share_count) AS bigint) AS share_count,
        CAST(sum(sum(share_count)) OVER () AS bigint) AS all_count
    FROM share_count
    WHERE program_id = :program_id AND (:participant_id = '' OR participant_id = :participant_id)
    GROUP BY channel ORDER BY 2 DESC, channel LIMIT :max_channels
""")
_CODE_SOURCES = text("""
    SELECT code, participant_id, channel, share_percent FROM code
    WHERE program_id = :program_id AND code = ANY(CAST(:codes AS text[]))
""")
_LINK_SOURCES = text("""
    SELECT link_id, participant_id, channel, campaign, share_percent FROM link
    WHERE program_id = :program_id AND link_id = ANY(CAST(:link_ids AS text[]))
""")


@dataclass(frozen=True, slots=True)
class TouchSource:
    """The owner of a link or code that was used, and the channel and campaign it was made for. `link_id` or `code` is
    empty."""

    participant_id: str
    link_id: str
    code: str
    channel: str
    campaign: str
    share_percent: str


@dataclass(frozen=True, slots=True)
class KnownLink:
    """A link, as the hot path needs it."""

    link: Link
    allowed: bool
    """Whether the program still allows the destination."""
    visitor_cookie: VisitorCookie
    """Whether the program lets the redirect keep a visitor id."""


class MissingLink(Enum):
    """The part that is missing where a link was expected."""

    PROGRAM = "program"
    LINK = "link"


async def load_code_sources(conn: AsyncConnection, program_id: str, codes: Collection[str]) -> dict[str, TouchSource]:
    """Sources by normalised code; unknown codes are absent."""
    wanted = sorted({code for each in codes if is_code(code := normalise(each))})
    if not wanted:
        return {}
    rows = await conn.execute(_CODE_SOURCES, {"program_id": program_id, "codes": wanted})
    return {row.code: TouchSource(row.participant_id, "", row.code, row.channel, "", row.share_percent) for row in rows}


async def load_link_sources(
    conn: AsyncConnection, program_id: str, link_ids: Collection[str]
) -> dict[str, TouchSource]:
    """Sources by link id; unknown links are absent."""
    wanted = sorted({each for each in link_ids if is_link_id(each)})
    if not wanted:
        return {}
    rows = await conn.execute(_LINK_SOURCES, {"program_id": program_id, "link_ids": wanted})
    return {
        row.link_id: TouchSource(row.participant_id, row.link_id, "", row.channel, row.campaign, row.share_percent)
        for row in rows
    }


async def insert_link(conn: AsyncConnection, link: Link) -> None:
    """Adds a link; its id is too random to be taken."""
    await conn.execute(
        _INSERT_LINK,
        {
            "program_id": link.program_id,
            "link_id": link.link_id,
            "participant_id": link.participant_id,
            "destination_url": link.destination_url,
            "channel": link.channel,
            "campaign": link.campaign,
            "utm_source": link.utm.source,
            "utm_medium": link.utm.medium,
            "utm_campaign": link.utm.campaign,
            "utm_term": link.utm.term,
            "utm_content": link.utm.content,
            "create_time": link.create_time,
            "share_percent": link.share_percent,
        },
    )


async def insert_code(conn: AsyncConnection, code: Code) -> bool:
    """Adds a code; false if it is taken."""
    inserted = await conn.execute(
        _INSERT_CODE,
        {
            "program_id": code.program_id,
            "code": code.code,
            "participant_id": code.participant_id,
            "channel": code.channel,
            "create_time": code.create_time,
            "share_percent": code.share_percent,
        },
    )
    return inserted.rowcount == 1


async def require_link(conn: AsyncConnection, program_id: str, link_id: str) -> Link:
    """One link. Raises NOT_FOUND if there is none."""
    if is_link_id(link_id):
        row = (await conn.execute(_LINK, {"program_id": program_id, "link_id": link_id})).one_or_none()
        if row is not None:
            return _link(row)
    raise not_found("link", link_id)


async def require_code(conn: AsyncConnection, program_id: str, code: str) -> Code:
    """One code, however it was typed. Raises NOT_FOUND if there is none."""
    if is_code(normalise(code)):
        row = (await conn.execute(_CODE, {"program_id": program_id, "code": normalise(code)})).one_or_none()
        if row is not None:
            return _code(row)
    raise not_found("code", code)


async def load_owner(conn: AsyncConnection, code: Code) -> tuple[dict[str, str], str]:
    """The attributes of a code's owner, and the program's title."""
    row = (await conn.execute(_OWNER, {"program_id": code.program_id, "participant_id": code.participant_id})).one()
    return row.attributes, row.title


async def list_links(
    conn: AsyncConnection, program_id: str, participant_id: str, after: int, limit: int
) -> Portion[tuple[int, Link]]:
    """A participant's links behind number `after`, with their numbers."""
    wanted = {"program_id": program_id, "participant_id": participant_id, "after": after, "limit": limit}
    return await read_portion(conn, _LINKS, wanted, lambda row: (row.link_number, _link(row)))


async def list_codes(
    conn: AsyncConnection, program_id: str, participant_id: str, after: int, limit: int
) -> list[tuple[int, Code]]:
    """A participant's codes behind number `after`, with their numbers."""
    rows = await conn.execute(
        _CODES, {"program_id": program_id, "participant_id": participant_id, "after": after, "limit": limit}
    )
    return [(row.code_number, _code(row)) for row in rows]


async def list_all_links(conn: AsyncConnection, after: int, limit: int) -> list[tuple[int, Link]]:
    """Links of all programs behind number `after`, with their numbers; none only where there are none."""
    found = await read_portion(conn, _ALL_LINKS, {"after": after, "limit": limit}, lambda row: (row[0], _link(row)))
    return list(found.items)


async def list_all_codes(conn: AsyncConnection, after: int, limit: int) -> list[tuple[int, Code]]:
    """Codes of all programs behind number `after`, with their numbers."""
    return [(row[0], _code(row)) for row in await conn.execute(_ALL_CODES, {"after": after, "limit": limit})]


async def list_all_shares(conn: AsyncConnection, after: int, limit: int) -> list[tuple[ShareRecord, StoredShare]]:
    """Shares of all programs behind number `after`, as far as they are kept. How many there were by then is not known
    any more."""
    return [
        (
            ShareRecord(row.program_id, row.participant_id, row.channel, row.link_id, row.code),
            StoredShare(row.share_id, row.create_time, share_count=0),
        )
        for row in await conn.execute(_ALL_SHARES, {"after": after, "limit": limit})
    ]


async def load_known_links(conn: AsyncConnection, keys: Collection[LinkKey]) -> dict[LinkKey, KnownLink | MissingLink]:
    """The links of the keys, or which part of them is missing."""
    pairs = list(keys)
    rows = await conn.execute(
        _KNOWN_LINKS, {"program_ids": [each[0] for each in pairs], "link_ids": [each[1] for each in pairs]}
    )
    found: dict[LinkKey, KnownLink | MissingLink] = {}
    for row in rows:
        key = (row.wanted_program_id, row.wanted_link_id)
        if row.allowed_hosts is None:
            found[key] = MissingLink.PROGRAM
        elif row.link_id is None:
            found[key] = MissingLink.LINK
        else:
            allowed = leads_to(row.destination_url, row.allowed_hosts)
            found[key] = KnownLink(_link(row), allowed, VisitorCookie(row.visitor_cookie))
    return found


async def count_share(conn: AsyncConnection, share: ShareRecord) -> StoredShare:
    """Adds one share and counts those that the participant has by this channel.

    The counter's row serialises shares of one participant by one channel, so none is lost.
    """
    names = {"program_id": share.program_id, "participant_id": share.participant_id, "channel": share.channel}
    stored = (await conn.execute(_INSERT_SHARE, {**names, "link_id": share.link_id, "code": share.code})).one()
    return StoredShare(stored.share_id, stored.create_time, (await conn.execute(_COUNT_SHARE, names)).scalar_one())


async def load_share_counts(
    conn: AsyncConnection, program_id: str, participant_id: str, max_channels: int
) -> ShareCounts:
    """The shares of a participant, or of the whole program if none is named."""
    parameters = {"program_id": program_id, "participant_id": participant_id, "max_channels": max_channels}
    rows = (await conn.execute(_SHARE_COUNTS, parameters)).all()
    return ShareCounts([(row.channel, row.share_count) for row in rows], rows[0].all_count if rows else 0)


def _link(row: Row[Any]) -> Link:
    return Link(
        program_id=row.program_id,
        link_id=row.link_id,
        participant_id=row.participant_id,
        destination_url=row.destination_url,
        channel=row.channel,
        campaign=row.campaign,
        utm=Utm(row.utm_source, row.utm_medium, row.utm_campaign, row.utm_term, row.utm_content),
        create_time=row.create_time,
        share_percent=row.share_percent,
    )


def _code(row: Row[Any]) -> Code:
    return Code(row.program_id, row.code, row.participant_id, row.channel, row.create_time, row.share_percent)
