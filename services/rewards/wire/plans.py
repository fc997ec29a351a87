"""Plans: between the contract and decisions, with every mistake named by rule and field."""

from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo
from fractions import Fraction
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from upline.rewards.v1 import plan_pb2

from chassis.errors import invalid
from chassis.times import to_datetime
from services.rewards.domain.plan.amounts import Base
from services.rewards.domain.plan.plan import MAX_ASSET_MINOR_PER_BASE_MINOR, MAX_CONVERSION_STEPS, Plan, Rule
from services.rewards.domain.plan.rounding import Rounding
from services.rewards.wire.allotments import read_allotments
from services.rewards.wire.assets import read_assets
from services.rewards.wire.conditions import Compiler, NamingCompiler
from services.rewards.wire.counters import read_budgets, read_contests, read_counters
from services.rewards.wire.currencies import currency_digits
from services.rewards.wire.plan_context import PlanContext
from services.rewards.wire.problems import Problems
from services.rewards.wire.rules import RuleReader
from services.rewards.wire.terms import read_terms
from services.rewards.wire.tiers import under_both_names, under_old_name

PLAN_BYTES = 4_096
BYTES_A_STORED_BYTE = 32
"""The memory that a plan takes for itself and for each byte of its message, without its conditions: measured with rules
of 64 levels, for which most is taken."""
_ROUNDING = {
    plan_pb2.ROUNDING_MODE_UNSPECIFIED: Rounding.HALF_EVEN,
    plan_pb2.ROUNDING_MODE_HALF_EVEN: Rounding.HALF_EVEN,
    plan_pb2.ROUNDING_MODE_HALF_UP: Rounding.HALF_UP,
    plan_pb2.ROUNDING_MODE_DOWN: Rounding.DOWN,
}


def decode_plan(
    program_id: str, version: int, currency_code: str, plan: bytes, effective_time: datetime | None
) -> Plan:
    """The plan in the bytes of a message, as `read_plan` reads it."""
    return read_plan(program_id, version, currency_code, plan_pb2.Plan.FromString(plan), effective_time)


def compile_plan(
    program_id: str, version: int, currency_code: str, plan: bytes, effective_time: datetime | None
) -> tuple[Plan, int]:
    """A stored plan as it decides, and the bytes of memory that it takes, as they are estimated. INVALID_ARGUMENT with
    what has no meaning."""
    message = plan_pb2.Plan.FromString(plan)
    compiler = _compiler(message, Compiler)
    read = _read(program_id, version, currency_code, message, effective_time, compiler, Problems(stored=True))
    return read, PLAN_BYTES + BYTES_A_STORED_BYTE * len(plan) + compiler.compiled_bytes


def read_uncompiled(
    program_id: str, version: int, currency_code: str, plan: bytes, effective_time: datetime | None
) -> Plan:
    """A stored plan of which everything is known but what its conditions say. INVALID_ARGUMENT with what else has no
    meaning."""
    message = plan_pb2.Plan.FromString(plan)
    compiler = _compiler(message, NamingCompiler)
    return _read(program_id, version, currency_code, message, effective_time, compiler, Problems(stored=True))


def read_plan(
    program_id: str,
    version: int,
    currency_code: str,
    message: plan_pb2.Plan,
    effective_time: datetime | None,
    *,
    stored: bool = False,
) -> Plan:
    """The plan as it decides. INVALID_ARGUMENT with every mistake; in a `stored` plan, with what has no meaning."""
    if not stored:
        message = as_published(message)
    compiler = _compiler(message, Compiler)
    return _read(program_id, version, currency_code, message, effective_time, compiler, Problems(stored=stored))


def _compiler(message: plan_pb2.Plan, kind: type[Compiler]) -> Compiler:
    return kind(each.counter_id for each in message.counters)


def _read(
    program_id: str,
    version: int,
    currency_code: str,
    message: plan_pb2.Plan,
    effective_time: datetime | None,
    compiler: Compiler,
    problems: Problems,
) -> Plan:
    problems.refuse_unknown(message, "plan")
    context = _context(currency_code, message, compiler, problems)
    allotments = read_allotments(context, message)
    rules = [RuleReader(context, each, index, allotments).read() for index, each in enumerate(message.rules)]
    _check_together(context, rules)
    budgets = read_budgets(context, message)
    contests = read_contests(context, message.contests)
    terms = read_terms(message, context.assets, currency_code, context.currency_digits, context.compiler, problems)
    zone = _zone(message.time_zone, problems)
    if not rules and not contests:
        problems.forbid("plan.rules", "is empty, and the plan has no contest either")
    problems.raise_any()
    plan = Plan(
        program_id=program_id,
        version=version,
        currency_code=currency_code,
        rounding=_ROUNDING[message.rounding],
        assets=tuple(context.assets.values()),
        rules=tuple(rules),
        effective_time=effective_time,
        terms=terms,
        zone=zone,
        counters=context.counters,
        budgets=budgets,
        contests=contests,
    )
    if not problems.stored:
        _check_price(plan, problems)
        problems.raise_any()
    return plan


def _check_price(plan: Plan, problems: Problems) -> None:
    """Notes event types of which a conversion may take too long to be decided."""
    for event_type in sorted({each for rule in plan.rules for each in rule.event_types}):
        prices = plan.prices(event_type)
        steps = sum(each for _, each in prices)
        if steps <= MAX_CONVERSION_STEPS:
            continue
        costliest, most = max(prices, key=lambda each: each[1])
        if isinstance(costliest, Rule):
            path, owner = f"plan.rules[{costliest.ordinal}]", f"rule {costliest.rule_id!r}"
        else:
            path, owner = "plan.counters", f"counter {costliest.counter_id!r}"
        problems.wrong(
            path,
            f"to decide an event {event_type!r} may take {steps:,} steps, for all rules with their levels and"
            f" conditions together; at most {MAX_CONVERSION_STEPS:,}. {owner} takes the most, {most:,}: ask for the"
            " conversion rather than for each person or line, use fewer levels, or a table instead of many rules",
        )


def read_published_plan(request: plan_pb2.PublishPlanRequest) -> Plan:
    """The plan that a caller publishes, before it has a version. INVALID_ARGUMENT with every mistake in it."""
    effective_time = None
    if request.HasField("effective_time"):
        try:
            effective_time = to_datetime(request.effective_time)
        except ValueError as error:
            raise invalid("effective_time", str(error)) from error
    return read_plan(request.program_id, 0, request.currency_code, request.plan, effective_time)


def as_published(message: plan_pb2.Plan) -> plan_pb2.Plan:
    """The plan with everything said that is meant where it is left out, and that once meant something else.

    A version is read for ever as it was stored, so that it goes on paying what it paid whatever the same text comes to
    mean later.
    """
    explicit = plan_pb2.Plan()
    explicit.CopyFrom(message)
    _state_before_binding(explicit, plan_pb2.BEFORE_BINDING_EXCLUDED)
    return explicit


def as_stored(message: plan_pb2.Plan) -> plan_pb2.Plan:
    """The plan under names that every version of this service knows: while one is replaced by the next, both read
    it."""
    published = as_published(message)
    under_old_name(published)
    return published


def stored_bytes(message: plan_pb2.Plan) -> bytes:
    """A plan as it is stored. Plans that are written in the same words are the same bytes."""
    return as_stored(message).SerializeToString(deterministic=True)


def stored_today(stored: bytes) -> bytes:
    """A stored plan as it would be stored today: the same bytes as one that says the same in other words."""
    return stored_bytes(as_answered(stored))


def as_answered(stored: bytes) -> plan_pb2.Plan:
    """A stored plan for callers. A field with two names is stated under both, and what the plan means without saying so
    is stated, so that it means the same wherever it is published again."""
    message = plan_pb2.Plan.FromString(stored)
    _state_before_binding(message, plan_pb2.BEFORE_BINDING_INCLUDED)
    under_both_names(message)
    return message


def _state_before_binding(message: plan_pb2.Plan, meant: "plan_pb2.BeforeBinding.ValueType") -> None:
    """Writes `meant` where a rule leaves out whether it counts before the binding."""
    for rule in message.rules:
        if rule.occurrence.HasField("within_of_binding") and not rule.occurrence.before_binding:
            rule.occurrence.before_binding = meant


def _context(currency_code: str, message: plan_pb2.Plan, compiler: Compiler, problems: Problems) -> PlanContext:
    try:
        digits = currency_digits(currency_code)
    except KeyError:
        problems.wrong("currency_code", f"{currency_code} is not an ISO 4217 currency")
        digits = 2
    assets = read_assets(message.assets, digits, problems)
    counters = read_counters(message.counters, compiler, problems)
    return PlanContext(currency_code, digits, assets, compiler, problems, counters)


def _zone(name: str, problems: Problems) -> tzinfo:
    if not name:
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # of a slash at the beginning; of a folder, or a long name
        problems.wrong("plan.time_zone", f"{name!r} is not a time zone of the IANA database")
        return UTC


def _check_together(plan: PlanContext, rules: Sequence[Rule]) -> None:
    """Checks the references between rules."""
    first: dict[str, int] = {}
    for rule in rules:
        path = f"plan.rules[{rule.ordinal}]"
        if rule.rule_id in first:
            plan.problems.forbid(
                f"{path}.rule_id", f"{rule.rule_id!r} is the id of rules[{first[rule.rule_id]}] already"
            )
        first.setdefault(rule.rule_id, rule.ordinal)
    by_id = {rule.rule_id: rule for rule in rules}
    leaders: dict[str, Rule] = {}
    for rule in rules:
        if rule.base is Base.EARNINGS:
            _check_sources(plan, rule, by_id)
        if rule.group and not _are_comparable(plan, rule, leaders.setdefault(rule.group, rule)):
            other = leaders[rule.group]
            plan.problems.forbid(
                f"plan.rules[{rule.ordinal}].group",
                f"rule {rule.rule_id!r} pays {rule.asset.code!r} and {other.rule_id!r} {other.asset.code!r}:"
                " nothing says which is worth more",
            )


def _check_sources(plan: PlanContext, rule: Rule, by_id: dict[str, Rule]) -> None:
    path = f"plan.rules[{rule.ordinal}].earnings_of"
    for rule_id in sorted(rule.earnings_of):
        source = by_id.get(rule_id)
        if source is None:
            plan.problems.forbid(path, f"rule {rule.rule_id!r} names {rule_id!r}, which is no rule of the plan")
        elif source.base is Base.EARNINGS:
            plan.problems.forbid(path, f"rule {rule.rule_id!r} names {rule_id!r}, whose base are EARNINGS too: a loop")
        elif not _are_comparable(plan, rule, source):
            plan.problems.forbid(
                path,
                f"rule {rule.rule_id!r} cannot pay a percentage of {source.asset.code!r} in {rule.asset.code!r}:"
                " nothing converts them",
            )
        elif (most := _largest_share(rule) * rule.minor_per_minor_of(source)) > MAX_ASSET_MINOR_PER_BASE_MINOR:
            plan.problems.forbid(
                path,
                f"rule {rule.rule_id!r} pays {float(most):g} minor units of {rule.asset.code!r} for each one that"
                f" {rule_id!r} pays; at most {MAX_ASSET_MINOR_PER_BASE_MINOR}",
            )


def _largest_share(rule: Rule) -> Fraction:
    """The largest percentage that a rule states, of 1."""
    tiers = rule.tiers.tiers if rule.tiers is not None else ()
    stated = (level for levels in (rule.levels, *(each.levels for each in tiers)) for level in levels)
    return max((Fraction(each.numerator, each.denominator) for each in stated), default=Fraction())


def _are_comparable(plan: PlanContext, one: Rule, other: Rule) -> bool:
    """Whether their amounts can be compared: the same asset, or both with a worth in the program's currency."""
    return one.asset.code == other.asset.code or None not in (plan.rate(one.asset), plan.rate(other.asset))
