"""Publishing texts."""

from upline.notify.v1 import notify_pb2

from chassis.errors import FieldViolation, invalid_fields
from chassis.idempotency import once
from services.notify.commands.deps import Deps
from services.notify.rendering.compiled import violations
from services.notify.store import texts as texts_store
from services.notify.wire.texts import texts_from


async def publish_texts(deps: Deps, request: notify_pb2.PublishTextsRequest) -> notify_pb2.PublishTextsResponse:
    """The next version, or the newest one if it already says the same. INVALID_ARGUMENT names each template at fault."""
    texts = texts_from(request.texts)
    if found := violations(texts):
        raise invalid_fields([FieldViolation(f"texts.{each.path}", each.description) for each in found], "INVALID_TEXT")

    async with deps.database.transaction() as conn:

        async def carry_out() -> notify_pb2.PublishTextsResponse:
            await texts_store.lock(conn, request.program_id)
            newest = await texts_store.newest(conn, request.program_id)
            if newest and newest.texts == texts:
                return notify_pb2.PublishTextsResponse(version=newest.version)
            version = newest.version + 1 if newest else 1
            await texts_store.add(conn, request.program_id, version, texts, deps.clock.now())
            return notify_pb2.PublishTextsResponse(version=version)

        return await once(conn, request, notify_pb2.PublishTextsResponse, carry_out)
