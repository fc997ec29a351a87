"""Plans and conversions for tests of the pure domain."""

from datetime import UTC, datetime

from hypothesis import strategies as st
from upline.rewards.v1 import plan_pb2
from upline.type.v1 import asset_pb2

from services.rewards.domain.conversion import Conversion
from services.rewards.domain.decide.decision import Outcome
from services.rewards.domain.decide.evaluation import decide
from services.rewards.domain.decide.pay import pay
from services.rewards.domain.details import Details
from services.rewards.domain.plan.plan import Plan
from services.rewards.domain.tally.snapshot import EMPTY, Snapshot
from services.rewards.wire.plans import read_plan

MOMENT = datetime(2026, 3, 1, tzinfo=UTC)
MAX_AMOUNT = 10**15


def usd() -> asset_pb2.Asset:
    """Money."""
    return asset_pb2.Asset(code="USD", kind=asset_pb2.ASSET_KIND_MONEY)


def points(digits: int = 0, per_unit: str = "1") -> asset_pb2.Asset:
    """Points."""
    return asset_pb2.Asset(
        code="points", kind=asset_pb2.ASSET_KIND_POINTS, minor_digits=digits, per_currency_unit=per_unit
    )


def upline(first: int, last: int) -> plan_pb2.Beneficiary:
    """Levels of the upline."""
    return plan_pb2.Beneficiary(upline=plan_pb2.UplineLevels(from_level=first, to_level=last))


def buyer() -> plan_pb2.Beneficiary:
    """The buyer."""
    return plan_pb2.Beneficiary(buyer=plan_pb2.Buyer())


def percent(text: str, of: int = plan_pb2.AMOUNT_BASE_ORDER) -> plan_pb2.Amount:
    """A percentage."""
    return plan_pb2.Amount(percent=plan_pb2.PercentAmount(percent=text, of=of))


def rule(rule_id: str = "r", **fields: object) -> plan_pb2.Rule:
    """A rule on orders that pays 10 % in USD to the sponsor, unless said otherwise."""
    defaults = {"on": ["order"], "asset": "USD", "to": upline(1, 1), "amount": percent("10")}
    return plan_pb2.Rule(rule_id=rule_id, **(defaults | fields))


def plan(
    *rules: plan_pb2.Rule,
    assets: list[asset_pb2.Asset] | None = None,
    rounding: int = plan_pb2.ROUNDING_MODE_DOWN,
    currency: str = "USD",
    **fields: object,
) -> Plan:
    """A plan as it decides."""
    message = plan_pb2.Plan(assets=assets or [usd(), points()], rules=rules, rounding=rounding, **fields)  # type: ignore[arg-type]
    return read_plan("shop", 1, currency, message, None)


def counter(counter_id: str = "volume", measure: int = plan_pb2.MEASURE_VOLUME, **fields: object) -> plan_pb2.Counter:
    """A counter of the volume of the sponsor's orders, for ever unless said otherwise."""
    defaults = {"on": ["order"], "of": upline(1, 1)}
    return plan_pb2.Counter(counter_id=counter_id, measure=measure, **(defaults | fields))  # type: ignore[arg-type]


def tiers(counter_id: str, mode: int, *steps: tuple[int, str | int]) -> plan_pb2.Tiers:
    """Steps of (bound, percentage or amount)."""
    read = []
    for bound, pays in steps:
        of_rule = {"percent": pays} if isinstance(pays, str) else {"amount_minor": pays}
        read.append(plan_pb2.Tier(bound=bound, **of_rule))  # type: ignore[arg-type]
    return plan_pb2.Tiers(counter=counter_id, mode=mode, tiers=read)  # type: ignore[arg-type]


def fixed(amount_minor: int) -> plan_pb2.Amount:
    """A fixed amount."""
    return plan_pb2.Amount(fixed=plan_pb2.FixedAmount(amount_minor=amount_minor))


def conversion(amount_minor: int = 10_000, **fields: object) -> Conversion:
    """An order of vera, whose upline is maria, olga, petr."""
    defaults = {
        "program_id": "shop",
        "conversion_id": "c1",
        "event_type": "order",
        "currency_code": "USD",
        "amount_minor": amount_minor,
        "margin_minor": None,
        "buyer_id": "vera",
        "occurred_at": MOMENT,
        "record_time": MOMENT,
        "upline": ("maria", "olga", "petr"),
        "remaining_minor": amount_minor,
    }
    return Conversion(**(defaults | fields))  # type: ignore[arg-type]


def detailed(details: Details, amount_minor: int = 10_000, **fields: object) -> Conversion:
    """An order of vera that says more of itself."""
    return conversion(amount_minor, read_details=lambda: details, **fields)


def paid(subject: Plan, order: Conversion, snapshot: Snapshot = EMPTY) -> list[tuple[str, str, int]]:
    """(rule, beneficiary, amount) of each paid decision."""
    return [(rule.rule_id, person, amount_minor) for rule, _, person, amount_minor, _ in pay(subject, order, snapshot)]


def outcomes(subject: Plan, order: Conversion, snapshot: Snapshot = EMPTY) -> list[Outcome]:
    """The outcome of each rule and level."""
    return [each.outcome for each in decide(subject, order, snapshot)]


percents = st.decimals(min_value="0.000001", max_value=1000, places=6).map(lambda value: format(value, "f"))


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Any valid plan of up to four rules."""
    rules = []
    for index in range(draw(st.integers(1, 4))):
        first = draw(st.integers(1, 4))
        last = draw(st.integers(first, first + 3))
        count = last - first + 1
        of = draw(st.sampled_from([plan_pb2.AMOUNT_BASE_ORDER, plan_pb2.AMOUNT_BASE_MARGIN]))
        amount = draw(
            st.one_of(
                st.builds(lambda text, of=of: percent(text, of), percents),
                st.integers(1, 10**6).map(lambda n: plan_pb2.Amount(fixed=plan_pb2.FixedAmount(amount_minor=n))),
                st.lists(percents, min_size=count, max_size=count).map(
                    lambda texts, of=of: plan_pb2.Amount(per_level=plan_pb2.PerLevelAmount(percents=texts, of=of))
                ),
                st.builds(
                    lambda text, ratio, of=of: plan_pb2.Amount(
                        geometric=plan_pb2.GeometricAmount(percent=text, ratio=ratio, of=of)
                    ),
                    st.sampled_from(["10", "2.5", "0.000001"]),
                    st.sampled_from(["0.5", "0.333333", "1", "1.5"]),
                ),
            )
        )
        rules.append(
            rule(f"r{index}", to=upline(first, last), amount=amount, asset=draw(st.sampled_from(["USD", "points"])))
        )
    return plan(*rules, rounding=draw(st.integers(1, 3)))


@st.composite
def conversions(draw: st.DrawFn) -> Conversion:
    """Any order, with or without a margin and an upline."""
    amount_minor = draw(st.one_of(st.integers(0, 100_000), st.integers(0, MAX_AMOUNT)))
    return conversion(
        amount_minor,
        margin_minor=draw(st.one_of(st.none(), st.integers(0, amount_minor))),
        upline=tuple(f"p{level}" for level in range(draw(st.integers(0, 8)))),
    )
