"""`upline scenario`."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import Progress

from cli.client import Client
from cli.options import Json
from cli.output import begin_bar, make_progress, out, print_json
from cli.scenario.compare.mismatch import Mismatch
from cli.scenario.load import ScenarioFile, read_scenario_file
from cli.scenario.play import Player, ScenarioResult
from cli.scenario.rest import watch_rest
from cli.scenario.stack import ScenarioStack, run_stack


def scenario(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Scenario files, YAML.")],
    check: Annotated[bool, typer.Option("--check", help="Only check the files; needs no services.")] = False,
    keep: Annotated[
        Path | None,
        typer.Option("--keep", metavar="DIR", help="Keeps the stack's data and logs in this empty directory."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Play scenarios through a real stack of their own, and compare what comes out with what they expect.

    A scenario names a program file, people, and steps with their times: sign-ups, clicks, orders, refunds, and what
    everybody must have and have been told by then. Time does not have to pass: the clock of this stack is moved.
    Nothing of another stack is touched, and nothing is kept unless --keep says so. The exit code is 1 if anything
    differs. docs/guides/test-a-program.md describes how to write one.

    Examples: upline scenario programs/uds.scenario.yaml; upline scenario programs/*.scenario.yaml --json
    """
    scenario_files = [read_scenario_file(file) for file in files]
    if check:
        for scenario_file in scenario_files:
            if not as_json:
                out.print(f"{scenario_file.file} is valid", markup=False)
        if as_json:
            print_json({"valid": True, "files": [scenario_file.file for scenario_file in scenario_files]})
        return
    began = time.monotonic()
    results = _play_all(scenario_files, keep, as_json=as_json)
    passed = all(each.passed for each in results)
    if as_json:
        print_json({"passed": passed, "files": [_plain(each) for each in results]})
    else:
        count = sum(each.passed for each in results)
        out.print(f"{count} of {len(results)} scenarios passed in {time.monotonic() - began:.1f} seconds")
    raise typer.Exit(0 if passed else 1)


def _play_all(scenario_files: list[ScenarioFile], keep: Path | None, *, as_json: bool) -> list[ScenarioResult]:
    with run_stack(scenario_files[0].scenario.start, keep) as stack, make_progress() as bars:
        return asyncio.run(_play_each(stack, scenario_files, bars, as_json=as_json))


async def _play_each(
    stack: ScenarioStack, scenario_files: list[ScenarioFile], bars: Progress, *, as_json: bool
) -> list[ScenarioResult]:
    """Plays scenarios one after the other, for they share the clock."""
    uses: Counter[str] = Counter()
    results = []
    async with (
        Client(stack.addresses) as client,
        watch_rest(stack.database_url, stack.nats_url, stack.clock) as rest,
    ):
        for scenario_file in scenario_files:
            program_id = scenario_file.program.program.program_id
            uses[program_id] += 1
            name = program_id if uses[program_id] == 1 else f"{program_id}-{uses[program_id]}"
            bar = begin_bar(bars, Path(scenario_file.file).name, len(scenario_file.scenario.steps))
            step_done: Callable[[], None] = partial(bars.advance, bar)
            result = await Player(client, rest, scenario_file, name, stack.database_url, step_done).play()
            results.append(result)
            if not as_json:
                print_scenario_result(result)
    return results


def print_scenario_result(result: ScenarioResult) -> None:
    """Prints a line for the scenario, and a diff for each mismatch."""
    verdict = "passed" if result.passed else "DIFFERS"
    computed = f", {result.rebuilt.rewards} rewards computed again" if result.rebuilt else ""
    out.print(f"{result.file}: {verdict}; {result.steps} steps in {result.seconds:.1f} seconds{computed}", markup=False)
    for position, mismatch in result.mismatches:
        out.print(f"{result.file}:{position.line}:{position.column}: {mismatch.path}", style="bold", markup=False)
        for sign, style, lines in (("-", "red", mismatch.expected), ("+", "green", mismatch.found)):
            for line in lines:
                what = "expected" if sign == "-" else "found   "
                out.print(f"  {sign} {what} {line}", style=style, markup=False)


def _plain(result: ScenarioResult) -> dict[str, Any]:
    return {
        "file": result.file,
        "program": result.program_id,
        "passed": result.passed,
        "steps": result.steps,
        "seconds": result.seconds,
        "rebuilt": result.rebuilt
        and {
            name: getattr(result.rebuilt, name)
            for name in ("conversions", "reversals", "rewards", "revisions", "tallies")
        },
        "differences": [{**asdict(position), **_sides(mismatch)} for position, mismatch in result.mismatches],
    }


def _sides(mismatch: Mismatch) -> dict[str, Any]:
    return {"path": mismatch.path, "expected": list(mismatch.expected), "found": list(mismatch.found)}
