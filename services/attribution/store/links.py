"""Links and codes, and whom they lead back to."""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.attribution.domain.codes import is_code, is_link_id, normalise

_CODE_SOURCES = text("""
    SELECT code, participant_id, channel FROM code
    WHERE program_id = :program_id AND code = ANY(CAST(:codes AS text[]))
""")
_LINK_SOURCES = text("""
    SELECT link_id, participant_id, channel, campaign FROM link
    WHERE program_id = :program_id AND link_id = ANY(CAST(:link_ids AS text[]))
""")


@dataclass(frozen=True, slots=True)
class TouchSource:
    """Whose link or code was used, and what it was for. `link_id` or `code` is empty."""

    participant_id: str
    link_id: str
    code: str
    channel: str
    campaign: str


async def load_code_sources(conn: AsyncConnection, program_id: str, codes: Collection[str]) -> dict[str, TouchSource]:
    """Sources by normalised code; unknown codes are absent."""
    wanted = sorted({code for each in codes if is_code(code := normalise(each))})
    if not wanted:
        return {}
    rows = await conn.execute(_CODE_SOURCES, {"program_id": program_id, "codes": wanted})
    return {row.code: TouchSource(row.participant_id, "", row.code, row.channel, "") for row in rows}


async def load_link_sources(
    conn: AsyncConnection, program_id: str, link_ids: Collection[str]
) -> dict[str, TouchSource]:
    """Sources by link id; unknown links are absent."""
    wanted = sorted({each for each in link_ids if is_link_id(each)})
    if not wanted:
        return {}
    rows = await conn.execute(_LINK_SOURCES, {"program_id": program_id, "link_ids": wanted})
    return {row.link_id: TouchSource(row.participant_id, row.link_id, "", row.channel, row.campaign) for row in rows}
