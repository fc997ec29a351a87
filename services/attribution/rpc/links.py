"""LinkService."""

import asyncio
from dataclasses import dataclass

from upline.attribution.v1 import link_pb2

from chassis.handlers import Context
from chassis.idempotency import call_of
from chassis.pages import MAX_PAGE_SIZE, Pager, Portion, page_size
from services.attribution.commands.deps import Deps
from services.attribution.commands.links import create_code, create_link, record_share
from services.attribution.domain.links import Code, Link
from services.attribution.queries.deps import QueryDeps
from services.attribution.queries.links import (
    get_code,
    get_link,
    get_share_counts,
    list_codes,
    list_links,
    resolve_code,
)
from services.attribution.wire.links import LinkAddress, code_message, link_message, read_code, read_link, read_share
from services.attribution.wire.qr import draw


@dataclass(frozen=True, slots=True)
class LinkServicer:
    """Links, codes, QR images and shares. Methods are named as the contract names them, which says the rest."""

    service = link_pb2.DESCRIPTOR.services_by_name["LinkService"]

    deps: Deps
    queries: QueryDeps
    pager: Pager
    address: LinkAddress

    async def CreateLink(self, request: link_pb2.CreateLinkRequest, _context: Context) -> link_pb2.CreateLinkResponse:
        def created(link: Link) -> link_pb2.CreateLinkResponse:
            return link_pb2.CreateLinkResponse(link=link_message(link, self.address))

        call = call_of(request, link_pb2.CreateLinkResponse, created)
        return await create_link(self.deps, call, read_link(request))

    async def GetLink(self, request: link_pb2.GetLinkRequest, _context: Context) -> link_pb2.GetLinkResponse:
        link = await get_link(self.queries, request.program_id, request.link_id)
        return link_pb2.GetLinkResponse(link=link_message(link, self.address))

    async def ListLinks(self, request: link_pb2.ListLinksRequest, _context: Context) -> link_pb2.ListLinksResponse:
        position = self.pager.position(request, request.page_token)
        size = page_size(request.page_size)
        after = position[0] if position else 0
        found = await list_links(self.queries, request.program_id, request.participant_id, after, size + 1)
        links, token = self.pager.page(
            request, found, size, lambda each: link_message(each[1], self.address), lambda last: [last[0]]
        )
        return link_pb2.ListLinksResponse(links=links, next_page_token=token)

    async def CreateCode(self, request: link_pb2.CreateCodeRequest, _context: Context) -> link_pb2.CreateCodeResponse:
        def created(code: Code) -> link_pb2.CreateCodeResponse:
            return link_pb2.CreateCodeResponse(code=code_message(code))

        call = call_of(request, link_pb2.CreateCodeResponse, created)
        return await create_code(self.deps, call, read_code(request))

    async def ListCodes(self, request: link_pb2.ListCodesRequest, _context: Context) -> link_pb2.ListCodesResponse:
        position = self.pager.position(request, request.page_token)
        size = page_size(request.page_size)
        after = position[0] if position else 0
        found = await list_codes(self.queries, request.program_id, request.participant_id, after, size + 1)
        codes, token = self.pager.page(
            request, Portion.whole(found), size, lambda each: code_message(each[1]), lambda last: [last[0]]
        )
        return link_pb2.ListCodesResponse(codes=codes, next_page_token=token)

    async def ResolveCode(
        self, request: link_pb2.ResolveCodeRequest, _context: Context
    ) -> link_pb2.ResolveCodeResponse:
        resolved = await resolve_code(self.queries, request.program_id, request.code)
        return link_pb2.ResolveCodeResponse(
            code=code_message(resolved.code),
            owner_attributes=resolved.owner_attributes,
            program_title=resolved.program_title,
        )

    async def GetQrCode(self, request: link_pb2.GetQrCodeRequest, _context: Context) -> link_pb2.GetQrCodeResponse:
        if request.WhichOneof("target") == "link_id":
            link = await get_link(self.queries, request.program_id, request.link_id)
            content = self.address.url_of(link.program_id, link.link_id)
        else:
            content = (await get_code(self.queries, request.program_id, request.code)).code
        as_svg = request.format == link_pb2.QR_FORMAT_SVG
        # In a thread, for drawing takes some 10 ms and calls in flight must not wait for it.
        drawn = await asyncio.to_thread(draw, content, as_svg, request.scale)
        return link_pb2.GetQrCodeResponse(image=drawn.image, content_type=drawn.content_type, content=drawn.content)

    async def RecordShare(
        self, request: link_pb2.RecordShareRequest, _context: Context
    ) -> link_pb2.RecordShareResponse:
        def counted(share_count: int) -> link_pb2.RecordShareResponse:
            return link_pb2.RecordShareResponse(share_count=share_count)

        call = call_of(request, link_pb2.RecordShareResponse, counted)
        return await record_share(self.deps, call, read_share(request))

    async def GetShareCounts(
        self, request: link_pb2.GetShareCountsRequest, _context: Context
    ) -> link_pb2.GetShareCountsResponse:
        counts = await get_share_counts(self.queries, request.program_id, request.participant_id, MAX_PAGE_SIZE)
        return link_pb2.GetShareCountsResponse(
            channels=[
                link_pb2.ChannelShareCount(channel=channel, share_count=count) for channel, count in counts.by_channel
            ],
            share_count=counts.total,
        )
