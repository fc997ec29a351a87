"""Texts that programs published. They are stored as protobuf bytes, so that every field is read as it was written."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.notify.domain.texts import ProgramTexts, PublishedTexts
from services.notify.wire.texts import bytes_of_texts, texts_of_bytes

_ENROL = text("INSERT INTO program (program_id, texts_version) VALUES (:program_id, 0) ON CONFLICT DO NOTHING")
_LOCK = text("SELECT texts_version FROM program WHERE program_id = :program_id FOR UPDATE")
_ADD = text("""
    INSERT INTO texts (program_id, version, content, create_time) VALUES (:program_id, :version, :content, :create_time)
""")
_RAISE = text("UPDATE program SET texts_version = :version WHERE program_id = :program_id")
_NEWEST = text("""
    SELECT version, content FROM texts WHERE program_id = :program_id ORDER BY version DESC LIMIT 1
""")
_VERSIONS = text("""
    SELECT program_id, version, content FROM texts
    JOIN unnest(CAST(:program_ids AS text[]), CAST(:versions AS integer[])) AS wanted (program_id, version)
         USING (program_id, version)
""")


async def lock(conn: AsyncConnection, program_id: str) -> None:
    """Lets one transaction at a time publish texts of a program."""
    await conn.execute(_ENROL, {"program_id": program_id})
    await conn.execute(_LOCK, {"program_id": program_id})


async def newest(conn: AsyncConnection, program_id: str) -> PublishedTexts | None:
    """The newest version; None if the program published none."""
    row = (await conn.execute(_NEWEST, {"program_id": program_id})).one_or_none()
    return PublishedTexts(row.version, texts_of_bytes(row.content)) if row else None


async def add(conn: AsyncConnection, program_id: str, version: int, texts: ProgramTexts, create_time: datetime) -> None:
    """Adds a version and makes it the newest; the program is locked."""
    content = bytes_of_texts(texts)
    values = {"program_id": program_id, "version": version}
    await conn.execute(_ADD, {**values, "content": content, "create_time": create_time})
    await conn.execute(_RAISE, values)


async def versions(conn: AsyncConnection, wanted: Sequence[tuple[str, int]]) -> dict[tuple[str, int], ProgramTexts]:
    """Reads several versions at once, by program and version."""
    rows = await conn.execute(
        _VERSIONS, {"program_ids": [each[0] for each in wanted], "versions": [each[1] for each in wanted]}
    )
    return {(row.program_id, row.version): texts_of_bytes(row.content) for row in rows}
