"""An allotment through the service: what is posted, what refunds leave, how it is told, and that it is rebuilt
equal."""

from itertools import pairwise

from upline.rewards.v1 import plan_pb2, reward_pb2
from upline.type.v1 import asset_pb2

from services.rewards.commands.rebuild import rebuild
from services.rewards.queries.simulate import PlanDraft, simulate
from tests.conftest import Servers
from tests.integration.rewards.conftest import Ledger, Published, message, recorded, reversed_
from tests.integration.rewards.counted import cap, plan, rule

BUYER = plan_pb2.Beneficiary(buyer=plan_pb2.Buyer())
TWO = plan_pb2.Beneficiary(upline=plan_pb2.UplineLevels(from_level=1, to_level=2))
PEOPLE = ("vera", "maria", "olga")


def sharing(*caps: plan_pb2.Cap) -> plan_pb2.Plan:
    """100 % of the order in points: 60 to the buyer, 35.5 and 4.5 to two levels, rounded half up."""
    made = plan(
        rule("buyer", percent="", to=BUYER, amount=allot("60"), caps=caps),
        rule("upline", percent="", to=TWO, amount=allot("35.5", "4.5")),
        allotments=[plan_pb2.Allotment(allotment_id="pot", asset="points", percent="100")],
    )
    made.assets.append(asset_pb2.Asset(code="points", kind=asset_pb2.ASSET_KIND_POINTS))
    for each in made.rules:
        each.asset = "points"
    made.rounding = plan_pb2.ROUNDING_MODE_HALF_UP
    return made


def allot(*weights: str) -> plan_pb2.Amount:
    """Parts of the pot."""
    return plan_pb2.Amount(allot=plan_pb2.AllotAmount(allotment="pot", weights=weights))


async def points(ledger: Ledger, program: str) -> list[int]:
    """The available points of the buyer and of both levels."""
    return await ledger.available(program, *PEOPLE, asset="points")


async def test_parts_come_to_the_whole_after_every_refund(
    servers: Servers, ledger: Ledger, published: Published
) -> None:
    program = await published(sharing())
    await ledger.settle(message(recorded(program, "c1", 10_000, upline=("maria", "olga"))))
    assert await points(ledger, program) == [60, 36, 4]
    seen = []
    for number, (before, left) in enumerate(pairwise((10_000, 8_950, 5_049, 5_000, 149, 49)), start=1):
        await ledger.settle(message(reversed_(program, "c1", f"r{number}", before - left, minutes_later=number)))
        seen.append(sum(await points(ledger, program)))
    assert seen == [90, 50, 50, 1, 0]
    told = (await ledger.explain(program, "c1")).derivations[1]
    assert list(told.steps) == ["Of allotment pot 0 points is left of 100 points: weight 35.5 of 100 keeps 0 points."]
    await ledger.settle(message(reversed_(program, "c1", "last", 49, completes=True, minutes_later=9)))
    assert await points(ledger, program) == [0, 0, 0]
    assert not (await ledger.audit(program)).findings
    assert (await rebuild(servers.postgres.url, program, lambda _total: lambda _done: None, jobs=1)).differences == []


async def test_a_whole_refund_at_once_leaves_nothing(ledger: Ledger, published: Published) -> None:
    program = await published(sharing())
    await ledger.settle(message(recorded(program, "c1", 3_333, upline=("maria", "olga"))))
    assert sum(await points(ledger, program)) == 33
    await ledger.settle(message(reversed_(program, "c1", "r1", 3_333, completes=True)))
    assert await points(ledger, program) == [0, 0, 0]


async def test_what_nobody_takes_and_what_a_cap_cuts_off_stays_with_the_program(
    ledger: Ledger, published: Published
) -> None:
    program = await published(sharing(cap(plan_pb2.CAP_SCOPE_BENEFICIARY, 50)))
    await ledger.settle(message(recorded(program, "c1", 10_000, upline=("maria",))))
    assert await ledger.available(program, "vera", "maria", asset="points") == [50, 36]
    told = (await ledger.explain(program, "c1")).derivations
    assert told[0].sentence.startswith(
        "Rule buyer pays 50 points of 60 points to the buyer vera: its part of allotment pot"
    )
    assert told[2].outcome == reward_pb2.OUTCOME_NO_ANCESTOR
    await ledger.settle(message(reversed_(program, "c1", "r1", 5_000)))
    assert await ledger.available(program, "vera", "maria", asset="points") == [30, 18]
    assert not (await ledger.audit(program)).findings


async def test_a_simulation_divides_as_the_plan_does(servers: Servers, ledger: Ledger, published: Published) -> None:
    program = await published(sharing())
    for number, minor in enumerate((10_000, 149, 3_333)):
        await ledger.settle(message(recorded(program, f"c{number}", minor, upline=("maria", "olga"))))
    await ledger.settle(message(reversed_(program, "c2", "r1", 1_000)))
    result = await simulate(
        servers.postgres.url,
        PlanDraft(program, sharing().SerializeToString()),
        lambda _total: lambda _done: None,
        jobs=1,
    )
    assert result.simulated == result.paid
    assert sum(minor for _, minor in result.paid.values()) == 100 + 1 + 23
