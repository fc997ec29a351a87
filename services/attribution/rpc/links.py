"""LinkService."""

from dataclasses import dataclass

from upline.attribution.v1 import link_pb2

from chassis.server import Context
from services.attribution.commands.links import LinkDeps, create_code, create_link, record_share
from services.attribution.queries.links import (
    LinkReader,
    get_codes,
    get_link,
    get_links,
    get_qr_code,
    get_share_counts,
    resolve_code,
)


@dataclass(frozen=True, slots=True)
class LinkServicer:
    """Links, codes, QR images and shares."""

    deps: LinkDeps
    reader: LinkReader

    async def CreateLink(self, request: link_pb2.CreateLinkRequest, _context: Context) -> link_pb2.CreateLinkResponse:
        """Creates a link."""
        return await create_link(self.deps, request)

    async def GetLink(self, request: link_pb2.GetLinkRequest, _context: Context) -> link_pb2.GetLinkResponse:
        """Reads a link."""
        return await get_link(self.reader, request)

    async def ListLinks(self, request: link_pb2.ListLinksRequest, _context: Context) -> link_pb2.ListLinksResponse:
        """Lists a participant's links."""
        return await get_links(self.reader, request)

    async def CreateCode(self, request: link_pb2.CreateCodeRequest, _context: Context) -> link_pb2.CreateCodeResponse:
        """Creates a code."""
        return await create_code(self.deps, request)

    async def ListCodes(self, request: link_pb2.ListCodesRequest, _context: Context) -> link_pb2.ListCodesResponse:
        """Lists a participant's codes."""
        return await get_codes(self.reader, request)

    async def ResolveCode(
        self, request: link_pb2.ResolveCodeRequest, _context: Context
    ) -> link_pb2.ResolveCodeResponse:
        """Tells whose code it is."""
        return await resolve_code(self.reader, request)

    async def GetQrCode(self, request: link_pb2.GetQrCodeRequest, _context: Context) -> link_pb2.GetQrCodeResponse:
        """Draws a QR image."""
        return await get_qr_code(self.reader, request)

    async def RecordShare(
        self, request: link_pb2.RecordShareRequest, _context: Context
    ) -> link_pb2.RecordShareResponse:
        """Counts a share."""
        return await record_share(self.deps, request)

    async def GetShareCounts(
        self, request: link_pb2.GetShareCountsRequest, _context: Context
    ) -> link_pb2.GetShareCountsResponse:
        """Tells how often was shared."""
        return await get_share_counts(self.reader, request)
