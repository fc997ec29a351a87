"""`upline wallet`."""

from typing import Annotated

import typer

from chassis.times import to_timestamp
from cli.bundle.encode import plain_values
from cli.connection import StackChoice, run_with_client
from cli.options import DEFAULT_STATE, Json, ParticipantId, ProgramId, State, Targets, read_time
from cli.output import print_json
from cli.views.wallet import print_balances, print_transfers, read_wallet


def wallet(
    program: ProgramId,
    participant: ParticipantId,
    transfers: Annotated[int, typer.Option(min=0, max=1000, help="Also the latest so many transfers.")] = 0,
    at: Annotated[str, typer.Option("--at", metavar="TIME", help="The balances as they were then, ISO 8601.")] = "",
    state: State = DEFAULT_STATE,
    target: Targets = [],  # noqa: B006
    as_json: Json = False,
) -> None:
    """Show what a participant has: on hold, available, set aside for orders and payouts, and what they owe; in whole
    units of each asset (12.50).

    Examples: upline wallet uds olga; upline wallet uds olga --transfers 20; upline wallet uds olga --at 2026-05-01
    --json
    """
    moment_of = to_timestamp(read_time(at, "--at")) if at else None
    balances, moved = run_with_client(
        StackChoice(state, tuple(target)),
        lambda client: read_wallet(client, program, participant, transfers, moment_of),
    )
    if as_json:
        print_json(
            plain_values(balances, defaults=True) | {"transfers": [plain_values(each, defaults=True) for each in moved]}
        )
        return
    print_balances({participant: balances})
    if moved:
        print_transfers(balances, moved)
