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
from cli.scenario.compare import Difference
from cli.scenario.load import Script, read_script
from cli.scenario.play import Played, Player
from cli.scenario.settling import watched
from cli.scenario.stack import Stage, staged


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
    scripts = [read_script(file) for file in files]
    if check:
        for script in scripts:
            if not as_json:
                out.print(f"{script.file} is valid", markup=False)
        if as_json:
            print_json({"valid": True, "files": [script.file for script in scripts]})
        return
    began = time.monotonic()
    played = _play_all(scripts, keep, as_json=as_json)
    passed = all(each.passed for each in played)
    if as_json:
        print_json({"passed": passed, "files": [_plain(each) for each in played]})
    else:
        count = sum(each.passed for each in played)
        out.print(f"{count} of {len(played)} scenarios passed in {time.monotonic() - began:.1f} seconds")
    raise typer.Exit(0 if passed else 1)


def _play_all(scripts: list[Script], keep: Path | None, *, as_json: bool) -> list[Played]:
    with staged(scripts[0].scenario.start, keep) as stage, progress() as bars:
        return asyncio.run(_played(stage, scripts, bars, as_json=as_json))


async def _played(stage: Stage, scripts: list[Script], bars: Progress, *, as_json: bool) -> list[Played]:
    """One after the other, for they share the clock."""
    taken: Counter[str] = Counter()
    results = []
    async with (
        Client(stage.addresses) as client,
        watched(stage.database_url, stage.nats_url, stage.clock) as rest,
    ):
        for script in scripts:
            program_id = script.program.program.program_id
            taken[program_id] += 1
            name = program_id if taken[program_id] == 1 else f"{program_id}-{taken[program_id]}"
            bar = begin_bar(bars, Path(script.file).name, len(script.scenario.steps))
            tell: Callable[[], None] = partial(bars.advance, bar)
            played = await Player(client, rest, script, name, stage.database_url, tell).play()
            results.append(played)
            if not as_json:
                print_played(played)
    return results


def print_played(played: Played) -> None:
    """A line, and a diff for each difference."""
    verdict = "passed" if played.passed else "DIFFERS"
    computed = f", {played.rebuilt.rewards} rewards computed again" if played.rebuilt else ""
    out.print(f"{played.file}: {verdict}; {played.steps} steps in {played.seconds:.1f} seconds{computed}", markup=False)
    for place, difference in played.differences:
        out.print(f"{played.file}:{place.line}:{place.column}: {difference.path}", style="bold", markup=False)
        for sign, style, lines in (("-", "red", difference.expected), ("+", "green", difference.found)):
            for line in lines:
                what = "expected" if sign == "-" else "found   "
                out.print(f"  {sign} {what} {line}", style=style, markup=False)


def _plain(played: Played) -> dict[str, Any]:
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
        "differences": [{**asdict(place), **_sides(difference)} for place, difference in played.differences],
    }


def _sides(difference: Difference) -> dict[str, Any]:
    return {"path": difference.path, "expected": list(difference.expected), "found": list(difference.found)}
