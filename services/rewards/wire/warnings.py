"""Warnings and worst cases of a plan out, for those who publish it."""

from collections.abc import Iterable

from upline.rewards.v1 import plan_pb2

from services.rewards.domain.check.lint import lint
from services.rewards.domain.check.worst_case import worst_cases
from services.rewards.domain.explain.numbers import fraction_text
from services.rewards.domain.plan.plan import Plan
from services.rewards.wire.currencies import currency_digits


def warning_messages(plan: Plan) -> Iterable[plan_pb2.PlanWarning]:
    """Everything in a plan that is allowed and probably not meant."""
    return [
        plan_pb2.PlanWarning(code=each.kind.value.upper(), field=each.path, message=each.text)
        for each in lint(plan, currency_digits(plan.currency_code))
    ]


def worst_case_messages(plan: Plan) -> Iterable[plan_pb2.WorstCase]:
    """The most that one conversion costs, by event type."""
    return [
        plan_pb2.WorstCase(
            event_type=event_type,
            order_percent=fraction_text(cost.order_percent),
            margin_percent=fraction_text(cost.margin_percent),
            fixed=[
                plan_pb2.WorstCaseAmount(asset=asset, amount_minor=min(minor, 2**63 - 1))
                for asset, minor in sorted(cost.fixed_minor.items())
            ],
        )
        for event_type, cost in worst_cases(plan).items()
    ]
