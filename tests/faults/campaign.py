"""Plays many seeded rounds of faults, goes on where it was interrupted, and tells by kind and target what was done.

    python -m tests.faults.campaign --seeds 200
    python -m tests.faults.campaign --seed 17

Results are lines of JSON in a folder of its own; a seed that was clean is not played again. A seed that was not keeps
its state and logs beside them.
"""

import argparse
import asyncio
import json
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.faults.rounds import play
from tests.faults.sites import SERVERS, Able, site

SEEDS_A_STACK = 25
"""A stack serves many rounds in turn; now and then a fresh one shows what starting does."""


def results(file: Path) -> dict[int, dict[str, Any]]:
    """The last result of each seed."""
    found = {}
    for line in file.read_text().splitlines() if file.exists() else []:
        try:
            result = json.loads(line)
        except ValueError:  # it was interrupted while it wrote
            continue
        found[result["seed"]] = result
    return found


async def run(folder: Path, seeds: Sequence[int], workers: int) -> bool:
    """Plays the seeds; says whether all were clean. Whoever interrupts it is not left with mounted disks."""
    playing = asyncio.current_task()
    assert playing is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, playing.cancel)
    folder.mkdir(parents=True, exist_ok=True)
    file, left, clean = folder / "results.jsonl", list(seeds), True
    while left:
        state = folder / f"stack-{time.time_ns() // 1_000_000}"
        state.mkdir(mode=0o755)
        failed = False
        async with site(state / "state", workers) as stack:
            for _ in range(min(SEEDS_A_STACK, len(left))):
                seed = left.pop(0)
                began = time.monotonic()
                outcome = await play(stack, seed)
                result = outcome.told() | {"seconds": round(time.monotonic() - began, 1), "code": _code()}
                failed = bool(outcome.wrong)
                if failed:
                    result["kept"] = str(state)
                with file.open("a") as lines:
                    lines.write(json.dumps(result) + "\n")
                say(f"seed {seed}: {_in_words(result)}")
                if failed:
                    for name in SERVERS if stack.able.disks else ():
                        _keep(stack.state, name)
                    break
        if failed:
            clean = False
            say(f"  kept in {state}; again by itself: make faults SEED={seed}")
        else:
            shutil.rmtree(state)
    return clean


def _keep(state: Path, server: str) -> None:
    """Notes what stands on a disk that goes with the stack."""
    listing = subprocess.run(["ls", "-lR", str(state / server)], capture_output=True, text=True, check=False)
    (state / f"{server}.files").write_text(listing.stdout)


def _code() -> str:
    """The commit of the code, for telling which seeds ran on which."""
    told = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return told.stdout.strip()


def _in_words(result: dict[str, Any]) -> str:
    done = []
    for each in result["injections"]:
        seconds = f", {each['seconds']} s" if each["seconds"] else ""
        done.append(f"{each['kind']} of {each['target']} ({each['how']}{seconds})")
    how = "clean" if not result["wrong"] else "\n  ".join(["WRONG", *result["wrong"]])
    return f"{'; '.join(done)}: {how} after {result['seconds']} s"


def table(found: Sequence[dict[str, Any]]) -> str:
    """How often each kind was done to each target, and how often it was clean, as a table in Markdown."""
    done: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for result in found:
        for each in result["injections"]:
            done[each["kind"], _without_number(each["target"])]["clean" if not result["wrong"] else "wrong"] += 1
    rows = [
        f"| {kind} | {target} | {counts.total()} | {counts['clean']} |"
        for (kind, target), counts in sorted(done.items())
    ]
    clean = sum(not each["wrong"] for each in found)
    return "\n".join(
        [
            "| fault | of what | injected | clean |",
            "|---|---|---|---|",
            *rows,
            "",
            f"{clean} of {len(found)} seeds clean",
        ]
    )


def _without_number(target: str) -> str:
    near, arrow, far = target.partition(">")
    return near.partition("-")[0] + arrow + far


def say(line: str) -> None:
    """Tells of the progress."""
    print(line, flush=True)  # noqa: T201 - the output of a command


def main() -> None:
    """Ends with code 1 if anything is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--seeds", type=int, default=200, help="plays those of seeds 1 to this one that were not clean yet"
    )
    parser.add_argument("--first", type=int, default=1, help="the first of them, if not 1")
    parser.add_argument("--seed", type=int, help="plays this one, whether it was clean or not")
    parser.add_argument("--workers", type=int, default=2, help="processes each of attribution and rewards")
    parser.add_argument("--folder", type=Path, default=Path(".upline/faults"), help="where results and states are kept")
    parser.add_argument("--table", action="store_true", help="only tells what was done so far")
    options = parser.parse_args()
    file = options.folder / "results.jsonl"
    clean = True
    if not options.table:
        able = Able.here()
        for lacking, how in (
            (able.disks, "full disks (needs root)"),
            (able.database_clock, "the clocks of database and broker (needs libfaketime)"),
        ):
            if not lacking:
                say(f"left out here: {how}")
        before = {seed for seed, each in results(file).items() if not each["wrong"]}
        seeds = (
            [options.seed]
            if options.seed is not None
            else sorted(set(range(options.first, options.seeds + 1)) - before)
        )
        try:
            clean = asyncio.run(run(options.folder, seeds, options.workers))
        except asyncio.CancelledError:
            say("interrupted; the next run goes on here")
            clean = False
    say(table(list(results(file).values())))
    sys.exit(0 if clean else 1)


if __name__ == "__main__":
    main()
