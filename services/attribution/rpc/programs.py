"""ProgramService."""

from dataclasses import dataclass

from upline.attribution.v1 import program_pb2

from chassis.handlers import Context
from chassis.idempotency import call_of
from chassis.pages import Pager, page_size
from services.attribution.commands.deps import Deps
from services.attribution.commands.programs import create_program, update_program
from services.attribution.domain.policy import Program
from services.attribution.queries.deps import QueryDeps
from services.attribution.queries.programs import get_program, list_programs
from services.attribution.wire.programs import ProgramChanges, program_message, read_program


@dataclass(frozen=True, slots=True)
class ProgramServicer:
    """Programs and their attribution policy. Methods are named as the contract names them, which says the rest."""

    service = program_pb2.DESCRIPTOR.services_by_name["ProgramService"]

    deps: Deps
    queries: QueryDeps
    pager: Pager

    async def CreateProgram(
        self, request: program_pb2.CreateProgramRequest, _context: Context
    ) -> program_pb2.CreateProgramResponse:
        def created(program: Program) -> program_pb2.CreateProgramResponse:
            return program_pb2.CreateProgramResponse(program=program_message(program))

        wanted = read_program(request.program, self.deps.clock.now())
        return await create_program(self.deps, call_of(request, program_pb2.CreateProgramResponse, created), wanted)

    async def UpdateProgram(
        self, request: program_pb2.UpdateProgramRequest, _context: Context
    ) -> program_pb2.UpdateProgramResponse:
        def updated(program: Program) -> program_pb2.UpdateProgramResponse:
            return program_pb2.UpdateProgramResponse(program=program_message(program))

        return await update_program(
            self.deps,
            call_of(request, program_pb2.UpdateProgramResponse, updated),
            request.program.program_id,
            ProgramChanges(request.program, request.update_mask.paths),
            allow_missing=request.allow_missing,
        )

    async def GetProgram(
        self, request: program_pb2.GetProgramRequest, _context: Context
    ) -> program_pb2.GetProgramResponse:
        program = await get_program(self.queries, request.program_id)
        return program_pb2.GetProgramResponse(program=program_message(program))

    async def ListPrograms(
        self, request: program_pb2.ListProgramsRequest, _context: Context
    ) -> program_pb2.ListProgramsResponse:
        position = self.pager.position(request, request.page_token)
        size = page_size(request.page_size)
        found = await list_programs(self.queries, position[0] if position else "", size + 1)
        programs, token = self.pager.page(request, found, size, program_message, lambda last: [last.program_id])
        return program_pb2.ListProgramsResponse(programs=programs, next_page_token=token)
