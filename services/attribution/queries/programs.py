"""Reading programs."""

from upline.attribution.v1 import program_pb2

from chassis.pages import page_size
from services.attribution.queries import Reader
from services.attribution.store import programs as store
from services.attribution.wire.programs import write_program


async def get_program(reader: Reader, request: program_pb2.GetProgramRequest) -> program_pb2.GetProgramResponse:
    """One program. NOT_FOUND if there is none."""
    async with reader.database.transaction() as conn:
        program = await store.load_program(conn, request.program_id)
    return program_pb2.GetProgramResponse(program=write_program(program))


async def list_programs(reader: Reader, request: program_pb2.ListProgramsRequest) -> program_pb2.ListProgramsResponse:
    """Programs by id, a page at a time."""
    position = reader.pager.position(request, request.page_token)
    size = page_size(request.page_size)
    async with reader.database.transaction() as conn:
        found = await store.list_programs(conn, position[0] if position else "", size + 1)
    programs, token = reader.pager.page(request, found, size, write_program, lambda last: [last.program_id])
    return program_pb2.ListProgramsResponse(programs=programs, next_page_token=token)
