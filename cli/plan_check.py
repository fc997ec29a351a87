"""Checks of a program file without any service: the cost of its plan, and anything suspicious in plan and policy."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from upline.attribution.v1 import program_pb2
from upline.rewards.v1 import plan_pb2

from chassis.errors import UplineError
from cli.bundle.problems import BundleError
from cli.bundle.program import Bundle, nearest_position

if TYPE_CHECKING:
    from services.rewards.domain.plan.plan import Plan


@dataclass(frozen=True, slots=True)
class PlanCheck:
    """The cost and the warnings of a policy and a plan that are not applied yet."""

    warnings: tuple[plan_pb2.PlanWarning, ...] = ()
    worst_cases: tuple[plan_pb2.WorstCase, ...] = ()
    digits: dict[str, int] | None = None
    """The decimal places of each asset."""


def check_plan(bundle: Bundle) -> PlanCheck:
    """Reads the plan as the service does. Raises BundleError with every mistake and its line."""
    if bundle.plan is None:
        return PlanCheck(policy_warnings(bundle.program))
    from services.rewards.wire.warnings import (
        warning_messages,
        worst_case_messages,
    )  # here, as they bring everything that decides

    plan = _read_plan(bundle, bundle.plan)
    digits = {each.code: each.digits for each in plan.assets}
    warnings = (*policy_warnings(bundle.program), *warning_messages(plan))
    return PlanCheck(warnings, tuple(worst_case_messages(plan)), digits)


def policy_warnings(program: program_pb2.Program) -> tuple[plan_pb2.PlanWarning, ...]:
    """Warnings of what an attribution policy leaves open, where that will surprise somebody."""
    policy = program.policy
    if policy.binding != program_pb2.BINDING_LIFETIME or policy.credit_before_binding:
        return ()
    return (
        plan_pb2.PlanWarning(
            code="CREDIT_BEFORE_BINDING_UNSET",
            field="program.policy.credit_before_binding",
            message="program.policy does not say who is credited for orders from before a buyer was bound,"
            " so the sponsor is: write credit_before_binding: NOT_CREDITED for nobody, or CREDITED to keep it so",
        ),
    )


def _read_plan(bundle: Bundle, message: plan_pb2.Plan) -> "Plan":
    from services.rewards.wire.plans import read_plan

    try:
        return read_plan(bundle.program.program_id, 0, bundle.program.currency_code, message, None)
    except UplineError as error:
        problems = [bundle.problem(each.field, each.description) for each in error.violations]
        raise BundleError(bundle.file, problems) from error


def warning_lines(bundle: Bundle, warnings: tuple[plan_pb2.PlanWarning, ...]) -> list[str]:
    """Warnings with their places, as mistakes are told."""
    lines = []
    for each in warnings:
        position = nearest_position(bundle.positions, each.field)
        lines.append(f"{bundle.file}:{position.line}:{position.column}: warning: {each.message} [{each.code}]")
    return lines


def cost_lines(plan_check: PlanCheck) -> list[str]:
    """The cost of each event at most, in lines for people."""
    return [
        f"{each.event_type}: at most {_cost_text(each, plan_check.digits or {})}" for each in plan_check.worst_cases
    ]


def _cost_text(case: plan_pb2.WorstCase, digits: dict[str, int]) -> str:
    from services.rewards.domain.explain.numbers import minor_text

    parts = [f"{case.order_percent} % of the order"] if case.order_percent != "0" else []
    parts += [f"{case.margin_percent} % of the margin"] if case.margin_percent != "0" else []
    parts += [f"{minor_text(each.amount_minor, digits.get(each.asset, 0))} {each.asset}" for each in case.fixed]
    return " and ".join(parts) or "nothing"
