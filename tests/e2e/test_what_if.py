"""A draft that counts, over real purchases: what its simulation pays is what its replay pays, to each person by each
rule.

The clock stands still, so that nothing but the order of the calls tells one purchase from the other.
"""

from collections.abc import Callable
from pathlib import Path

from upline.rewards.v1 import plan_pb2

from cli.bundle.program import Bundle, load
from cli.client import Client
from cli.replay.data import make_up_sponsors, read_purchases
from cli.replay.run import replay_purchases
from cli.replay.shipped import PROGRAM, PURCHASES
from services.rewards.domain.settle.replay import NetRewards
from services.rewards.queries.simulate import PlanDraft, Simulation, simulate
from tests.conftest import Servers

PLAYED = 4_000
DRAFT = """
program:
  program_id: draft
  title: A draft that counts
  currency_code: USD
  policy: {touch: LAST, window: 30d, binding: LIFETIME, bindable: UNBOUND, enroll_buyers: true}
plan:
  rounding: DOWN
  time_zone: America/New_York
  assets: [{code: USD, kind: MONEY}, {code: points, kind: POINTS}]
  counters:
    - {counter_id: turnover, on: [order], of: {upline: {from_level: 1, to_level: 3}}, measure: VOLUME, period: MONTH}
    - {counter_id: friends, on: [order], of: {upline: {from_level: 1, to_level: 1}}, measure: REFEREES}
    - {counter_id: orders, on: [order], of: {buyer: {}}, measure: CONVERSIONS, period: QUARTER}
  rules:
    - rule_id: upline
      on: [order]
      to: {upline: {from_level: 1, to_level: 3}}
      amount: {per_level: {percents: ["5", "2", "1"]}}
      asset: USD
      tiers: {counter: turnover, mode: NEXT, tiers: [{from: 20000, factor: "1.5"}, {from: 100000, factor: "2"}]}
      caps: [{scope: BENEFICIARY, amount_minor: 20000, period: MONTH}, {scope: REFEREE, amount_minor: 2500}]
    - rule_id: volume
      on: [order]
      to: {upline: {from_level: 1, to_level: 1}}
      amount: {percent: {percent: "1"}}
      asset: USD
      tiers: {counter: turnover, mode: MARGINAL, tiers: [{from: 50000, percent: "2.5"}]}
    - rule_id: heads
      on: [order]
      to: {upline: {from_level: 1, to_level: 1}}
      asset: USD
      tiers: {counter: friends, mode: BONUS, tiers: [{from: 3, amount_minor: 1000}, {from: 6, amount_minor: 2000}]}
    - rule_id: first
      on: [order]
      to: {upline: {from_level: 1, to_level: 1}}
      amount: {fixed: {amount_minor: 300}}
      asset: USD
      occurrence: {first: 1}
    - rule_id: third
      on: [order]
      to: {buyer: {}}
      amount: {percent: {percent: "10"}}
      asset: points
      occurrence: {nth: 3}
    - rule_id: cashback
      on: [order]
      to: {buyer: {}}
      amount: {percent: {percent: "2"}}
      asset: points
      tiers: {counter: orders, mode: NEXT, tiers: [{from: 2, percent: "4"}]}
      caps: [{scope: REWARD, amount_minor: 500}]
  budgets:
    - {budget_id: month, asset: USD, amount_minor: 60000, period: MONTH}
"""


def money(side: NetRewards) -> int:
    """All that was paid in dollars, in cents."""
    return sum(minor for (_rule, _person, asset), (_count, minor) in side.items() if asset == "USD")


async def test_a_draft_that_counts_pays_what_its_replay_pays(
    client: Client,
    servers: Servers,
    new_program_id: Callable[[str], str],
    tmp_path: Path,
) -> None:
    file = tmp_path / "draft.yaml"
    file.write_text(DRAFT)
    plain, counting = load(PROGRAM).under(new_program_id("plain")), load(file).under(new_program_id("counting"))
    purchases = read_purchases(PURCHASES)[:PLAYED]
    for bundle in (plain, counting):
        played = await replay_purchases(client, bundle, make_up_sponsors(purchases), purchases)
        assert (played["orders"], played["ledger_balanced"]) == (PLAYED, True)

    async def simulated(bundle: Bundle, plan: plan_pb2.Plan) -> Simulation:
        draft = PlanDraft(bundle.program.program_id, plan.SerializeToString())
        return await simulate(servers.postgres.url, draft, lambda _total: lambda _done: None, jobs=2)

    assert counting.plan is not None
    before, after = await simulated(plain, counting.plan), await simulated(counting, counting.plan)
    assert before.conversions == after.conversions == PLAYED
    assert before.simulated == after.paid == after.simulated
    assert {rule for rule, _person, _asset in after.paid} == {"upline", "volume", "heads", "first", "third", "cashback"}
    unlimited = plan_pb2.Plan()
    unlimited.CopyFrom(counting.plan)
    unlimited.ClearField("budgets")
    assert money((await simulated(plain, unlimited)).simulated) > money(after.paid)
