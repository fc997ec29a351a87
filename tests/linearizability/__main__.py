"""Records histories of concurrent calls on wallets, bindings and budgets, in rounds of faults (tests/faults/rounds.py).

    python -m tests.linearizability --rounds 20 --seed 1 --out FOLDER

The history of a round is FOLDER/history-SEED.jsonl; `checker/` says whether it is linearizable. One wallet of it, where
one read tells a minor unit more than it did, is FOLDER/planted-SEED.jsonl: the checker has to refuse it.
"""

import argparse
import asyncio
import random
import sys
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from cli.bundle.program import load
from cli.client import Client
from cli.programs import apply_bundle
from tests.faults.checking import Verdict
from tests.faults.rounds import Pace, Scene, Trade, play
from tests.faults.sites import Able, site
from tests.linearizability.recording import Operation, Recorder, write
from tests.linearizability.subjects import BINDERS, CLIENTS_A_SUBJECT, Binding, Budget, Wallet

PROGRAM = Path(__file__).with_name("program.yaml")
WALLETS_AT_ONCE = 3
BUDGETS_A_ROUND = 6
"""Each is a program of its own, made before anything is spoilt."""
BINDING_PAUSE_SECONDS = 0.2
"""A binding is over after a few calls: without a pause most of a history would be bindings."""
WARM_SECONDS = 0.5


@dataclass
class Histories:
    """The workload of a round: clients of wallets, bindings and budgets, who record what they are told."""

    out: Path
    recorder: Recorder = field(init=False)
    _programs: list[str] = field(default_factory=list)

    async def prepare(self, scene: Scene) -> None:
        """Publishes the programs."""
        self.recorder = Recorder(random.Random(f"pauses {scene.seed}"))
        run = f"{scene.seed}-{time.time_ns() // 1_000_000}"
        self._programs = [f"histories-{run}", *(f"budget-{run}-{number}" for number in range(BUDGETS_A_ROUND))]
        for each in self._programs:
            bundle = load(PROGRAM)
            bundle.program.program_id = each
            await apply_bundle(scene.world.client, bundle)

    async def run(self, scene: Scene) -> None:
        """Plays one subject after another in several places at once, until the faults are over; what was begun is
        ended."""
        async with Client(scene.site.addresses) as client, asyncio.TaskGroup() as group:
            rng = random.Random(scene.seed)
            for place in range(WALLETS_AT_ONCE):
                group.create_task(self._wallets(scene, client, rng, place))
            group.create_task(self._bindings(scene, client, rng))
            group.create_task(self._budgets(scene, client, rng))

    async def check(self, scene: Scene, verdict: Verdict) -> None:
        """Writes the history down; whether it is linearizable is another program's to say."""
        operations = self.recorder.operations
        write(self.out / f"history-{scene.seed}.jsonl", operations)
        write(self.out / f"planted-{scene.seed}.jsonl", planted(operations))
        verdict.figures |= {"operations": len(operations), "repeated_calls": self.recorder.retries}

    async def _wallets(self, scene: Scene, client: Client, rng: random.Random, place: int) -> None:
        number = 0
        while not scene.over.is_set():
            name, method = f"wallet:{place}-{number}", f"m{place}"
            wallet = Wallet(client, self.recorder, rng, self._programs[0], name, method=method)
            await asyncio.gather(*(wallet.play(each) for each in range(CLIENTS_A_SUBJECT)))
            number += 1

    async def _bindings(self, scene: Scene, client: Client, rng: random.Random) -> None:
        number = 0
        while not scene.over.is_set():
            binding = Binding(client, self.recorder, rng, self._programs[0], f"binding:{number}")
            await binding.prepare()
            await asyncio.gather(*(binding.play(each) for each in range(BINDERS)))
            await asyncio.sleep(BINDING_PAUSE_SECONDS)
            number += 1

    async def _budgets(self, scene: Scene, client: Client, rng: random.Random) -> None:
        for number, program_id in enumerate(self._programs[1:]):
            if scene.over.is_set():
                break
            budget = Budget(client, self.recorder, rng, program_id, f"budget:{number}")
            await asyncio.gather(*(budget.play(each) for each in range(CLIENTS_A_SUBJECT)))


def planted(operations: list[Operation]) -> list[Operation]:
    """The history of one wallet that was read, with the answer of its last read made wrong by one minor unit."""
    last = max((each for each in operations if "available" in each.result), key=lambda each: each.return_ns)
    wrong = replace(last, result=last.result | {"available": last.result["available"] + 1})
    return [wrong if each is last else each for each in operations if each.subject == last.subject]


async def record(seeds: range, out: Path, state: Path) -> bool:
    """Plays a round for each seed on one stack; says whether every round was clean."""
    clean = True
    async with site(state, workers=2) as stack:
        for seed in seeds:
            outcome = await play(stack, seed, lambda: [Trade(), Histories(out)], Pace(warm_seconds=WARM_SECONDS))
            done = "; ".join(f"{each.kind} of {each.target} ({each.how})" for each in outcome.injections)
            figures = {name: outcome.figures.get(name) for name in ("operations", "repeated_calls")}
            _say(f"seed {seed}: {done}: {figures or ''} {'clean' if not outcome.wrong else outcome.wrong}")
            clean = clean and not outcome.wrong
    return clean


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - the output of a command


def main() -> None:
    """Ends with code 1 if a call failed that may not, or the round left something wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20, help="how many, one for each seed")
    parser.add_argument("--seed", type=int, default=1, help="the first one")
    parser.add_argument("--out", type=Path, required=True, help="folder of the histories, which is made")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    able = Able.here()
    if not (able.disks and able.database_clock):
        _say("left out here: full disks (needs root) or the clock of the database (needs libfaketime)")
    with tempfile.TemporaryDirectory(prefix="upline-histories-") as folder:
        Path(folder).chmod(0o755)
        seeds = range(options.seed, options.seed + options.rounds)
        clean = asyncio.run(record(seeds, options.out, Path(folder) / "state"))
    sys.exit(0 if clean else 1)


if __name__ == "__main__":
    main()
