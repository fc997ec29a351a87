"""`upline simulate`."""

import asyncio
import time
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
    from services.rewards.domain.settle.replay import NetRewards
    from services.rewards.queries.simulate import Simulation


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
    from services.rewards.queries.simulate import PlanDraft  # and everything that decides with it
    from services.rewards.queries.simulate import simulate as run

    bundle = load(plan)
    if bundle.plan is None:
        raise CommandFailed(f"{plan} has no plan", USAGE)
    check_plan(bundle)  # its mistakes are told with their lines, before anything is started
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
        "total": _rows(result, ()),
        "rules": _rows(result, (("rule", 0),)),
        "people": _rows(result, (("participant", 1),)),
    }


def _rows(result: "Simulation", by: tuple[tuple[str, int], ...]) -> list[dict[str, Any]]:
    paid, simulated = _summed(result.paid, by), _summed(result.simulated, by)
    rows = []
    for key in sorted(paid.keys() | simulated.keys()):
        was, would = paid.get(key, (0, 0)), simulated.get(key, (0, 0))
        rows.append(
            {name: key[index] for index, (name, _) in enumerate(by)}
            | {"asset": key[-1], "digits": result.digits[key[-1]]}
            | {"paid_rewards": was[0], "simulated_rewards": would[0]}
            | {"paid_minor": was[1], "simulated_minor": would[1], "difference_minor": would[1] - was[1]}
        )
    return sorted(rows, key=lambda row: -abs(row["difference_minor"])) if by else rows


def _summed(side: "NetRewards", by: tuple[tuple[str, int], ...]) -> dict[tuple[str, ...], tuple[int, int]]:
    sums: dict[tuple[str, ...], tuple[int, int]] = {}
    for names, (count, minor) in side.items():
        key = (*(names[index] for _, index in by), names[2])
        before = sums.get(key, (0, 0))
        sums[key] = (before[0] + count, before[1] + minor)
    return sums


def print_simulation(told: dict[str, Any], top: int) -> None:
    """The three views for people; the last line says how much was simulated."""
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
