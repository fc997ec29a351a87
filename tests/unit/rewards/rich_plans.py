"""Any plan that uses the whole language, and any snapshot it may be decided with."""

from hypothesis import strategies as st
from upline.rewards.v1 import plan_pb2

from services.rewards.domain.conversion import Conversion
from services.rewards.domain.decide.needed_tallies import needed_tallies
from services.rewards.domain.details import Details, Line
from services.rewards.domain.plan.plan import Plan
from services.rewards.domain.tally.snapshot import Snapshot
from tests.unit.rewards.plans import MOMENT, buyer, conversion, counter, fixed, plan, points, rule, upline, usd

PEOPLE = ("vera", "p1", "p2", "p3", "p4", "anna")
BASES = [plan_pb2.AMOUNT_BASE_ORDER, plan_pb2.AMOUNT_BASE_MARGIN, plan_pb2.AMOUNT_BASE_LINES]
percents = st.sampled_from(["0.5", "10", "33.333333", "100"])
amounts_minor = st.integers(1, 5_000)


@st.composite
def amounts(draw: st.DrawFn) -> plan_pb2.Amount:
    """A percentage, a fixed amount or a table."""
    kind = draw(st.integers(0, 2))
    if kind == 0:
        return plan_pb2.Amount(percent=plan_pb2.PercentAmount(percent=draw(percents), of=draw(st.sampled_from(BASES))))
    if kind == 1:
        return fixed(draw(amounts_minor))
    rows = [plan_pb2.TableRow(value="a", percent=draw(percents)), plan_pb2.TableRow(value="b", amount_minor=7)]
    return plan_pb2.Amount(table=plan_pb2.TableAmount(by="category", rows=rows))


@st.composite
def beneficiaries(draw: st.DrawFn) -> plan_pb2.Beneficiary:
    """Anybody."""
    first = draw(st.integers(1, 3))
    return draw(
        st.sampled_from(
            [buyer(), upline(first, first + 1), upline(1, 3), plan_pb2.Beneficiary(link_owner=plan_pb2.LinkOwner())]
        )
    )


@st.composite
def tiers(draw: st.DrawFn, amount: plan_pb2.Amount) -> plan_pb2.Tiers | None:
    """Tiers that go with an amount; None for none."""
    how = amount.WhichOneof("how")
    modes = [None, plan_pb2.TIER_MODE_NEXT]
    if how == "percent":
        modes.append(plan_pb2.TIER_MODE_MARGINAL)
    mode = draw(st.sampled_from(modes))
    if mode is None:
        return None
    steps = []
    for bound in sorted(draw(st.sets(st.integers(1, 20_000), min_size=1, max_size=3))):
        steps.append(plan_pb2.Tier(factor=draw(st.sampled_from(["0.5", "1.5", "3"]))))
        steps[-1].bound = bound
    return plan_pb2.Tiers(counter="volume", mode=mode, tiers=steps)


@st.composite
def caps(draw: st.DrawFn) -> list[plan_pb2.Cap]:
    """Up to two caps of any scope."""
    return [
        plan_pb2.Cap(scope=draw(st.integers(1, 4)), amount_minor=draw(amounts_minor), overflow=draw(st.integers(0, 2)))
        for _ in range(draw(st.integers(0, 2)))
    ]


@st.composite
def rules(draw: st.DrawFn, index: int) -> plan_pb2.Rule:
    """One rule that pays a part of the conversion."""
    fields: dict[str, object] = {"to": draw(beneficiaries()), "amount": draw(amounts()), "caps": draw(caps())}
    fields["tiers"] = draw(tiers(fields["amount"]))
    fields["asset"] = draw(st.sampled_from(["USD", "points"]))
    fields["least_left_percent"] = draw(st.sampled_from(["", "", "25", "99.9"]))
    fields["group"] = draw(st.sampled_from(["", "", "g"]))
    if not fields["to"].HasField("buyer"):  # type: ignore[attr-defined]
        fields["share"] = draw(st.sampled_from([None, plan_pb2.Share(percent="33.3"), plan_pb2.Share(percent="100")]))
    if draw(st.booleans()):
        fields["occurrence"] = plan_pb2.Occurrence(first=draw(st.integers(1, 2)))
    elif draw(st.booleans()):
        fields["when"] = draw(st.sampled_from(["level < 2", "event.amount_minor > 100", "counters.volume < 5000"]))
    return rule(f"r{index}", **fields)


def allot(*weights: str) -> plan_pb2.Amount:
    """Parts of the allotment."""
    return plan_pb2.Amount(allot=plan_pb2.AllotAmount(allotment="pot", weights=weights))


@st.composite
def bonuses(draw: st.DrawFn) -> plan_pb2.Rule:
    """A rule that pays a bonus on crossing."""
    steps = []
    for bound in sorted(draw(st.sets(st.integers(1, 20_000), min_size=1, max_size=3))):
        steps.append(plan_pb2.Tier(amount_minor=draw(amounts_minor)))
        steps[-1].bound = bound
    crossed = plan_pb2.Tiers(counter="volume", mode=plan_pb2.TIER_MODE_BONUS, tiers=steps)
    return rule("bonus", amount=None, to=upline(1, 2), tiers=crossed)


@st.composite
def rich_plans(draw: st.DrawFn) -> Plan:
    """Plans of up to four rules, a bonus, a matching rule, budgets."""
    several = [draw(rules(index)) for index in range(draw(st.integers(1, 4)))]
    if draw(st.booleans()):
        several.append(draw(bonuses()))
    if draw(st.booleans()):
        matching = plan_pb2.PerLevelAmount(percents=["20", "5"], of=plan_pb2.AMOUNT_BASE_EARNINGS)
        several.append(
            rule(
                "match",
                to=upline(1, 2),
                amount=plan_pb2.Amount(per_level=matching),
                earnings_of=[each.rule_id for each in several],
                caps=draw(caps()),
            )
        )
    allotments = []
    if draw(st.booleans()):
        whole = draw(st.sampled_from([{"percent": "33.333333"}, {"percent": "100"}, {"amount_minor": 101}]))
        of = draw(st.sampled_from(BASES)) if "percent" in whole else plan_pb2.AMOUNT_BASE_UNSPECIFIED
        allotments.append(plan_pb2.Allotment(allotment_id="pot", asset="points", of=of, **whole))
        several += [
            rule("part", to=buyer(), amount=allot("4.5"), asset="points"),
            rule("parts", to=upline(1, 2), amount=allot("60", "35.5"), asset="points", caps=draw(caps())),
        ]
    budget = plan_pb2.Budget(budget_id="all", asset="USD", amount_minor=draw(st.integers(1, 20_000)))
    return plan(
        *several,
        assets=[usd(), points(digits=1, per_unit="3")],
        rounding=draw(st.integers(1, 3)),
        counters=[counter(of=upline(1, 3))],
        allotments=allotments,
        budgets=[budget] if draw(st.booleans()) else [],
    )


@st.composite
def rich_conversions(draw: st.DrawFn) -> Conversion:
    """An order with lines that sum to it."""
    prices = draw(st.lists(st.integers(0, 8_000), min_size=1, max_size=4))
    lines = [Line(str(number), "", draw(st.sampled_from("abc")), price, {}) for number, price in enumerate(prices)]
    owner = draw(st.sampled_from(["", "anna", "p2", "vera"]))
    details = Details(lines=lines, link_owner_id=owner, bind_time=MOMENT)
    amount_minor = sum(prices)
    return conversion(
        amount_minor,
        margin_minor=draw(st.one_of(st.none(), st.integers(0, amount_minor))),
        upline=PEOPLE[1 : 1 + draw(st.integers(0, 4))],
        read_details=lambda: details,
    )


@st.composite
def snapshots(draw: st.DrawFn, subject: Plan, order: Conversion) -> Snapshot:
    """Any tallies of what a decision reads."""
    keys = sorted(needed_tallies(subject, order))
    values = draw(st.lists(st.sampled_from([0, 1, 2, 900, 15_000]), min_size=len(keys), max_size=len(keys)))
    return Snapshot({key: value for key, value in zip(keys, values, strict=True) if value})
