"""Counters, budgets and contests: from the contract to the parts of a plan that count."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from google.protobuf.timestamp_pb2 import Timestamp
from upline.rewards.v1 import plan_pb2

from chassis.times import to_datetime
from services.rewards.domain.ledger import MAX_AMOUNT_MINOR
from services.rewards.domain.plan.contests import Contest, Prize
from services.rewards.domain.plan.counters import Counter, Measure
from services.rewards.domain.plan.limits import Budget
from services.rewards.domain.tally import tallies
from services.rewards.wire.audiences import read_audience
from services.rewards.wire.conditions import Compiler
from services.rewards.wire.plan_context import OVERFLOWS, PERIODS, PlanContext
from services.rewards.wire.problems import Problems
from services.rewards.wire.variables import RESERVED, Scope

MAX_CLOSE_DAYS = 3_660
_MEASURES = {
    plan_pb2.MEASURE_CONVERSIONS: Measure.CONVERSIONS,
    plan_pb2.MEASURE_VOLUME: Measure.VOLUME,
    plan_pb2.MEASURE_REFEREES: Measure.REFEREES,
}


def read_counters(messages: Iterable[plan_pb2.Counter], compiler: Compiler, problems: Problems) -> dict[str, Counter]:
    """A plan's counters by id."""
    counters: dict[str, Counter] = {}
    for index, each in enumerate(messages):
        path, owner = f"plan.counters[{index}]", f"counter {each.counter_id!r}"
        if each.counter_id in counters:
            problems.forbid(f"{path}.counter_id", f"{each.counter_id!r} is counted already")
        if each.counter_id in RESERVED:
            problems.wrong(f"{path}.counter_id", f"{each.counter_id!r} is a word of the language of conditions")
        when = compiler.read(each.when, Scope.CONVERSION, f"{path}.when", owner, problems)
        of = read_audience(each.of, f"{path}.of", problems)
        counters[each.counter_id] = Counter(
            each.counter_id, frozenset(each.on), when, of, _MEASURES[each.measure], PERIODS[each.period]
        )
    return counters


def read_budgets(plan: PlanContext, message: plan_pb2.Plan) -> tuple[Budget, ...]:
    """A plan's budgets, in their order."""
    assets = {each.rule_id: each.asset for each in message.rules}
    budgets: dict[str, Budget] = {}
    for index, each in enumerate(message.budgets):
        path, owner = f"plan.budgets[{index}]", f"budget {each.budget_id!r}"
        if each.budget_id in budgets:
            plan.problems.forbid(f"{path}.budget_id", f"{each.budget_id!r} is set already")
        plan.asset(each.asset, f"{path}.asset", owner)
        _check_rules(plan, each, assets, path, owner)
        budgets[each.budget_id] = Budget(
            each.budget_id,
            each.asset,
            each.amount_minor,
            PERIODS[each.period],
            OVERFLOWS[each.overflow],
            frozenset(each.rules),
            tallies.budget(each.budget_id),
        )
    return tuple(budgets.values())


def read_contests(plan: PlanContext, messages: Iterable[plan_pb2.Contest]) -> tuple[Contest, ...]:
    """A plan's contests, in their order."""
    contests: dict[str, Contest] = {}
    for index, each in enumerate(messages):
        path = f"plan.contests[{index}]"
        if each.contest_id in contests:
            plan.problems.forbid(f"{path}.contest_id", f"{each.contest_id!r} is held already")
        plan.counter(each.counter, f"{path}.counter", f"contest {each.contest_id!r}")
        start, end = (_moment(plan, getattr(each, name), f"{path}.{name}") for name in ("start_time", "end_time"))
        if start is not None and end is not None:
            if end <= start:
                plan.problems.forbid(f"{path}.end_time", "must be after start_time")
            contests[each.contest_id] = _contest(plan, each, start, end, path)
    return tuple(contests.values())


def _contest(plan: PlanContext, message: plan_pb2.Contest, start: datetime, end: datetime, path: str) -> Contest:
    close_after = timedelta()
    if message.HasField("settle_after"):
        where = f"{path}.settle_after"
        close_after = plan.span(message.settle_after, where, MAX_CLOSE_DAYS, or_none=True) or close_after
    return Contest(
        message.contest_id,
        message.counter,
        start,
        end,
        message.min_score or 1,
        close_after,
        tuple(_prizes(plan, message, path)),
    )


def _prizes(plan: PlanContext, message: plan_pb2.Contest, path: str) -> Iterable[Prize]:
    """The prizes of a contest. Several may go to one rank, such as points and a gift, if their assets differ."""
    ranks_by_asset: dict[str, list[range]] = {}
    won: dict[str, int] = {}
    for index, each in enumerate(message.prizes):
        where = f"{path}.prizes[{index}]"
        plan.asset(each.asset, f"{where}.asset", f"contest {message.contest_id!r}")
        if each.to_rank < each.from_rank:
            plan.problems.forbid(f"{where}.to_rank", f"must not be below from_rank ({each.from_rank})")
        ranks = range(each.from_rank, each.to_rank + 1)
        won[each.asset] = won.get(each.asset, 0) + each.amount_minor * len(ranks)
        if won[each.asset] > MAX_AMOUNT_MINOR:
            plan.problems.forbid(
                f"{where}.amount_minor",
                f"all prizes in {each.asset!r} are {won[each.asset]:g} minor units; at most {MAX_AMOUNT_MINOR}",
            )
        before = ranks_by_asset.setdefault(each.asset, [])
        if any(max(ranks.start, other.start) < min(ranks.stop, other.stop) for other in before):
            plan.problems.forbid(f"{where}.from_rank", f"a rank wins {each.asset!r} already")
        before.append(ranks)
        yield Prize(each.from_rank, each.to_rank, each.asset, each.amount_minor)


def _check_rules(plan: PlanContext, message: plan_pb2.Budget, assets: Mapping[str, str], path: str, owner: str) -> None:
    for position, rule_id in enumerate(message.rules):
        where = f"{path}.rules[{position}]"
        if rule_id not in assets:
            plan.problems.forbid(where, f"{owner} names {rule_id!r}, which is no rule of the plan")
        elif assets[rule_id] != message.asset:
            plan.problems.forbid(where, f"{owner} counts {message.asset!r}, but {rule_id!r} pays {assets[rule_id]!r}")


def _moment(plan: PlanContext, message: Timestamp, path: str) -> datetime | None:
    try:
        return to_datetime(message)
    except ValueError as error:
        plan.problems.wrong(path, str(error))
        return None
