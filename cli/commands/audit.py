"""`upline audit`."""

from typing import Annotated

import typer
from upline.rewards.v1 import wallet_pb2

from cli.client import Client
from cli.connection import StackChoice, run_with_client
from cli.options import DEFAULT_STATE, Json, State, Targets
from cli.output import make_progress, print_json
from cli.views.audit import print_audit, read_audit, read_full_audit


def audit(
    program: Annotated[str, typer.Argument(metavar="[PROGRAM]", help="Only this program's ledger.")] = "",
    full: Annotated[bool, typer.Option("--full", help="Read everything, however much there is.")] = False,
    state: State = DEFAULT_STATE,
    target: Targets = [],  # noqa: B006
    as_json: Json = False,
) -> None:
    """Compare the balances with the transfers. The exit code is 0 only if all of them agree and nothing waits for a
    person.

    What was written since the last clean audit is read, and a sample of the wallets of before; with --full, or where
    something is wrong, every balance and every reward is recomputed. Amounts in findings are in minor units (cents), as
    they are stored.

    Examples: upline audit; upline audit --full; upline audit uds --json
    """

    async def read(client: Client) -> wallet_pb2.AuditLedgerResponse:
        if not full:
            return await read_audit(client, program, full=False)
        with make_progress() as bars:
            return await read_full_audit(client, program, bars)

    found = run_with_client(StackChoice(state, tuple(target)), read)
    if as_json:
        print_json(found)
    else:
        print_audit(found)
    raise typer.Exit(0 if found.balanced else 1)
