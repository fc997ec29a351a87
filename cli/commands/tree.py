"""`upline tree`."""

from typing import Annotated

import typer
from rich.tree import Tree
from upline.attribution.v1 import participant_pb2

from cli.bundle.encode import plain
from cli.client import CALL_SECONDS, Client
from cli.connection import Where, call
from cli.options import DEFAULT_STATE, Json, ParticipantId, ProgramId, State, Targets
from cli.output import out, print_json

Nodes = list[participant_pb2.TreeNode]
PAGE = 1000


def tree(
    program: ProgramId,
    participant: ParticipantId,
    depth: Annotated[int, typer.Option(min=0, help="Levels of the downline; 0 for all.")] = 3,
    limit: Annotated[int, typer.Option(min=1, help="At most so many of the downline.")] = 200,
    state: State = DEFAULT_STATE,
    target: Targets = [],  # noqa: B006
    as_json: Json = False,
) -> None:
    """Show a participant's upline, root first, and the downline beneath.

    Examples: upline tree uds maria; upline tree uds olga --depth 0 --limit 1000 --json
    """
    upline, downline, more = call(
        Where(state, tuple(target)), lambda client: read(client, program, participant, depth, limit)
    )
    if as_json:
        values = {"participant_id": participant, "truncated": more}
        lists = {
            "upline": [plain(each, defaults=True) for each in upline],
            "downline": [plain(each, defaults=True) for each in downline],
        }
        print_json(values | lists)
        return
    out.print(drawn(participant, upline, downline))
    if more:
        out.print(f"… and more; --limit shows more than {limit}")


async def read(client: Client, program: str, participant: str, depth: int, limit: int) -> tuple[Nodes, Nodes, bool]:
    """The nearest 1,000 of the upline, the downline by level, and whether there is more of it."""
    ancestors = await client.participants.ListUpline(
        participant_pb2.ListUplineRequest(program_id=program, participant_id=participant, page_size=PAGE),
        timeout=CALL_SECONDS,
    )
    found: Nodes = []
    request = participant_pb2.ListDownlineRequest(
        program_id=program, participant_id=participant, max_level=depth, page_size=min(limit, PAGE)
    )
    while True:
        page = await client.participants.ListDownline(request, timeout=CALL_SECONDS)
        found += page.descendants
        request.page_token = page.next_page_token
        if not page.next_page_token or len(found) >= limit:
            return list(ancestors.ancestors), found[:limit], bool(page.next_page_token) or len(found) > limit


def drawn(participant: str, upline: Nodes, downline: Nodes) -> Tree:
    """The tree with the participant in the middle of it."""
    line = [*(each.participant_id for each in reversed(upline)), participant]
    root = Tree(line[0] if len(line) > 1 else f"[bold]{line[0]}[/bold]")
    here = root
    for name in line[1:]:
        here = here.add(f"[bold]{name}[/bold]" if name == participant else name)
    branches = {participant: here}
    for each in downline:  # by level, so that a sponsor always comes before his referees
        branches[each.participant_id] = branches[each.sponsor_id].add(each.participant_id)
    return root
