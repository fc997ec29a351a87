"""Creating and changing programs."""

from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncConnection
from upline.attribution.v1 import program_pb2

from chassis.errors import already_exists, not_found
from chassis.idempotency import once
from services.attribution.commands import Deps
from services.attribution.domain.policy import Program
from services.attribution.store.programs import find_program, insert_program, lock_program, update_program
from services.attribution.wire.programs import read_changes, read_program, write_program


async def create_program(deps: Deps, request: program_pb2.CreateProgramRequest) -> program_pb2.CreateProgramResponse:
    """Creates a program; one with the same content is the same program."""
    wanted = read_program(request.program, deps.clock.now())
    async with deps.database.transaction() as conn:

        async def create() -> program_pb2.CreateProgramResponse:
            return program_pb2.CreateProgramResponse(program=write_program(await _create(conn, wanted)))

        return await once(conn, request, program_pb2.CreateProgramResponse, create)


async def update_program_fields(
    deps: Deps, request: program_pb2.UpdateProgramRequest
) -> program_pb2.UpdateProgramResponse:
    """Changes the fields a mask names, or creates the program where that is allowed."""
    now = deps.clock.now()
    async with deps.database.transaction() as conn:

        async def change() -> program_pb2.UpdateProgramResponse:
            if request.allow_missing and await insert_program(conn, wanted := read_program(request.program, now)):
                return program_pb2.UpdateProgramResponse(program=write_program(wanted))
            old = await lock_program(conn, request.program.program_id)
            if old is None:
                raise not_found("program", request.program.program_id)
            changed = read_changes(old, request.program, request.update_mask.paths, now)
            if replace(changed, update_time=old.update_time) == old:
                changed = old
            else:
                await update_program(conn, changed)
            return program_pb2.UpdateProgramResponse(program=write_program(changed))

        return await once(conn, request, program_pb2.UpdateProgramResponse, change)


async def _create(conn: AsyncConnection, wanted: Program) -> Program:
    if await insert_program(conn, wanted):
        return wanted
    found = await find_program(conn, wanted.program_id)
    if found is None or replace(wanted, create_time=found.create_time, update_time=found.update_time) != found:
        raise already_exists(
            "PROGRAM_EXISTS", f"program {wanted.program_id!r} exists with another content", "program.program_id"
        )
    return found
