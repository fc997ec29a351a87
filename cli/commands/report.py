"""`upline report`."""

import csv
import io
from pathlib import Path
from typing import Annotated

import typer
from upline.rewards.v1 import payout_pb2

from chassis.times import to_timestamp
from cli.client import Client
from cli.connection import StackChoice, run_with_client
from cli.options import DEFAULT_STATE, Json, ProgramId, State, Targets, read_time
from cli.output import err, make_table, out, print_json

REPORT_SECONDS = 300.0
"""The deadline of a report, which reads every transfer of the program."""


def report(
    program: ProgramId,
    start: Annotated[
        str, typer.Option("--from", metavar="TIME", help="From when (inclusive), ISO 8601; UTC if no zone is named.")
    ],
    end: Annotated[str, typer.Option("--to", metavar="TIME", help="Until when (exclusive).")],
    file: Annotated[Path | None, typer.Option("--csv", metavar="FILE", help="Write it to a CSV file instead.")] = None,
    state: State = DEFAULT_STATE,
    target: Targets = [],  # noqa: B006
    as_json: Json = False,
) -> None:
    """Show what a period added up to, by asset, account and kind of movement. opening + in - out = closing.

    Amounts are in whole units of their asset (12.50), in the CSV file too.

    Examples: upline report uds --from 2026-05-01 --to 2026-06-01; upline report uds --from 2026-05-01 --to 2026-06-01
    --csv may.csv
    """
    request = payout_pb2.GetSettlementReportRequest(
        program_id=program,
        start_time=to_timestamp(read_time(start, "--from")),
        end_time=to_timestamp(read_time(end, "--to")),
    )

    async def work(client: Client) -> payout_pb2.GetSettlementReportResponse:
        answer: payout_pb2.GetSettlementReportResponse = await client.payouts.GetSettlementReport(
            request, timeout=REPORT_SECONDS
        )
        return answer

    answer = run_with_client(StackChoice(state, tuple(target)), work)
    if file is not None:
        file.write_text(answer.csv, encoding="utf-8")
        err.print(f"wrote {file}", markup=False)
    if as_json:
        print_json(answer)
    elif file is None:
        print_report(answer.csv)


def print_report(text: str) -> None:
    """Prints two tables for each asset: its accounts, and its movements by kind."""
    rows = list(csv.DictReader(io.StringIO(text)))
    for asset in dict.fromkeys(each["asset"] for each in rows):
        accounts = make_table(
            asset, "account", "opening", "in", "out", "closing", right=("opening", "in", "out", "closing")
        )
        kinds = make_table("", "kind", "transfers", "amount", right=("transfers", "amount"))
        for each in rows:
            if (each["asset"], each["part"]) == (asset, "account"):
                accounts.add_row(*(each[name] for name in ("name", "opening", "in", "out", "closing")))
            elif each["asset"] == asset:
                kinds.add_row(each["name"], each["transfers"], each["amount"])
        out.print(accounts)
        out.print(kinds)
    if not rows:
        out.print("nothing has moved")
