"""Who was first, and who gets the rest of a budget, is said by the order of a call, never by what its facts are
called."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from upline.attribution.v1 import participant_pb2
from upline.rewards.v1 import contest_pb2, plan_pb2

from cli.bundle.program import Bundle, load
from cli.client import Client
from cli.programs import apply_bundle
from cli.replay.data import EnrolmentRow, PurchaseRow
from cli.replay.run import replay_purchases
from cli.replay.sending import RECORD_BATCH
from services.rewards.commands.rebuild import rebuild
from services.rewards.queries.simulate import PlanDraft, simulate
from tests.conftest import Servers
from tests.e2e.world import World
from tests.flow import Flow
from tests.running import DEADLINE_SECONDS

Turns = Callable[[], Awaitable[World]]

PROGRAM = """
program:
  program_id: turns
  title: Whoever comes first
  currency_code: USD
  policy: {touch: LAST, window: 30d, binding: LIFETIME, bindable: UNBOUND, enroll_buyers: true}
plan:
  rounding: DOWN
  time_zone: UTC
  assets: [{code: USD, kind: MONEY}, {code: points, kind: POINTS}]
  counters:
    - {counter_id: orders, on: [order], of: {upline: {from_level: 1, to_level: 1}}, measure: CONVERSIONS}
  contests:
    - contest_id: race
      counter: orders
      start_time: 2020-01-01T00:00:00Z
      end_time: 2100-01-01T00:00:00Z
      settle_after: 1d
  rules:
    - rule_id: first_order
      on: [order]
      to: {upline: {from_level: 1, to_level: 1}}
      amount: {percent: {percent: "20"}}
      asset: USD
      occurrence: {first: 1}
    - rule_id: cashback
      on: [order]
      to: {buyer: {}}
      amount: {percent: {percent: "10"}}
      asset: points
      caps: [{scope: BENEFICIARY, amount_minor: 35, period: LIFETIME}]
    - rule_id: welcome
      on: [sign_up]
      to: {buyer: {}}
      amount: {fixed: {amount_minor: 5}}
      asset: points
  budgets:
    - {budget_id: money, asset: USD, amount_minor: 4500, period: LIFETIME}
    - {budget_id: points, asset: points, amount_minor: 92, period: LIFETIME}
"""
TEN = range(10, 0, -1)
"""Numbers whose order is not that of their digits as text."""


@pytest.fixture
def bundle(new_program_id: Callable[[str], str], tmp_path: Path) -> Bundle:
    """The program above under a new id."""
    file = tmp_path / "turns.yaml"
    file.write_text(PROGRAM)
    return load(file).under(new_program_id("turns"))


@pytest.fixture
def turns(client: Client, flow: Flow, bundle: Bundle) -> Turns:
    """Opens it."""

    async def opened() -> World:
        await apply_bundle(client, bundle)
        return World(client, flow, bundle.program.program_id, bundle.program.currency_code)

    return opened


async def paid(world: World, person: str, rule_id: str) -> dict[str, int]:
    """The amounts that a rule paid somebody, by conversion, in minor units."""
    rewards = await world.rewards_of(person)
    return {each.conversion_id: each.amount_minor for each in rewards if each.rule_id == rule_id}


async def ranking(world: World) -> list[str]:
    """Who stands where in the contest, read in pages of three."""
    found: list[str] = []
    token = ""
    while True:
        request = contest_pb2.GetLeaderboardRequest(
            program_id=world.program_id, contest_id="race", page_size=3, page_token=token
        )
        answer = await world.client.contests.GetLeaderboard(request, timeout=DEADLINE_SECONDS)
        found += [each.participant_id for each in answer.standings]
        if not (token := answer.next_page_token):
            return found


async def assert_told_alike(servers: Servers, world: World) -> None:
    """Rebuilding and simulating come to what was settled."""
    result = await rebuild(servers.postgres.url, world.program_id, lambda _total: lambda _done: None, jobs=1)
    assert (result.differences, result.conversions > 0) == ([], True)
    request = plan_pb2.GetPlanRequest(program_id=world.program_id)
    published = (await world.client.plans.GetPlan(request, timeout=DEADLINE_SECONDS)).plan_version
    draft = PlanDraft(world.program_id, published.plan.SerializeToString())
    simulated = await simulate(servers.postgres.url, draft, lambda _total: lambda _done: None, jobs=1)
    assert simulated.simulated == simulated.paid


@pytest.mark.parametrize("ids", [("order-9", "order-10"), ("order-10", "order-9")])
async def test_the_first_order_is_the_one_that_came_first_in_the_call(
    turns: Turns, servers: Servers, ids: tuple[str, str]
) -> None:
    world = await turns()
    await world.enrol("maria")
    await world.enrol("vera", sponsor_id="maria")
    await world.record([world.order(each, "vera", 10_000) for each in ids])
    await world.drained()
    assert await paid(world, "maria", "first_order") == {ids[0]: 2_000}
    await assert_told_alike(servers, world)


async def test_caps_and_budgets_go_to_those_who_came_first_in_the_call(turns: Turns, servers: Servers) -> None:
    world = await turns()
    await world.enrol("maria")
    for number in TEN:
        await world.enrol(f"p{number}", sponsor_id="maria")
    await world.record([world.order(f"o{number}", f"p{number}", 10_000) for number in TEN])
    await world.drained()
    # 45.00 of money for the first orders: two of 20.00, and the rest of 5.00.
    assert await paid(world, "maria", "first_order") == {"o10": 2_000, "o9": 2_000, "o8": 500}
    # 92 points: nine times 10, and the rest of 2.
    points = [await paid(world, f"p{number}", "cashback") for number in TEN]
    assert points == [{f"o{number}": 10 if number > 1 else 2} for number in TEN]
    await assert_told_alike(servers, world)


async def test_a_cap_is_used_up_in_the_order_of_the_call(turns: Turns, servers: Servers) -> None:
    world = await turns()
    await world.enrol("maria")
    await world.enrol("vera", sponsor_id="maria")
    await world.record([world.order(f"o{number}", "vera", 10_000) for number in TEN])
    await world.drained()
    assert await paid(world, "vera", "cashback") == {"o10": 10, "o9": 10, "o8": 10, "o7": 5}
    await assert_told_alike(servers, world)


async def test_sign_ups_of_one_enrolment_are_settled_in_its_order(turns: Turns, servers: Servers) -> None:
    world = await turns()
    people = [f"p{number}" for number in range(20, 0, -1)]
    await world.enrol_all(
        [participant_pb2.ParticipantDraft(participant_id=each, record_sign_up=True) for each in people]
    )
    await world.drained()
    # 92 points: eighteen times 5, the rest of 2, and nothing.
    welcomed = [sum((await paid(world, each, "welcome")).values()) for each in people]
    assert welcomed == [5] * 18 + [2, 0]
    await assert_told_alike(servers, world)


async def test_who_reached_a_score_first_in_a_call_is_ranked_first(turns: Turns, servers: Servers) -> None:
    world = await turns()
    for number in TEN:
        await world.enrol(f"s{number}")
        await world.enrol(f"p{number}", sponsor_id=f"s{number}")
    await world.record([world.order(f"o{number}", f"p{number}", 10_000) for number in TEN])
    await world.drained()
    assert await ranking(world) == [f"s{number}" for number in TEN]
    # A second order each, but for the first three, and one of those is taken back: who comes to a score later stands
    # behind.
    later = [5, 4, 6, 7, 1, 3, 2]
    await world.record([world.order(f"second-{number}", f"p{number}", 10_000) for number in later])
    await world.drained()
    await world.reverse([world.reversal(f"r{number}", f"second-{number}") for number in (3, 7)])
    await world.drained()
    assert await ranking(world) == [f"s{number}" for number in [5, 4, 6, 1, 2, 10, 9, 8, 3, 7]]
    await assert_told_alike(servers, world)


@pytest.mark.parametrize("ids", [("r9", "r10"), ("r10", "r9")])
async def test_refunds_of_one_call_take_effect_in_its_order(
    turns: Turns, servers: Servers, ids: tuple[str, str]
) -> None:
    world = await turns()
    await world.enrol("maria")
    await world.enrol("vera", sponsor_id="maria")
    await world.buy("o1", "vera", 20_000)
    await world.drained()
    # 10 % of 200.00 are 20 points, rounded down. The first refund of 1.00 takes one of them, the second of 9.00
    # nothing.
    await world.reverse([world.reversal(ids[0], "o1", 100), world.reversal(ids[1], "o1", 900)])
    await world.drained()
    taken = [each.cause_id for each in await world.transfers("vera") if each.asset == "points"]
    assert [each for each in taken if each.startswith("reversal:")] == [f"reversal:{world.program_id}/{ids[0]}"]
    await assert_told_alike(servers, world)


async def test_a_replay_settles_its_rows_in_the_order_of_the_file(
    turns: Turns, servers: Servers, client: Client, bundle: Bundle
) -> None:
    world = await turns()
    # More than one call takes, and the last rows of the file are of the first days.
    numbers = range(2 * RECORD_BATCH, 0, -1)
    people = [EnrolmentRow("maria", ""), *(EnrolmentRow(f"b{number}", "maria") for number in numbers)]
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    purchases = [
        PurchaseRow(f"o{number}", f"b{number}", begin + timedelta(hours=number), 100, "USD") for number in numbers
    ]
    played = await replay_purchases(client, bundle, people, purchases)
    assert played["orders"] == len(purchases)
    # 45.00 for the first orders of 1.00 each: the first 225 rows.
    assert await paid(world, "maria", "first_order") == {each.conversion_id: 20 for each in purchases[:225]}
    await assert_told_alike(servers, world)
