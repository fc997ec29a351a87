"""`upline tree`."""

from typing import Annotated

import typer

from cli.bundle.encode import plain_values
from cli.connection import StackChoice, run_with_client
from cli.options import DEFAULT_STATE, Json, ParticipantId, ProgramId, State, Targets
from cli.output import out, print_json
from cli.views.tree import draw_tree, read_tree


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
    upline, downline, more = run_with_client(
        StackChoice(state, tuple(target)), lambda client: read_tree(client, program, participant, depth, limit)
    )
    if as_json:
        values = {"participant_id": participant, "truncated": more}
        lists = {
            "upline": [plain_values(each, defaults=True) for each in upline],
            "downline": [plain_values(each, defaults=True) for each in downline],
        }
        print_json(values | lists)
        return
    out.print(draw_tree(participant, upline, downline))
    if more:
        out.print(f"… and more; --limit shows more than {limit}")
