"""ProgramService."""

import grpc
from upline.attribution.v1 import program_pb2

from services.attribution import queries
from services.attribution.commands import Deps
from services.attribution.commands.programs import create_program, update_program_fields
from services.attribution.queries.programs import get_program, list_programs

Context = grpc.aio.ServicerContext[object, object]


class ProgramServicer:
    """Programs and their attribution policy. Methods are named as the contract names them, which says the rest."""

    def __init__(self, deps: Deps, reader: queries.Reader) -> None:
        self._deps = deps
        self._reader = reader

    async def CreateProgram(
        self, request: program_pb2.CreateProgramRequest, _context: Context
    ) -> program_pb2.CreateProgramResponse:
        """See the contract."""
        return await create_program(self._deps, request)

    async def UpdateProgram(
        self, request: program_pb2.UpdateProgramRequest, _context: Context
    ) -> program_pb2.UpdateProgramResponse:
        """See the contract."""
        return await update_program_fields(self._deps, request)

    async def GetProgram(
        self, request: program_pb2.GetProgramRequest, _context: Context
    ) -> program_pb2.GetProgramResponse:
        """See the contract."""
        return await get_program(self._reader, request)

    async def ListPrograms(
        self, request: program_pb2.ListProgramsRequest, _context: Context
    ) -> program_pb2.ListProgramsResponse:
        """See the contract."""
        return await list_programs(self._reader, request)
