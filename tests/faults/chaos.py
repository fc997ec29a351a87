"""Kills every process of a stack in turn, at random moments under load, and proves that nothing is lost or paid twice.

    python -m tests.faults.chaos --rounds 20 --seed 1

The stack is `upline up`, as a person runs it: it starts again whatever was killed. The last line is a JSON summary.
"""

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from cli.client import Addresses, Client
from cli.stack.services import STEADY_SECONDS
from tests.e2e.stacks import Up, up
from tests.faults.checking import check
from tests.faults.killing import COMPONENTS, Killer, nats_url, postgres_url
from tests.faults.load import Load
from tests.faults.program import enrol, make_links, open_program, settled
from tests.flow import Flow

FINISH_SECONDS = 60.0


@dataclass(frozen=True)
class Round:
    """One kill."""

    number: int
    component: str
    back_after_seconds: float
    clicks_acknowledged: int
    """Since the round before."""
    conversions_acknowledged: int


@dataclass
class Summary:
    """The result of a run."""

    seed: int
    rounds: list[Round] = field(default_factory=list)
    calls: dict[str, int] = field(default_factory=dict)
    drained_after_seconds: float = 0.0
    seconds: float = 0.0
    figures: dict[str, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)


async def run(stack: Up, seed: int, rounds: int, pause_seconds: tuple[float, float]) -> Summary:
    """Loads, kills, waits until all is settled, compares. `pause_seconds`: between a recovery and the next kill."""
    rng = random.Random(seed)
    began = time.monotonic()
    summary = Summary(seed)
    killer = Killer(stack, stack.published)
    async with Client(Addresses(**stack.published["services"])) as client:
        world = await open_program(client, Flow(postgres_url(stack), nats_url(stack)), f"chaos-{seed}")
        facts = await enrol(world, rng)
        calls = Load(client.addresses.attribution, world.program_id, facts, await make_links(world, rng), seed)
        calls.start()
        order = rng.sample(COMPONENTS, len(COMPONENTS))
        clicks = conversions = 0
        # The stack gives up on what dies again and again before it was well; these are deaths of healthy processes.
        began_again: dict[str, float] = {}
        for number in range(rounds):
            await asyncio.sleep(rng.uniform(*pause_seconds))
            component = order[number % len(order)]
            await asyncio.sleep(began_again.get(component, 0.0) + STEADY_SECONDS + 1.0 - time.monotonic())
            back_after = await killer.kill(component, rng)
            began_again[component] = time.monotonic()
            calls.check_alive()
            done = Round(
                number + 1, component, round(back_after, 2),
                len(facts.clicks) - clicks, len(facts.orders) - conversions,
            )  # fmt: skip
            clicks, conversions = len(facts.clicks), len(facts.orders)
            summary.rounds.append(done)
            print(json.dumps(asdict(done)), file=sys.stderr, flush=True)  # noqa: T201 - progress of a command
        await asyncio.sleep(rng.uniform(*pause_seconds))
        await calls.finish(FINISH_SECONDS)
        finished = time.monotonic()
        await settled(world, facts)
        summary.drained_after_seconds = round(time.monotonic() - finished, 2)
        verdict = await check(world, facts)
    summary.calls = dict(sorted(facts.calls.items()))
    summary.figures, summary.wrong = verdict.figures, verdict.wrong
    summary.seconds = round(time.monotonic() - began, 1)
    return summary


def main() -> None:
    """The long version, as a command. Ends with code 1 if anything is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1, help="processes each of attribution and rewards")
    parser.add_argument("--min-pause", type=float, default=3.0, help="seconds of load before a kill, at least")
    parser.add_argument("--max-pause", type=float, default=7.0, help="and at most")
    parser.add_argument("--state", type=Path, help="state directory, kept; by default a temporary one")
    options = parser.parse_args()
    pause_seconds = (options.min_pause, options.max_pause)
    with (
        tempfile.TemporaryDirectory(prefix="upline-chaos-") as folder,
        up(options.state or Path(folder) / "state", "--workers", str(options.workers)) as stack,
    ):
        summary = asyncio.run(run(stack, options.seed, options.rounds, pause_seconds))
        stack.stop()
    print(json.dumps(asdict(summary)))  # noqa: T201 - the result of a command
    sys.exit(1 if summary.wrong else 0)


if __name__ == "__main__":
    main()
