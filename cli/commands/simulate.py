"""`upline simulate`."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.bundle.program import load
from cli.connection import StackChoice, open_database
from cli.errors import USAGE, CommandFailed
from cli.options import DEFAULT_STATE, Json, State, read_time
from cli.output import begin_when_counted, format_amount, make_progress, make_table, out, print_json
from cli.plan_check import check_plan

if TYPE_CHECKING:
    from services.rewards.queries.simulate import Simulation


_NONE = {"paid_rewards": 0, "simulated_rewards": 0, "paid_minor": 0, "simulated_minor": 0}
"""The sums of a row at first, in the order in which JSON tells them."""


def simulate(
    plan: Annotated[Path, typer.Option("--plan", metavar="FILE", help="A program file; its plan is the draft.")],
    program: Annotated[str, typer.Option("--program", help="Whose history; left out: the program of the file.")] = "",
    start: Annotated[
        str, typer.Option("--from", metavar="TIME", help="Only conversions that occurred from then on, ISO 8601.")
    ] = "",
    end: Annotated[str, typer.Option("--to", metavar="TIME", help="Only conversions that occurred before.")] = "",
    top: Annotated[int, typer.Option(min=0, help="How many people to show, those that differ most.")] = 10,
    jobs: Annotated[
        int, typer.Option(min=0, help="Processes; 0 for one a processor, 1 for none besides the command.")
    ] = 0,
    state: State = DEFAULT_STATE,
    as_json: Json = False,
) -> None:
    """Run a draft of a plan over what happened, side by side with what was paid: per person, per rule, in total; in
    whole units of each asset (12.50).

    The draft pays as if it had been in force alone, with every counter, cap and budget at nothing to begin with, and
    refunds are taken back as they were. Nothing is written. Needs the database as its owner: that of the stack on
    --state, or UPLINE_DATABASE_URL.

    Examples: upline simulate --plan draft.yaml; upline simulate --plan draft.yaml --from 2026-01-01 --to 2026-04-01
    --json
    """
    from services.rewards.queries.simulate import PlanDraft  # here, as it brings everything that decides
    from services.rewards.queries.simulate import simulate as run

    bundle = load(plan)
    if bundle.plan is None:
        raise CommandFailed(f"{plan} has no plan", USAGE)
    check_plan(bundle)  # tells mistakes with their lines, before anything is started
    draft = PlanDraft(
        program or bundle.program.program_id,
        bundle.plan.SerializeToString(),
        *(read_time(text, option) if text else None for text, option in ((start, "--from"), (end, "--to"))),
    )
    began = time.monotonic()
    with open_database(StackChoice(state)) as url, make_progress() as bars:
        result = asyncio.run(run(url, draft, begin_when_counted(bars, "simulating"), jobs))
    told = side_by_side(result) | {"program": draft.program_id, "seconds": round(time.monotonic() - began, 3)}
    if as_json:
        print_json(told)
    else:
        print_simulation(told, top)


def side_by_side(result: "Simulation") -> dict[str, Any]:
    """The amounts paid and simulated, per person, per rule and in total, in minor units."""
    return {
        "conversions": result.conversions,
        "total": _rows(result, lambda _rule, _participant: {}),
        "rules": _by_difference(_rows(result, lambda rule, _participant: {"rule": rule})),
        "people": _by_difference(_rows(result, lambda _rule, participant: {"participant": participant})),
    }


def _by_difference(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: -abs(row["difference_minor"]))


def _rows(result: "Simulation", title_of: Callable[[str, str], dict[str, str]]) -> list[dict[str, Any]]:
    """A row for each title and asset; `title_of` makes the title from rule and participant."""
    rows: dict[tuple[str, ...], dict[str, Any]] = {}
    for side, net_rewards in (("paid", result.paid), ("simulated", result.simulated)):
        for (rule, participant, asset), (count, minor) in net_rewards.items():
            title = title_of(rule, participant)
            row = rows.setdefault(
                (*title.values(), asset), title | {"asset": asset, "digits": result.digits[asset]} | _NONE
            )
            row[f"{side}_rewards"] += count
            row[f"{side}_minor"] += minor
    ordered = [rows[key] for key in sorted(rows)]
    return [row | {"difference_minor": row["simulated_minor"] - row["paid_minor"]} for row in ordered]


def print_simulation(told: dict[str, Any], top: int) -> None:
    """Prints the three views; the last line says how much was simulated."""
    _print("in total", told["total"], None, len(told["total"]))
    _print("by rule", told["rules"], "rule", len(told["rules"]))
    _print(f"people, of {len(told['people'])} those that differ most", told["people"], "participant", top)
    out.print(f"{told['conversions']} conversions simulated; {told['seconds']:.1f} seconds")


def _print(title: str, rows: list[dict[str, Any]], name: str | None, count: int) -> None:
    if not rows or not count:
        return
    numbers = ("paid", "simulated", "difference")
    shown = make_table(title, *([name] if name else []), *numbers, right=numbers)
    for row in rows[:count]:
        cells = [
            format_amount(row[f"{column}_minor"], row["digits"], row["asset"])
            for column in ("paid", "simulated", "difference")
        ]
        shown.add_row(*([row[name]] if name else []), *cells)
    out.print(shown)
