"""The people around a participant: the upline above, the downline beneath."""

from rich.tree import Tree
from upline.attribution.v1 import participant_pb2

from cli.client import CALL_SECONDS, LARGEST_PAGE, Client

Nodes = list[participant_pb2.TreeNode]


async def read_tree(
    client: Client, program: str, participant: str, depth: int, limit: int
) -> tuple[Nodes, Nodes, bool]:
    """The nearest 1,000 of the upline, the downline by level, and whether the downline has more."""
    ancestors = await client.participants.ListUpline(
        participant_pb2.ListUplineRequest(program_id=program, participant_id=participant, page_size=LARGEST_PAGE),
        timeout=CALL_SECONDS,
    )
    found: Nodes = []
    request = participant_pb2.ListDownlineRequest(
        program_id=program, participant_id=participant, max_level=depth, page_size=min(limit, LARGEST_PAGE)
    )
    while True:
        page = await client.participants.ListDownline(request, timeout=CALL_SECONDS)
        found += page.descendants
        request.page_token = page.next_page_token
        if not page.next_page_token or len(found) >= limit:
            return list(ancestors.ancestors), found[:limit], bool(page.next_page_token) or len(found) > limit


def draw_tree(participant: str, upline: Nodes, downline: Nodes) -> Tree:
    """The tree with the participant in the middle of it."""
    line = [*(each.participant_id for each in reversed(upline)), participant]
    root = Tree(line[0] if len(line) > 1 else f"[bold]{line[0]}[/bold]")
    here = root
    for name in line[1:]:
        here = here.add(f"[bold]{name}[/bold]" if name == participant else name)
    branches = {participant: here}
    for each in downline:  # by level, so that a sponsor always comes before their referees
        branches[each.participant_id] = branches[each.sponsor_id].add(each.participant_id)
    return root
