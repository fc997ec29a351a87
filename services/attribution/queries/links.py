"""Reading links, codes and shares."""

import asyncio
from dataclasses import dataclass

from upline.attribution.v1 import link_pb2

from chassis.database import Database
from chassis.pages import MAX_PAGE_SIZE, Pager, page_size
from services.attribution.store.links import (
    list_codes,
    list_links,
    load_owner,
    load_share_counts,
    require_code,
    require_link,
)
from services.attribution.store.participants import require_participant
from services.attribution.store.programs import load_program
from services.attribution.wire.links import LinkAddress, code_message, link_message
from services.attribution.wire.qr import QrImage, draw


@dataclass(frozen=True, slots=True)
class LinkReader:
    """What queries on links stand on."""

    database: Database
    pager: Pager
    address: LinkAddress


async def get_link(reader: LinkReader, request: link_pb2.GetLinkRequest) -> link_pb2.GetLinkResponse:
    """One link."""
    async with reader.database.transaction() as conn:
        await load_program(conn, request.program_id)
        link = await require_link(conn, request.program_id, request.link_id)
    return link_pb2.GetLinkResponse(link=link_message(link, reader.address))


async def get_links(reader: LinkReader, request: link_pb2.ListLinksRequest) -> link_pb2.ListLinksResponse:
    """A page of a participant's links."""
    position = reader.pager.position(request, request.page_token)
    size = page_size(request.page_size)
    async with reader.database.transaction() as conn:
        await load_program(conn, request.program_id)
        await require_participant(conn, request.program_id, request.participant_id)
        after = position[0] if position else 0
        found = await list_links(conn, request.program_id, request.participant_id, after, size + 1)
    links, token = reader.pager.page(
        request, found, size, lambda each: link_message(each[1], reader.address), lambda last: [last[0]]
    )
    return link_pb2.ListLinksResponse(links=links, next_page_token=token)


async def get_codes(reader: LinkReader, request: link_pb2.ListCodesRequest) -> link_pb2.ListCodesResponse:
    """A page of a participant's codes."""
    position = reader.pager.position(request, request.page_token)
    size = page_size(request.page_size)
    async with reader.database.transaction() as conn:
        await load_program(conn, request.program_id)
        await require_participant(conn, request.program_id, request.participant_id)
        after = position[0] if position else 0
        found = await list_codes(conn, request.program_id, request.participant_id, after, size + 1)
    codes, token = reader.pager.page(request, found, size, lambda each: code_message(each[1]), lambda last: [last[0]])
    return link_pb2.ListCodesResponse(codes=codes, next_page_token=token)


async def resolve_code(reader: LinkReader, request: link_pb2.ResolveCodeRequest) -> link_pb2.ResolveCodeResponse:
    """Whose code it is."""
    async with reader.database.transaction() as conn:
        await load_program(conn, request.program_id)
        code = await require_code(conn, request.program_id, request.code)
        attributes, title = await load_owner(conn, code)
    return link_pb2.ResolveCodeResponse(code=code_message(code), owner_attributes=attributes, program_title=title)


async def get_qr_code(reader: LinkReader, request: link_pb2.GetQrCodeRequest) -> link_pb2.GetQrCodeResponse:
    """The QR image of a link's address or a code."""
    async with reader.database.transaction() as conn:
        await load_program(conn, request.program_id)
        if request.WhichOneof("target") == "link_id":
            link = await require_link(conn, request.program_id, request.link_id)
            content = reader.address.of(link.program_id, link.link_id)
        else:
            content = (await require_code(conn, request.program_id, request.code)).code
    as_svg = request.format == link_pb2.QR_FORMAT_SVG
    # In a thread, for drawing takes some 10 ms and calls in flight must not wait for it.
    drawn: QrImage = await asyncio.to_thread(draw, content, as_svg, request.scale)
    return link_pb2.GetQrCodeResponse(image=drawn.image, content_type=drawn.content_type, content=drawn.content)


async def get_share_counts(
    reader: LinkReader, request: link_pb2.GetShareCountsRequest
) -> link_pb2.GetShareCountsResponse:
    """Shares of a participant or the whole program, by channel."""
    async with reader.database.transaction() as conn:
        await load_program(conn, request.program_id)
        if request.participant_id:
            await require_participant(conn, request.program_id, request.participant_id)
        counts, total = await load_share_counts(conn, request.program_id, request.participant_id, MAX_PAGE_SIZE)
    return link_pb2.GetShareCountsResponse(
        channels=[link_pb2.ChannelShareCount(channel=channel, share_count=count) for channel, count in counts],
        share_count=total,
    )
