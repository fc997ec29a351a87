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

from google.protobuf.duration_pb2 import Duration
from upline.attribution.v1 import link_pb2, participant_pb2
from upline.rewards.v1 import plan_pb2
from upline.type.v1 import asset_pb2

from cli.bundle.program import load
from cli.client import CALL_SECONDS, Addresses, Client
from cli.programs import apply_bundle
from cli.stack.services import STEADY_SECONDS
from tests.e2e.stacks import Up, up
from tests.e2e.world import PROGRAMS, World
from tests.faults.checking import CASHBACK_PERCENT, SPONSOR_PERCENT, check
from tests.faults.killing import COMPONENTS, Killer, nats_url, postgres_url
from tests.faults.load import Facts, Load
from tests.flow import Flow, becomes

PEOPLE = 150
LINKS = 20
CASHBACK_HOLD_SECONDS = 4
SPONSOR_HOLD_SECONDS = 2
"""Short, so that holds end, and are taken back, while processes die."""
FINISH_SECONDS = 60.0
DRAIN_SECONDS = 120.0


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
        world = await open_program(client, stack, f"chaos-{seed}")
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


async def settled(world: World, facts: Facts) -> None:
    """Returns when nothing is on its way any more and every hold has ended."""
    await world.flow.drained(DRAIN_SECONDS)

    async def held() -> int:
        wallets = await world.wallets(*facts.sponsors)
        return sum(held_minor for wallet in wallets for held_minor, _ in wallet.values())

    await becomes(held, 0, DRAIN_SECONDS)
    await world.flow.drained(DRAIN_SECONDS)


async def open_program(client: Client, stack: Up, program_id: str) -> World:
    """Three levels in money, and points on short holds for the buyer and the sponsor."""
    bundle = load(PROGRAMS / "three-levels.yaml")
    bundle.program.program_id = program_id
    assert bundle.plan is not None
    bundle.plan.assets.add(code="points", kind=asset_pb2.ASSET_KIND_POINTS, minor_digits=2)
    bundle.plan.rules.add(
        rule_id="cashback", on=["order"], asset="points",
        to=plan_pb2.Beneficiary(buyer=plan_pb2.Buyer()),
        amount=plan_pb2.Amount(percent=plan_pb2.PercentAmount(percent=str(CASHBACK_PERCENT))),
        hold=plan_pb2.Hold(duration=Duration(seconds=CASHBACK_HOLD_SECONDS)),
    )  # fmt: skip
    bundle.plan.rules.add(
        rule_id="sponsor", on=["order"], asset="points",
        to=plan_pb2.Beneficiary(upline=plan_pb2.UplineLevels(from_level=1, to_level=1)),
        amount=plan_pb2.Amount(percent=plan_pb2.PercentAmount(percent=str(SPONSOR_PERCENT))),
        hold=plan_pb2.Hold(duration=Duration(seconds=SPONSOR_HOLD_SECONDS)),
    )  # fmt: skip
    await apply_bundle(client, bundle)
    return World(client, Flow(postgres_url(stack), nats_url(stack)), program_id, bundle.program.currency_code)


async def enrol(world: World, rng: random.Random) -> Facts:
    """A tree of PEOPLE, some of them roots."""
    sponsors: dict[str, str] = {}
    for number in range(PEOPLE):
        sponsors[f"p{number}"] = "" if number == 0 or rng.random() < 0.05 else f"p{rng.randrange(number)}"
    await world.enrol_all(
        [participant_pb2.ParticipantDraft(participant_id=who, sponsor_id=sponsor) for who, sponsor in sponsors.items()]
    )
    return Facts(sponsors)


async def make_links(world: World, rng: random.Random) -> dict[str, str]:
    """Links of LINKS participants: link id by owner."""
    links = {}
    for owner in (f"p{number}" for number in rng.sample(range(PEOPLE), LINKS)):
        request = link_pb2.CreateLinkRequest(
            request_id=f"{world.program_id}-{owner}",
            program_id=world.program_id,
            participant_id=owner,
            destination_url="https://shop.example/",
        )
        links[owner] = (await world.client.links.CreateLink(request, timeout=CALL_SECONDS)).link.link_id
    return links


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
