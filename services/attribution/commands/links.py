"""Making links and codes, and counting shares."""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection
from upline.attribution.v1 import link_pb2

from chassis.clock import Clock
from chassis.database import Database
from chassis.errors import already_exists, invalid
from chassis.idempotency import once
from chassis.ids import random_token
from services.attribution.domain.codes import ENTROPY_BYTES, generate_code, generate_link_id, normalise
from services.attribution.domain.destination import DestinationError, canonical
from services.attribution.domain.links import Code, Link
from services.attribution.store.links import count_share, insert_code, insert_link, require_code, require_link
from services.attribution.store.participants import require_participant
from services.attribution.store.programs import load_program
from services.attribution.wire.links import LinkAddress, code_message, link_message, read_share_percent, utm_from

MAX_DRAWS = 10
"""A drawn code is taken once in a thousand million draws; ten in a row mean that the draws are not random."""


@dataclass(frozen=True, slots=True)
class LinkDeps:
    """What commands on links stand on."""

    database: Database
    clock: Clock
    address: LinkAddress


async def create_link(deps: LinkDeps, request: link_pb2.CreateLinkRequest) -> link_pb2.CreateLinkResponse:
    """Makes a link to a page that the program allows."""

    async def carry_out() -> link_pb2.CreateLinkResponse:
        program = await load_program(conn, request.program_id)
        await require_participant(conn, request.program_id, request.participant_id)
        try:
            destination_url = canonical(request.destination_url, program.allowed_hosts)
        except DestinationError as error:
            raise invalid("destination_url", str(error), "DESTINATION_NOT_ALLOWED") from error
        link = Link(
            program_id=request.program_id,
            link_id=generate_link_id(random_token(ENTROPY_BYTES)),
            participant_id=request.participant_id,
            destination_url=destination_url,
            channel=request.channel,
            campaign=request.campaign,
            utm=utm_from(request.utm),
            create_time=deps.clock.now(),
            share_percent=read_share_percent(request.share_percent),
        )
        await insert_link(conn, link)
        return link_pb2.CreateLinkResponse(link=link_message(link, deps.address))

    async with deps.database.transaction() as conn:
        return await once(conn, request, link_pb2.CreateLinkResponse, carry_out)


async def create_code(deps: LinkDeps, request: link_pb2.CreateCodeRequest) -> link_pb2.CreateCodeResponse:
    """Makes the code asked for, or one that nobody can guess."""

    async def carry_out() -> link_pb2.CreateCodeResponse:
        await load_program(conn, request.program_id)
        await require_participant(conn, request.program_id, request.participant_id)
        code = await (_take_wanted if request.code else _draw)(deps, conn, request)
        return link_pb2.CreateCodeResponse(code=code_message(code))

    async with deps.database.transaction() as conn:
        return await once(conn, request, link_pb2.CreateCodeResponse, carry_out)


async def record_share(deps: LinkDeps, request: link_pb2.RecordShareRequest) -> link_pb2.RecordShareResponse:
    """Counts one share."""
    if request.link_id and request.code:
        raise invalid("code", "is set beside link_id: one share is of one of them")

    async def carry_out() -> link_pb2.RecordShareResponse:
        await load_program(conn, request.program_id)
        await require_participant(conn, request.program_id, request.participant_id)
        if request.link_id:
            await require_link(conn, request.program_id, request.link_id)
        code = (await require_code(conn, request.program_id, request.code)).code if request.code else ""
        count = await count_share(
            conn,
            program_id=request.program_id,
            participant_id=request.participant_id,
            channel=request.channel,
            link_id=request.link_id,
            code=code,
        )
        return link_pb2.RecordShareResponse(share_count=count)

    async with deps.database.transaction() as conn:
        return await once(conn, request, link_pb2.RecordShareResponse, carry_out)


async def _take_wanted(deps: LinkDeps, conn: AsyncConnection, request: link_pb2.CreateCodeRequest) -> Code:
    code = _code(deps, request, normalise(request.code))
    if not await insert_code(conn, code):
        raise already_exists("CODE_TAKEN", f"the code {code.code} is taken", "code")
    return code


async def _draw(deps: LinkDeps, conn: AsyncConnection, request: link_pb2.CreateCodeRequest) -> Code:
    for _ in range(MAX_DRAWS):
        code = _code(deps, request, generate_code(random_token(ENTROPY_BYTES)))
        if await insert_code(conn, code):
            return code
    raise RuntimeError("every drawn code was taken")


def _code(deps: LinkDeps, request: link_pb2.CreateCodeRequest, text: str) -> Code:
    return Code(
        program_id=request.program_id,
        code=text,
        participant_id=request.participant_id,
        channel=request.channel,
        create_time=deps.clock.now(),
        share_percent=read_share_percent(request.share_percent),
    )
