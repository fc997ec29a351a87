"""Creating and changing programs."""

from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.errors import already_exists, not_found
from chassis.idempotency import Answer, Call, answer_once
from services.attribution.commands.deps import Deps
from services.attribution.domain.policy import Program
from services.attribution.store import programs as program_store
from services.attribution.wire.programs import ProgramChanges


async def create_program(deps: Deps, call: Call[Program, Answer], wanted: Program) -> Answer:
    """Creates a program; one with the same content is the same program."""
    async with deps.database.transaction() as conn:
        return await answer_once(conn, call, lambda: _create(conn, wanted))


async def update_program(
    deps: Deps, call: Call[Program, Answer], program_id: str, changes: ProgramChanges, *, allow_missing: bool
) -> Answer:
    """Changes the fields that a mask names, or creates the program where that is allowed."""
    now = deps.clock.now()

    async def change() -> Program:
        if allow_missing and await program_store.insert_program(conn, wanted := changes.as_new(now)):
            return wanted
        old = await program_store.lock_program(conn, program_id)
        if old is None:
            raise not_found("program", program_id)
        changed = changes.applied_to(old, now)
        if replace(changed, update_time=old.update_time) == old:
            return old
        await program_store.update_program(conn, changed)
        return changed

    async with deps.database.transaction() as conn:
        return await answer_once(conn, call, change)


async def _create(conn: AsyncConnection, wanted: Program) -> Program:
    if await program_store.insert_program(conn, wanted):
        return wanted
    found = await program_store.find_program(conn, wanted.program_id)
    if found is None or replace(wanted, create_time=found.create_time, update_time=found.update_time) != found:
        raise already_exists(
            "PROGRAM_EXISTS", f"program {wanted.program_id!r} exists with another content", "program.program_id"
        )
    return found
