"""Links and codes as messages."""

from dataclasses import dataclass

from upline.attribution.v1 import link_pb2

from chassis.errors import invalid
from chassis.times import to_timestamp
from services.attribution.domain.destination import Utm
from services.attribution.domain.links import Code, Link, share_percent


@dataclass(frozen=True, slots=True)
class LinkAddress:
    """Where links are reached."""

    public_url: str
    """Without a slash at its end."""

    def of(self, program_id: str, link_id: str) -> str:
        """The address to share."""
        return f"{self.public_url}/r/{program_id}/{link_id}"


def utm_from(message: link_pb2.Utm) -> Utm:
    """UTM parameters of a request."""
    return Utm(message.source, message.medium, message.campaign, message.term, message.content)


def read_share_percent(written: str) -> str:
    """What a link or code gives away. INVALID_ARGUMENT if that is more than the whole."""
    try:
        return share_percent(written)
    except ValueError as error:
        raise invalid("share_percent", str(error)) from error


def link_message(link: Link, address: LinkAddress) -> link_pb2.Link:
    """A link, with the address to share."""
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
        url=address.of(link.program_id, link.link_id),
        create_time=to_timestamp(link.create_time),
        share_percent=link.share_percent,
    )


def code_message(code: Code) -> link_pb2.Code:
    """A code."""
    return link_pb2.Code(
        program_id=code.program_id,
        code=code.code,
        participant_id=code.participant_id,
        channel=code.channel,
        create_time=to_timestamp(code.create_time),
        share_percent=code.share_percent,
    )
