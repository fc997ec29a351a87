"""`upline replay`."""

from pathlib import Path
from typing import Annotated

import typer

from cli.bundle.program import load
from cli.connection import StackChoice, run_with_client
from cli.options import DEFAULT_STATE, Json, State, Targets
from cli.output import print_json
from cli.replay.data import EnrolmentRow, PurchaseRow, make_up_sponsors, read_purchases, read_sponsors
from cli.replay.result import print_result
from cli.replay.rows import refuse_mistakes
from cli.replay.run import replay_purchases
from cli.replay.shipped import PROGRAM, PURCHASES


def replay(
    program: Annotated[
        Path, typer.Option(metavar="FILE", help="The program file.", show_default="programs/three-levels.yaml")
    ] = PROGRAM,
    purchases: Annotated[
        Path,
        typer.Option(
            metavar="CSV",
            help="conversion_id, buyer, occurred_at (with its zone), amount_minor, currency, in the order in which it"
            " happened; may end in .gz.",
            show_default="programs/data/purchases.csv.gz",
        ),
    ] = PURCHASES,
    sponsors: Annotated[
        Path | None,
        typer.Option(
            metavar="CSV",
            help="participant, sponsor, sponsors first, and bind_time where it is known; left out: a tree made up"
            " from the buyers, always the same.",
        ),
    ] = None,
    reverse_in_parts: Annotated[
        int,
        typer.Option(
            min=0, max=100, help="Then takes every order back in so many parts and checks that every wallet is zero."
        ),
    ] = 0,
    state: State = DEFAULT_STATE,
    target: Targets = [],  # noqa: B006
    as_json: Json = False,
) -> None:
    """Play recorded purchases through a program and add up what everybody earned.

    Without options: a real shop's 69,659 purchases, as shipped, through three levels. It can be interrupted and given
    again; what is recorded already is not recorded twice. Rows are recorded and settled in the order of the file, which
    says whose order was first and who gets the rest of a budget; ids and times do not. Where the program credits nobody
    for orders from before a binding, who has no bind_time is bound with the first order. The last line on stdout is the
    result, with --json as JSON.

    Examples: upline replay; upline replay --program programs/uds.yaml --purchases mine.csv --sponsors who.csv --json
    """
    bundle, bought, enrolments = load(program), *_input(purchases, sponsors)
    refuse_mistakes(bundle.program.currency_code, enrolments, bought)
    result = run_with_client(
        StackChoice(state, tuple(target)),
        lambda client: replay_purchases(client, bundle, enrolments, bought, parts=reverse_in_parts),
    )
    if as_json:
        print_json(result)
    else:
        print_result(result)
    failed = not result["ledger_balanced"] or result.get("reversal", {}).get("wallets_not_zero", 0) > 0
    raise typer.Exit(1 if failed else 0)


def _input(purchases: Path, sponsors: Path | None) -> tuple[list[PurchaseRow], list[EnrolmentRow]]:
    bought = read_purchases(purchases)
    return bought, read_sponsors(sponsors) if sponsors else make_up_sponsors(bought)
