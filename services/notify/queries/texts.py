"""Reading texts and preferences."""

from upline.notify.v1 import notify_pb2

from chassis.database import Database
from services.notify.domain.inbox import Inbox
from services.notify.rendering.builtin import BUILT_IN
from services.notify.store import preferences as preference_store
from services.notify.store import texts as texts_store
from services.notify.wire.texts import texts_to


async def get_texts(database: Database, request: notify_pb2.GetTextsRequest) -> notify_pb2.GetTextsResponse:
    """The newest texts of a program; the built-in ones, version 0, if it published none."""
    async with database.transaction() as conn:
        newest = await texts_store.newest(conn, request.program_id)
    if newest is None:
        return notify_pb2.GetTextsResponse(texts=texts_to(BUILT_IN), version=0)
    return notify_pb2.GetTextsResponse(texts=texts_to(newest.texts), version=newest.version)


async def get_preferences(
    database: Database, request: notify_pb2.GetPreferencesRequest
) -> notify_pb2.GetPreferencesResponse:
    """A participant's preferences; defaults if he set none."""
    async with database.transaction() as conn:
        locale = await preference_store.locale(conn, Inbox(request.program_id, request.participant_id))
    return notify_pb2.GetPreferencesResponse(preferences=notify_pb2.Preferences(locale=locale))
