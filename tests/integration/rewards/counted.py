"""Plans that count, for tests."""

from datetime import datetime, timedelta

from upline.rewards.v1 import plan_pb2
from upline.type.v1 import asset_pb2

from chassis.times import to_timestamp

SPONSOR = plan_pb2.Beneficiary(upline=plan_pb2.UplineLevels(from_level=1, to_level=1))
THREE = plan_pb2.Beneficiary(upline=plan_pb2.UplineLevels(from_level=1, to_level=3))
BUYER = plan_pb2.Beneficiary(buyer=plan_pb2.Buyer())


def usd() -> asset_pb2.Asset:
    """Money."""
    return asset_pb2.Asset(code="USD", kind=asset_pb2.ASSET_KIND_MONEY)


def counter(
    counter_id: str,
    measure: int = plan_pb2.MEASURE_CONVERSIONS,
    period: int = plan_pb2.PERIOD_LIFETIME,
    of: plan_pb2.Beneficiary = SPONSOR,
    **fields: object,
) -> plan_pb2.Counter:
    """Counts orders for the sponsor, unless said otherwise."""
    return plan_pb2.Counter(counter_id=counter_id, on=["order"], of=of, measure=measure, period=period, **fields)


def rule(
    rule_id: str = "r", percent: str = "10", to: plan_pb2.Beneficiary = SPONSOR, **fields: object
) -> plan_pb2.Rule:
    """10 % of orders to the sponsor, unless said otherwise."""
    made = plan_pb2.Rule(rule_id=rule_id, on=["order"], asset="USD", to=to, **fields)
    if percent:
        made.amount.percent.percent = percent
    return made


def plan(*rules: plan_pb2.Rule, **fields: object) -> plan_pb2.Plan:
    """A plan in money, rounded down."""
    return plan_pb2.Plan(assets=[usd()], rules=rules, rounding=plan_pb2.ROUNDING_MODE_DOWN, **fields)


def cap(scope: int, amount_minor: int, period: int = plan_pb2.PERIOD_LIFETIME, overflow: int = 0) -> plan_pb2.Cap:
    """A limit on one rule."""
    return plan_pb2.Cap(scope=scope, amount_minor=amount_minor, period=period, overflow=overflow)


def tiers(counter_id: str, mode: int, *steps: plan_pb2.Tier) -> plan_pb2.Tiers:
    """Steps by a counter."""
    return plan_pb2.Tiers(counter=counter_id, mode=mode, tiers=steps)


def tier(bound: int, **pays: object) -> plan_pb2.Tier:
    """A tier that holds from `bound` on."""
    return plan_pb2.Tier(bound=bound, **pays)


def contest(
    contest_id: str,
    counter_id: str,
    start: datetime,
    end: datetime,
    settle_after: timedelta,
    *prizes: plan_pb2.Prize,
    **fields: object,
) -> plan_pb2.Contest:
    """A contest."""
    made = plan_pb2.Contest(
        contest_id=contest_id,
        counter=counter_id,
        start_time=to_timestamp(start),
        end_time=to_timestamp(end),
        prizes=prizes,
        **fields,
    )
    made.settle_after.FromTimedelta(settle_after)
    return made
