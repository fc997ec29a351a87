"""Publishing the texts of a program."""

import asyncio

from chassis.errors import FieldViolation, invalid_fields
from chassis.idempotency import Answer, Call, answer_once
from services.notify.commands.deps import Deps
from services.notify.domain.texts import ProgramTexts
from services.notify.rendering.compiled import violations
from services.notify.store import texts as texts_store


async def publish_texts(deps: Deps, call: Call[int, Answer], program_id: str, texts: ProgramTexts) -> Answer:
    """Publishes the next version, or leaves the newest one if it says the same; the answer tells the version.

    INVALID_ARGUMENT names each template at fault.
    """
    # In a thread: texts are tried on samples, which may take seconds, and other calls go on meanwhile.
    if found := await asyncio.to_thread(violations, texts):
        raise invalid_fields([FieldViolation(f"texts.{each.path}", each.description) for each in found], "INVALID_TEXT")

    async with deps.database.transaction() as conn:

        async def carry_out() -> int:
            await texts_store.lock(conn, program_id)
            newest = await texts_store.newest(conn, program_id)
            if newest and newest.texts == texts:
                return newest.version
            version = newest.version + 1 if newest else 1
            await texts_store.add(conn, program_id, version, texts, deps.clock.now())
            return version

        return await answer_once(conn, call, carry_out)
