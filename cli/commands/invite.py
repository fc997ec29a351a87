"""`upline invite` and `upline links`."""

from typing import Annotated
from uuid import uuid4

import typer
from upline.attribution.v1 import link_pb2

from cli.bundle.encode import plain_values
from cli.client import CALL_SECONDS, LARGEST_PAGE, Client
from cli.connection import StackChoice, run_with_client
from cli.options import DEFAULT_STATE, Json, ParticipantId, ProgramId, State, Targets
from cli.output import format_time, make_table, out, print_json


def invite(
    program: ProgramId,
    participant: ParticipantId,
    to: Annotated[str, typer.Option("--to", metavar="URL", help="Make a link to this page, not a code.")] = "",
    code: Annotated[str, typer.Option(help="The wanted code; left out, one that nobody can guess.")] = "",
    share: Annotated[
        str,
        typer.Option(
            metavar="PERCENT",
            help="How much of the reward goes to the friend, where the plan lets its participants choose.",
        ),
    ] = "",
    channel: Annotated[str, typer.Option(help="Where it will be shared.")] = "",
    campaign: Annotated[str, typer.Option(help="What a link is part of.")] = "",
    state: State = DEFAULT_STATE,
    target: Targets = [],  # noqa: B006
    as_json: Json = False,
) -> None:
    """Make a code or a link for a participant to share.

    Examples: upline invite uds maria; upline invite uds maria --code MARIA-10 --share 50; upline invite uds maria --to
    https://coffee.example/
    """
    if to and code:
        raise typer.BadParameter("--to makes a link, which has no code of its own", param_hint="--code")
    if campaign and not to:
        raise typer.BadParameter("only links belong to a campaign; give --to", param_hint="--campaign")

    async def work(client: Client) -> link_pb2.Link | link_pb2.Code:
        if to:
            link_request = link_pb2.CreateLinkRequest(
                request_id=uuid4().hex,
                program_id=program,
                participant_id=participant,
                destination_url=to,
                channel=channel,
                campaign=campaign,
                share_percent=share,
            )
            link: link_pb2.Link = (await client.links.CreateLink(link_request, timeout=CALL_SECONDS)).link
            return link
        code_request = link_pb2.CreateCodeRequest(
            request_id=uuid4().hex,
            program_id=program,
            participant_id=participant,
            code=code,
            channel=channel,
            share_percent=share,
        )
        made: link_pb2.Code = (await client.links.CreateCode(code_request, timeout=CALL_SECONDS)).code
        return made

    answer = run_with_client(StackChoice(state, tuple(target)), work)
    if as_json:
        print_json(answer)
    else:
        out.print(answer.url if isinstance(answer, link_pb2.Link) else answer.code, markup=False)


def links(
    program: ProgramId,
    participant: ParticipantId,
    state: State = DEFAULT_STATE,
    target: Targets = [],  # noqa: B006
    as_json: Json = False,
) -> None:
    """Show what a participant shares: links and codes, and how much of the reward each gives to the friend.

    Example: upline links uds maria
    """
    codes, made = run_with_client(
        StackChoice(state, tuple(target)), lambda client: read_shares(client, program, participant)
    )
    if as_json:
        print_json(
            {
                "codes": [plain_values(each, defaults=True) for each in codes],
                "links": [plain_values(each, defaults=True) for each in made],
            }
        )
        return
    rows = make_table("", "code or link", "channel", "campaign", "to the friend", "since", right=("to the friend",))
    for code in codes:
        rows.add_row(code.code, code.channel, "", share_text(code.share_percent), format_time(code.create_time))
    for link in made:
        rows.add_row(
            link.url, link.channel, link.campaign, share_text(link.share_percent), format_time(link.create_time)
        )
    out.print(rows)


async def read_shares(
    client: Client, program: str, participant: str
) -> tuple[list[link_pb2.Code], list[link_pb2.Link]]:
    """All codes and links of a participant, in the order of creation."""
    codes: list[link_pb2.Code] = []
    ask = link_pb2.ListCodesRequest(program_id=program, participant_id=participant, page_size=LARGEST_PAGE)
    while True:
        some = await client.links.ListCodes(ask, timeout=CALL_SECONDS)
        codes += some.codes
        if not (token := some.next_page_token):
            break
        ask.page_token = token
    made: list[link_pb2.Link] = []
    ask_links = link_pb2.ListLinksRequest(program_id=program, participant_id=participant, page_size=LARGEST_PAGE)
    while True:
        page = await client.links.ListLinks(ask_links, timeout=CALL_SECONDS)
        made += page.links
        if not (token := page.next_page_token):
            return codes, made
        ask_links.page_token = token


def share_text(share_percent: str) -> str:
    """The share of the friend, in words for people."""
    return f"{share_percent} %" if share_percent else "as planned"
