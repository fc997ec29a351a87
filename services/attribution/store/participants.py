"""Participants and their bindings."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.errors import not_found

_KEY = text("SELECT participant_key FROM participant WHERE program_id = :program_id AND participant_id = :participant_id")


async def require_participant(conn: AsyncConnection, program_id: str, participant_id: str) -> int:
    """The internal key of a participant. NOT_FOUND if he is not enrolled."""
    key: int | None = (
        await conn.execute(_KEY, {"program_id": program_id, "participant_id": participant_id})
    ).scalar_one_or_none()
    if key is None:
        raise not_found("participant", participant_id)
    return key
