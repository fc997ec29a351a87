"""Records histories of concurrent calls on wallets, bindings and budgets of a stack whose processes are killed.

    python -m tests.linearizability --seconds 60 --seed 1 --out FOLDER

The history is FOLDER/history-SEED.jsonl; `checker/` says whether it is linearizable. FOLDER/planted-SEED.jsonl is one
wallet of it, where one read tells a minor unit more than it did: the checker has to refuse it.
"""

import argparse
import asyncio
import random
import sys
import tempfile
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

from cli.bundle.program import load
from cli.client import Addresses, Client
from cli.programs import apply_bundle
from tests.e2e.stacks import Up, up
from tests.faults.killing import COMPONENTS, Killer
from tests.linearizability.recording import Operation, Recorder, write
from tests.linearizability.subjects import BINDERS, CLIENTS_A_SUBJECT, Binding, Budget, Wallet

PROGRAM = Path(__file__).with_name("program.yaml")
WALLETS_AT_ONCE = 4
BINDINGS_AT_ONCE = 2
BUDGETS_AT_ONCE = 2
MIN_PAUSE_SECONDS, MAX_PAUSE_SECONDS = 5.0, 9.0
"""Between a recovery and the next kill: the stack starts for good what dies seldom."""


async def record(client: Client, recorder: Recorder, seed: int, ending: asyncio.Event) -> None:
    """Plays one subject after another in several places at once, until `ending` is set; what was begun is ended."""
    rng = random.Random(seed)
    program_id = f"histories-{seed}"
    await open_program(client, recorder, program_id)
    common = (client, recorder, rng, program_id)

    async def wallets(place: int) -> None:
        async for number in _numbers(ending):
            wallet = Wallet(*common, f"wallet:{seed}-{place}-{number}", method=f"m{place}")
            await asyncio.gather(*(wallet.play(each) for each in range(CLIENTS_A_SUBJECT)))

    async def bindings(place: int) -> None:
        async for number in _numbers(ending):
            binding = Binding(*common, f"binding:{seed}-{place}-{number}")
            await binding.prepare()
            await asyncio.gather(*(binding.play(each) for each in range(BINDERS)))

    async def budgets(place: int) -> None:
        async for number in _numbers(ending):
            own = f"{program_id}-{place}-{number}"
            await open_program(client, recorder, own)
            budget = Budget(client, recorder, rng, own, f"budget:{seed}-{place}-{number}")
            await asyncio.gather(*(budget.play(each) for each in range(CLIENTS_A_SUBJECT)))

    async with asyncio.TaskGroup() as group:
        for play, places in ((wallets, WALLETS_AT_ONCE), (bindings, BINDINGS_AT_ONCE), (budgets, BUDGETS_AT_ONCE)):
            for place in range(places):
                group.create_task(play(place))


async def _numbers(ending: asyncio.Event) -> AsyncIterator[int]:
    number = 0
    while not ending.is_set():
        yield number
        number += 1


async def open_program(client: Client, recorder: Recorder, program_id: str) -> None:
    """Publishes the program of the histories under an id of its own, however often it has to be tried."""
    bundle = load(PROGRAM)
    bundle.program.program_id = program_id
    await recorder.answered(lambda: apply_bundle(client, bundle))


async def run(stack: Up, seed: int, seconds: float, kills: bool) -> Recorder:
    """Records for so long, while processes are killed in turn."""
    rng = random.Random(f"kills {seed}")
    recorder, ending = Recorder(random.Random(f"pauses {seed}")), asyncio.Event()
    killer = Killer(stack, stack.published)
    async with Client(Addresses(**stack.published["services"])) as client:
        recording = asyncio.create_task(record(client, recorder, seed, ending))
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while loop.time() < end and not recording.done():
            await asyncio.wait([recording], timeout=min(rng.uniform(MIN_PAUSE_SECONDS, MAX_PAUSE_SECONDS), seconds))
            if kills and loop.time() < end:
                component = rng.choice(COMPONENTS)
                back = await killer.kill(component, rng)
                print(f"killed {component}, back after {back:.1f} s", file=sys.stderr, flush=True)  # noqa: T201
        ending.set()
        await recording
    return recorder


def planted(operations: list[Operation]) -> list[Operation]:
    """The history of one wallet that was read, with the answer of its last read made wrong by one minor unit."""
    last = max((each for each in operations if "available" in each.result), key=lambda each: each.return_ns)
    wrong = replace(last, result=last.result | {"available": last.result["available"] + 1})
    return [wrong if each is last else each for each in operations if each.subject == last.subject]


def main() -> None:
    """Records one history. Ends with an error if a call failed that may not."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long to record")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True, help="folder of the history, which is made")
    parser.add_argument("--calm", action="store_true", help="kill nothing")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="upline-histories-") as folder,
        up(Path(folder) / "state") as stack,
    ):
        recorder = asyncio.run(run(stack, options.seed, options.seconds, not options.calm))
        stack.stop()
    path = options.out / f"history-{options.seed}.jsonl"
    write(path, recorder.operations)
    write(options.out / f"planted-{options.seed}.jsonl", planted(recorder.operations))
    subjects = len({each.subject for each in recorder.operations})
    print(  # noqa: T201 - the result of a command
        f"{path}: {len(recorder.operations)} operations of {subjects} subjects, {recorder.retries} repeated calls"
    )


if __name__ == "__main__":
    main()
