"""Links and codes as messages."""

from dataclasses import dataclass

from upline.attribution.v1 import link_pb2

from chassis.errors import invalid
from chassis.times import to_timestamp
from services.attribution.domain.destination import Utm
from services.attribution.domain.links import Code, CodeDraft, Link, LinkDraft, ShareRecord


@dataclass(frozen=True, slots=True)
class LinkAddress:
    """The address where links are reached."""

    public_url: str
    """The redirect's URL, without a slash at its end."""

    def url_of(self, program_id: str, link_id: str) -> str:
        """The address of a link, for sharing it."""
        return f"{self.public_url}/r/{program_id}/{link_id}"


def read_link(request: link_pb2.CreateLinkRequest) -> LinkDraft:
    """The link that a request asks for."""
    utm = request.utm
    return LinkDraft(
        program_id=request.program_id,
        participant_id=request.participant_id,
        destination_url=request.destination_url,
        channel=request.channel,
        campaign=request.campaign,
        utm=Utm(utm.source, utm.medium, utm.campaign, utm.term, utm.content),
        share_percent=request.share_percent,
    )


def read_code(request: link_pb2.CreateCodeRequest) -> CodeDraft:
    """The code that a request asks for."""
    return CodeDraft(
        program_id=request.program_id,
        code=request.code,
        participant_id=request.participant_id,
        channel=request.channel,
        share_percent=request.share_percent,
    )


def read_share(request: link_pb2.RecordShareRequest) -> ShareRecord:
    """The share that a request tells of. Raises INVALID_ARGUMENT if it is of a link and of a code."""
    if request.link_id and request.code:
        raise invalid("code", "is set beside link_id: one share is of one of them")
    return ShareRecord(request.program_id, request.participant_id, request.channel, request.link_id, request.code)


def link_message(link: Link, address: LinkAddress) -> link_pb2.Link:
    """A link as the contract has it, with the address for sharing it."""
    utm = link.utm
    return link_pb2.Link(
        program_id=link.program_id,
        link_id=link.link_id,
        participant_id=link.participant_id,
        destination_url=link.destination_url,
        channel=link.channel,
        campaign=link.campaign,
        utm=link_pb2.Utm(
            source=utm.source, medium=utm.medium, campaign=utm.campaign, term=utm.term, content=utm.content
        ),
        url=address.url_of(link.program_id, link.link_id),
        create_time=to_timestamp(link.create_time),
        share_percent=link.share_percent,
    )


def code_message(code: Code) -> link_pb2.Code:
    """A code as the contract has it."""
    return link_pb2.Code(
        program_id=code.program_id,
        code=code.code,
        participant_id=code.participant_id,
        channel=code.channel,
        create_time=to_timestamp(code.create_time),
        share_percent=code.share_percent,
    )
