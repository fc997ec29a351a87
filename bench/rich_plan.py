"""The cost of plans: a rich one against a plain one of as many levels, and plain ones by number of levels and rules."""

import time
from collections.abc import Awaitable, Callable

from upline.rewards.v1 import plan_pb2
from upline.type.v1 import asset_pb2

from bench.events import CONVERSIONS_A_BATCH, batch
from bench.figures import Figure, interleaved, ratios
from bench.payout import publish, rewards_deps
from bench.servers import Servers
from chassis.heap import freeze_heap
from services.rewards.commands.deps import Deps
from services.rewards.consumer import ConversionEvents

ROUNDS = 7
COST_ROUNDS = 5
BATCHES_A_ROUND = 4
LEVELS = (1, 3, 10, 32)
RULES = (1, 10, 50)
MICROSECONDS = 1e6


async def measure(servers: Servers) -> list[Figure]:
    """Measures payout_rich_vs_plain, payout_levels_… and payout_rules_…."""
    deps = await rewards_deps(servers, servers.database("rich"))
    freeze_heap()  # as a service does when it has started
    rich, plain = await interleaved(
        ROUNDS,
        await prepare_payout(deps, "rich", rich_plan(), 3),
        await prepare_payout(deps, "plain", levels_plan(3), 3),
    )
    figures = [
        Figure("payout_rich_vs_plain", ratios(rich, plain), "ratio", "≥ 0.5"),
        Figure("payout_three_levels", tuple(plain), "conversions/s"),
        Figure("payout_rich", tuple(rich), "conversions/s"),
    ]
    plans = {f"payout_levels_{count}": (levels_plan(count), count) for count in LEVELS}
    plans |= {f"payout_rules_{count}": (rules_plan(count), 3) for count in RULES}
    sides = [await prepare_payout(deps, name, plan, levels) for name, (plan, levels) in plans.items()]
    for name, speeds in zip(plans, await interleaved(COST_ROUNDS, *sides), strict=True):
        figures.append(Figure(name, tuple(MICROSECONDS / each for each in speeds), "µs/conversion"))
    await deps.relay.stream.close()
    await deps.database.close()
    return figures


async def prepare_payout(deps: Deps, name: str, plan: plan_pb2.Plan, levels: int) -> Callable[[int], Awaitable[float]]:
    """Publishes the plan and returns what measures a round of it, in conversions a second."""
    program = name.replace("_", "-")
    await publish(
        deps,
        plan_pb2.PublishPlanRequest(request_id=program, program_id=program, plan=plan, currency_code="USD"),
    )

    async def pay(number: int) -> float:
        payloads = [
            batch(f"{number}-{part}", program=program, levels=levels).SerializeToString()
            for part in range(BATCHES_A_ROUND)
        ]
        began = time.perf_counter()
        await ConversionEvents(deps).handle(payloads)
        return BATCHES_A_ROUND * CONVERSIONS_A_BATCH / (time.perf_counter() - began)

    return pay


def levels_plan(count: int) -> plan_pb2.Plan:
    """A plan of one rule that pays so many levels a part of the order."""
    return _plan(_rule("upline", count, ["5", "2", *["1"] * 30][:count]))


def rules_plan(count: int) -> plan_pb2.Plan:
    """A plan of so many rules that each pay the sponsor a part of the order."""
    return _plan(*(_rule(f"rule-{number}", 1, ["1"]) for number in range(count)))


def rich_plan() -> plan_pb2.Plan:
    """A plan of three levels under a condition, with a rate that rises with the month's volume and a cap for the
    month."""
    rule = _rule("upline", 3, ["5", "2", "1"])
    rule.when = "event.amount_minor >= 1500 && event.type == 'order'"
    rule.tiers.counter, rule.tiers.mode = "volume", plan_pb2.TIER_MODE_NEXT
    for bound, factor in ((200_000, "1.2"), (1_000_000, "1.5")):
        rule.tiers.tiers.add(bound=bound, factor=factor)
    rule.caps.add(
        scope=plan_pb2.CAP_SCOPE_BENEFICIARY, amount_minor=1_000_000, period=plan_pb2.PERIOD_MONTH,
    )  # fmt: skip
    plan = _plan(rule)
    plan.counters.add(
        counter_id="volume", on=["order"], of=rule.to, measure=plan_pb2.MEASURE_VOLUME, period=plan_pb2.PERIOD_MONTH
    )
    return plan


def _plan(*rules: plan_pb2.Rule) -> plan_pb2.Plan:
    assets = [asset_pb2.Asset(code="USD", kind=asset_pb2.ASSET_KIND_MONEY)]
    return plan_pb2.Plan(assets=assets, rules=rules, rounding=plan_pb2.ROUNDING_MODE_DOWN)


def _rule(rule_id: str, levels: int, percents: list[str]) -> plan_pb2.Rule:
    return plan_pb2.Rule(
        rule_id=rule_id,
        on=["order"],
        asset="USD",
        to=plan_pb2.Beneficiary(upline=plan_pb2.UplineLevels(from_level=1, to_level=levels)),
        amount=plan_pb2.Amount(per_level=plan_pb2.PerLevelAmount(percents=percents)),
    )
