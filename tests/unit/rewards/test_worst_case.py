"""No conversion costs more than the worst one, whatever conditions, groups and levels that move down make of it."""

from fractions import Fraction

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from upline.rewards.v1 import plan_pb2

from services.rewards.domain.check.lint import WarningKind, lint
from services.rewards.domain.check.worst_case import worst_cases
from services.rewards.domain.conversion import Conversion
from services.rewards.domain.decide.evaluation import decide
from services.rewards.domain.details import Details
from services.rewards.domain.plan.plan import Plan
from tests.unit.rewards.plans import MOMENT, buyer, conversion, percent, plan, rule, upline

CONDITIONS = [
    "", "event.amount_minor > 1000", "event.amount_minor <= 1000", "event.new_customer", "!event.new_customer",
    "event.attributes['kind'] == 'a'", "event.attributes['kind'] != 'a'",
    "'kind' in event.attributes || event.new_customer",
    "has(event.attributes.kind) && event.attributes.kind in ['a', 'b']", "level == 1", "level != 1", "event.hour < 12",
    "event.amount_minor > 300 ? event.new_customer : level == 2", "event.amount_minor + 1 > 700", "buyer.bound",
    "beneficiary.id == 'p1'", "beneficiary.attributes['tier'] == 'gold'", "beneficiary.attributes['tier'] != 'gold'",
]  # fmt: skip
QUALIFIED = ["level > 1", "beneficiary.attributes['tier'] == 'gold'", "beneficiary.id != 'p1'", "true"]
OWNER = plan_pb2.Beneficiary(link_owner=plan_pb2.LinkOwner())
PERCENTS = ["100", "60", "50", "49.5", "35.5", "33.333333", "12.5", "4.5"]
tiers = st.sampled_from([{}, {"tier": "gold"}, {"tier": "iron"}])


@st.composite
def rules(draw: st.DrawFn, number: int) -> plan_pb2.Rule:
    """A part of the order for anybody, asked for by any condition."""
    to = draw(st.sampled_from([buyer(), upline(1, 1), upline(1, 2), upline(2, 3), OWNER]))
    made = rule(f"r{number}", to=to, amount=percent(draw(st.sampled_from(PERCENTS))))
    made.when, made.group = draw(st.sampled_from(CONDITIONS)), draw(st.sampled_from(["", "", "g"]))
    if to.HasField("upline") and draw(st.booleans()):
        made.qualification.when = draw(st.sampled_from(QUALIFIED))
        made.qualification.otherwise = draw(st.sampled_from([plan_pb2.UNQUALIFIED_SKIP, plan_pb2.UNQUALIFIED_COMPRESS]))
    return made


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Plans of up to four such rules."""
    return plan(*(draw(rules(number)) for number in range(draw(st.integers(1, 4)))), rounding=draw(st.integers(1, 3)))


@st.composite
def orders(draw: st.DrawFn) -> Conversion:
    """An order of which the conditions can be true or not."""
    details = Details(
        attributes=draw(st.sampled_from([{}, {"kind": "a"}, {"kind": "b"}, {"kind": "c"}])),
        new_customer=draw(st.booleans()),
        link_owner_id=draw(st.sampled_from(["", "anna", "p1", "vera"])),
        link_owner_attributes=draw(tiers),
        bind_time=draw(st.sampled_from([None, MOMENT])),
        buyer_attributes=draw(tiers),
        upline_attributes=[draw(tiers) for _ in range(3)],
    )
    return conversion(
        draw(st.integers(100, 1_200)),
        upline=("p1", "p2", "p3")[: draw(st.integers(0, 3))],
        occurred_at=MOMENT.replace(hour=draw(st.sampled_from([3, 15]))),
        read_details=lambda: details,
    )


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(plans(), st.lists(orders(), min_size=5, max_size=5))
def test_no_order_costs_more_than_the_worst_and_none_more_than_itself_without_a_warning(
    subject: Plan, some: list[Conversion]
) -> None:
    worst = worst_cases(subject)["order"].order_percent
    warned = {each.kind for each in lint(subject, 2)}
    for order in some:
        paid = [each for each in decide(subject, order) if each.amount_minor]
        exact = sum((Fraction(each.numerator, each.denominator) for each in paid), Fraction())
        assert exact <= worst / 100 * order.amount_minor
        if sum(each.amount_minor for each in paid) > order.amount_minor:
            assert warned & {WarningKind.PAYS_MORE_THAN_THE_ORDER, WarningKind.PARTS_MORE_THAN_THE_WHOLE}


def test_where_levels_move_down_a_group_may_pay_two_people_of_one_level() -> None:
    stands, moves = (rule(each, amount=percent("50.5"), group="g") for each in ("stands", "moves"))
    moves.qualification.when, moves.qualification.otherwise = "beneficiary.id != 'p1'", plan_pb2.UNQUALIFIED_COMPRESS
    subject = plan(stands, moves)
    paid = [
        (each.beneficiary_id, each.amount_minor) for each in decide(subject, conversion(1_000, upline=("p1", "p2")))
    ]
    assert paid == [("p1", 505), ("p2", 505)]
    assert worst_cases(subject)["order"].order_percent == 101
    alike = plan_pb2.Rule()
    alike.CopyFrom(moves)
    alike.rule_id = "alike"
    assert worst_cases(plan(moves, alike))["order"].order_percent == Fraction("50.5")
