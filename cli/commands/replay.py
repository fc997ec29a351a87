"""`upline replay`."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from upline.attribution.v1 import program_pb2

from cli.applying import apply_bundle
from cli.bundle.program import Bundle, load
from cli.client import Client
from cli.commands.apply import summary
from cli.connection import Where, call
from cli.options import DEFAULT_STATE, Json, State, Targets
from cli.output import amount, err, out, print_json, progress
from cli.replay.data import (
    Enrolment,
    Purchase,
    bound_by_first_purchase,
    made_up_sponsors,
    read_purchases,
    read_sponsors,
)
from cli.replay.rows import refuse_mistakes
from cli.replay.run import Replay

PROGRAMS = Path(__file__).resolve().parents[2] / "programs"
PROGRAM = PROGRAMS / "three-levels.yaml"
PURCHASES = PROGRAMS / "data" / "purchases.csv.gz"


def replay(
    program: Annotated[Path, typer.Option(metavar="FILE", help="The program file.")] = PROGRAM,
    purchases: Annotated[
        Path,
        typer.Option(
            metavar="CSV",
            help="conversion_id, buyer, occurred_at (with its zone), amount_minor, currency, in the order in which it"
            " happened; may end in .gz.",
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
    result = call(
        Where(state, tuple(target)), lambda client: play(client, bundle, enrolments, bought, parts=reverse_in_parts)
    )
    if as_json:
        print_json(result)
    else:
        print_result(result)
    failed = not result["ledger_balanced"] or result.get("reversal", {}).get("wallets_not_zero", 0) > 0
    raise typer.Exit(1 if failed else 0)


def _input(purchases: Path, sponsors: Path | None) -> tuple[list[Purchase], list[Enrolment]]:
    bought = read_purchases(purchases)
    return bought, read_sponsors(sponsors) if sponsors else made_up_sponsors(bought)


async def play(
    client: Client, bundle: Bundle, enrolments: list[Enrolment], purchases: list[Purchase], parts: int = 0
) -> dict[str, Any]:
    """Applies the program and replays the purchases, and takes them back if `parts` says so."""
    policy = bundle.program.policy
    if policy.credit_before_binding == program_pb2.CREDIT_BEFORE_BINDING_NOT_CREDITED:
        # Only then does it matter; others are enrolled as ever, so that a replay which an earlier version began can be
        # given again.
        enrolments = bound_by_first_purchase(enrolments, purchases)
    applied = await apply_bundle(client, bundle)
    for line in summary(applied):
        err.print(line, style="dim", markup=False)
    with progress() as bars:
        run = Replay(client, bundle.program.program_id, bars)
        result = await run.play(enrolments, purchases)
        if parts:
            reversal = await run.reverse(enrolments, purchases, parts)
            result |= {
                "reversal": reversal,
                "ledger_balanced": result["ledger_balanced"] and reversal["ledger_balanced"],
            }
    sys.stderr.flush()
    return result | {"program": bundle.program.program_id, "currency": bundle.program.currency_code}


def print_result(result: dict[str, Any]) -> None:
    """The totals for people; the last line holds the verdict."""
    digits = currency_digits(result["currency"])
    gross = amount(result["gross_minor"], digits, result["currency"])
    out.print(f"{result['orders']} orders of {gross}; {result['recorded_now']} of them recorded by this run")
    for each in result.get("assets", [result]):
        unit = f"{each['asset']}" if each["asset"] == result["currency"] else f"{each['asset']} (minor units)"
        shown = digits if each["asset"] == result["currency"] else 0
        out.print(
            f"{each['rewards']} rewards of {amount(each['rewarded_minor'], shown, unit)} to {each['earners']} participants"
        )
        for one in each["top"]:
            out.print(f"  {one['participant']} holds {amount(one['amount_minor'], shown, unit)}")
    if reversal := result.get("reversal"):
        out.print(
            f"{reversal['reversals']} reversals; {reversal['wallets_not_zero']} of {reversal['wallets_checked']} wallets are not zero"
        )
    verdict = "balances" if result["ledger_balanced"] else "DOES NOT BALANCE"
    out.print(f"the ledger {verdict}; {result['seconds']:.1f} seconds")


def currency_digits(code: str) -> int:
    """Decimal places of a currency's minor unit, ISO 4217."""
    import iso4217

    return int(iso4217.Currency(code).exponent or 0)
