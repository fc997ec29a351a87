"""The program of the fault rounds: three levels in money, and points on short holds."""

import random
from dataclasses import dataclass

from google.protobuf.duration_pb2 import Duration
from upline.attribution.v1 import link_pb2, participant_pb2
from upline.rewards.v1 import plan_pb2
from upline.type.v1 import asset_pb2

from cli.bundle.program import load
from cli.client import CALL_SECONDS, Client
from cli.programs import apply_bundle
from tests.e2e.world import PROGRAMS, World
from tests.faults.checking import CASHBACK_PERCENT, SPONSOR_PERCENT
from tests.faults.load import Facts
from tests.flow import Flow, becomes

PEOPLE = 150
FEWEST_PEOPLE = 40
LINKS = 20
DRAIN_SECONDS = 120.0


@dataclass(frozen=True)
class Holds:
    """How long points are held: short, so that holds end, and are taken back, while processes die."""

    cashback_seconds: int
    sponsor_seconds: int


HOLDS = Holds(4, 2)


async def settled(world: World, facts: Facts) -> None:
    """Returns when nothing is on its way any more and every hold has ended."""
    await world.flow.drained(DRAIN_SECONDS)

    async def held() -> int:
        wallets = await world.wallets(*facts.sponsors)
        return sum(held_minor for wallet in wallets for held_minor, _ in wallet.values())

    await becomes(held, 0, DRAIN_SECONDS)
    await world.flow.drained(DRAIN_SECONDS)


async def open_program(client: Client, flow: Flow, program_id: str, holds: Holds = HOLDS) -> World:
    """Three levels in money, and points on short holds for the buyer and the sponsor."""
    bundle = load(PROGRAMS / "three-levels.yaml")
    bundle.program.program_id = program_id
    assert bundle.plan is not None
    bundle.plan.assets.add(code="points", kind=asset_pb2.ASSET_KIND_POINTS, minor_digits=2)
    bundle.plan.rules.add(
        rule_id="cashback", on=["order"], asset="points",
        to=plan_pb2.Beneficiary(buyer=plan_pb2.Buyer()),
        amount=plan_pb2.Amount(percent=plan_pb2.PercentAmount(percent=str(CASHBACK_PERCENT))),
        hold=plan_pb2.Hold(duration=Duration(seconds=holds.cashback_seconds)),
    )  # fmt: skip
    bundle.plan.rules.add(
        rule_id="sponsor", on=["order"], asset="points",
        to=plan_pb2.Beneficiary(upline=plan_pb2.UplineLevels(from_level=1, to_level=1)),
        amount=plan_pb2.Amount(percent=plan_pb2.PercentAmount(percent=str(SPONSOR_PERCENT))),
        hold=plan_pb2.Hold(duration=Duration(seconds=holds.sponsor_seconds)),
    )  # fmt: skip
    await apply_bundle(client, bundle)
    return World(client, flow, program_id, bundle.program.currency_code)


async def enrol(world: World, rng: random.Random, people: int = PEOPLE) -> Facts:
    """A tree of people, some of them roots."""
    sponsors: dict[str, str] = {}
    for number in range(people):
        sponsors[f"p{number}"] = "" if number == 0 or rng.random() < 0.05 else f"p{rng.randrange(number)}"
    await world.enrol_all(
        [participant_pb2.ParticipantDraft(participant_id=who, sponsor_id=sponsor) for who, sponsor in sponsors.items()]
    )
    return Facts(sponsors)


async def make_links(world: World, rng: random.Random) -> dict[str, str]:
    """Links of some participants: link id by owner."""
    links = {}
    for owner in (f"p{number}" for number in rng.sample(range(FEWEST_PEOPLE), LINKS)):
        request = link_pb2.CreateLinkRequest(
            request_id=f"{world.program_id}-{owner}",
            program_id=world.program_id,
            participant_id=owner,
            destination_url="https://shop.example/",
        )
        links[owner] = (await world.client.links.CreateLink(request, timeout=CALL_SECONDS)).link.link_id
    return links
