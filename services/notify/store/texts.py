"""Published texts, as protobuf bytes: what was published is what is read, field by field."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection
from upline.notify.v1 import notify_pb2

from services.notify.domain.texts import ProgramTexts
from services.notify.wire.texts import texts_from, texts_to

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


@dataclass(frozen=True, slots=True)
class StoredTexts:
    """One version."""

    version: int
    texts: ProgramTexts


async def lock(conn: AsyncConnection, program_id: str) -> None:
    """Lets one transaction at a time publish texts of a program."""
    await conn.execute(_ENROL, {"program_id": program_id})
    await conn.execute(_LOCK, {"program_id": program_id})


async def newest(conn: AsyncConnection, program_id: str) -> StoredTexts | None:
    """The newest version; None if the program published none."""
    row = (await conn.execute(_NEWEST, {"program_id": program_id})).one_or_none()
    return StoredTexts(row.version, _parse(row.content)) if row else None


async def add(conn: AsyncConnection, program_id: str, version: int, texts: ProgramTexts, create_time: datetime) -> None:
    """Adds a version and makes it the newest; the program is locked."""
    content = texts_to(texts).SerializeToString(deterministic=True)
    values = {"program_id": program_id, "version": version}
    await conn.execute(_ADD, {**values, "content": content, "create_time": create_time})
    await conn.execute(_RAISE, values)


async def versions(conn: AsyncConnection, wanted: Sequence[tuple[str, int]]) -> dict[tuple[str, int], ProgramTexts]:
    """Several versions at once, by program and version."""
    rows = await conn.execute(
        _VERSIONS, {"program_ids": [each[0] for each in wanted], "versions": [each[1] for each in wanted]}
    )
    return {(row.program_id, row.version): _parse(row.content) for row in rows}


def _parse(content: bytes) -> ProgramTexts:
    return texts_from(notify_pb2.ProgramTexts.FromString(content))
