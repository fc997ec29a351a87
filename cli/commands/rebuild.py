"""`upline rebuild`."""

import asyncio
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from cli.connection import StackChoice, open_database
from cli.errors import USAGE, CommandFailed
from cli.options import DEFAULT_STATE, Json, State
from cli.output import begin_when_counted, make_progress, make_table, out, print_json

if TYPE_CHECKING:
    from services.rewards.commands.rebuild import RebuildResult

SHOWN = 50


def rebuild(
    program: Annotated[str, typer.Argument(metavar="[PROGRAM]", help="Only this program.")] = "",
    check: Annotated[
        bool, typer.Option("--check", help="Compare, and change nothing. There is no other way yet; it must be given.")
    ] = False,
    jobs: Annotated[
        int, typer.Option(min=0, help="Processes; 0 for one a processor, 1 for none besides the command.")
    ] = 0,
    state: State = DEFAULT_STATE,
    as_json: Json = False,
) -> None:
    """Compute every reward, reversal and tally again from the stored events and compare row by row with what is stored.

    Works on one view of the database, in a schema of its own that is removed again; services may run meanwhile. Needs
    the database as its owner: that of the stack on --state, or UPLINE_DATABASE_URL. The exit code is 0 only if
    everything is the same.

    Examples: upline rebuild --check; upline rebuild uds --check --json
    """
    if not check:
        raise CommandFailed("say --check: what is stored is compared, never replaced", USAGE)
    from services.rewards.commands.rebuild import rebuild as run  # here, as it brings everything that decides

    with open_database(StackChoice(state)) as url, make_progress() as bars:
        result = asyncio.run(run(url, program, begin_when_counted(bars, "rebuilding"), jobs))
    if as_json:
        print_json(asdict(result) | {"same": not result.differences})
    else:
        print_rebuild_result(result)
    raise typer.Exit(1 if result.differences else 0)


def print_rebuild_result(result: "RebuildResult") -> None:
    """Prints the verdict, and the differences if there are any."""
    verdict = "every row is the same" if not result.differences else "WHAT IS STORED DIFFERS"
    out.print(
        f"{verdict}: {result.conversions} conversions and {result.reversals} reversals of {result.programs} programs"
        f" computed again, {result.rewards} rewards, {result.revisions} revisions and {result.tallies} tallies compared"
    )
    if result.differences:
        rows = make_table("differences", "program", "conversion", "table", "row", "stored", "computed")
        for each in result.differences[:SHOWN]:
            rows.add_row(each.program_id, each.conversion_id, each.table, each.row, each.stored, each.rebuilt)
        out.print(rows)
        if len(result.differences) > SHOWN:
            out.print(f"and {len(result.differences) - SHOWN} more; --json shows them")
