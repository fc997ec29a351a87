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
from cli.output import begin_bar, out, print_json, progress
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

    A scenario names a program file, people, and steps with their times: sign-ups, clicks, orders, refunds, and what everybody must have and
    have been told by then. Time does not have to pass: the clock of this stack is moved. Nothing of another stack is
    touched, and nothing is kept unless --keep says so. The exit code is 1 if anything differs. docs/guides/test-a-program.md describes how to write one.

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
    played = _play_all(scenario_files, keep, as_json=as_json)
    passed = all(each.passed for each in played)
    if as_json:
        print_json({"passed": passed, "files": [_plain(each) for each in played]})
    else:
        count = sum(each.passed for each in played)
        out.print(f"{count} of {len(played)} scenarios passed in {time.monotonic() - began:.1f} seconds")
    raise typer.Exit(0 if passed else 1)


def _play_all(scenario_files: list[ScenarioFile], keep: Path | None, *, as_json: bool) -> list[ScenarioResult]:
    with run_stack(scenario_files[0].scenario.start, keep) as stack, progress() as bars:
        return asyncio.run(_played(stack, scenario_files, bars, as_json=as_json))


async def _played(
    stack: ScenarioStack, scenario_files: list[ScenarioFile], bars: Progress, *, as_json: bool
) -> list[ScenarioResult]:
    """One after the other, for they share the clock."""
    taken: Counter[str] = Counter()
    results = []
    async with (
        Client(stack.addresses) as client,
        watch_rest(stack.database_url, stack.nats_url, stack.clock) as rest,
    ):
        for scenario_file in scenario_files:
            program_id = scenario_file.program.program.program_id
            taken[program_id] += 1
            name = program_id if taken[program_id] == 1 else f"{program_id}-{taken[program_id]}"
            bar = begin_bar(bars, Path(scenario_file.file).name, len(scenario_file.scenario.steps))
            step_done: Callable[[], None] = partial(bars.advance, bar)
            played = await Player(client, rest, scenario_file, name, stack.database_url, step_done).play()
            results.append(played)
            if not as_json:
                print_played(played)
    return results


def print_played(played: ScenarioResult) -> None:
    """A line, and a diff for each difference."""
    verdict = "passed" if played.passed else "DIFFERS"
    computed = f", {played.rebuilt.rewards} rewards computed again" if played.rebuilt else ""
    out.print(f"{played.file}: {verdict}; {played.steps} steps in {played.seconds:.1f} seconds{computed}", markup=False)
    for place, mismatch in played.mismatches:
        out.print(f"{played.file}:{place.line}:{place.column}: {mismatch.path}", style="bold", markup=False)
        for sign, style, lines in (("-", "red", mismatch.expected), ("+", "green", mismatch.found)):
            for line in lines:
                what = "expected" if sign == "-" else "found   "
                out.print(f"  {sign} {what} {line}", style=style, markup=False)


def _plain(played: ScenarioResult) -> dict[str, Any]:
    return {
        "file": played.file,
        "program": played.program_id,
        "passed": played.passed,
        "steps": played.steps,
        "seconds": played.seconds,
        "rebuilt": played.rebuilt
        and {
            name: getattr(played.rebuilt, name)
            for name in ("conversions", "reversals", "rewards", "revisions", "tallies")
        },
        "differences": [{**asdict(place), **_sides(mismatch)} for place, mismatch in played.mismatches],
    }


def _sides(mismatch: Mismatch) -> dict[str, Any]:
    return {"path": mismatch.path, "expected": list(mismatch.expected), "found": list(mismatch.found)}
