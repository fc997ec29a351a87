"""Everything that plans ask for is read from the event."""

from datetime import UTC, datetime

from upline.attribution.v1 import conversion_pb2, events_pb2
from upline.rewards.v1 import plan_pb2
from upline.type.v1 import money_pb2

from chassis.times import to_timestamp
from services.rewards.domain.details import Line
from services.rewards.domain.explain.words import WORDS
from services.rewards.wire.conditions import Compiler
from services.rewards.wire.events import read_conversion, read_reversal
from services.rewards.wire.variables import Scope
from tests.unit.rewards.plans import paid, percent, plan, rule

NOON = to_timestamp(datetime(2026, 5, 1, 12, tzinfo=UTC))
MORNING = to_timestamp(datetime(2026, 4, 1, 9, tzinfo=UTC))


def event() -> events_pb2.ConversionRecorded:
    """An order that says everything it can."""
    draft = conversion_pb2.ConversionDraft(
        conversion_id="c1",
        event_type="order",
        amount=money_pb2.Money(currency_code="USD", amount_minor=10_000),
        lines=[
            conversion_pb2.ConversionLine(
                line_id="1", sku="boot", category="shoes", amount_minor=10_000, attributes={"colour": "red"}
            )
        ],
        buyer_id="vera",
        occurred_at=NOON,
        new_customer=True,
        attributes={"shop": "spb"},
    )
    attribution = conversion_pb2.Attribution(
        referrer_id="maria", link_id="l1", code="SPRING", channel="mail", campaign="may"
    )
    return events_pb2.ConversionRecorded(
        conversion=conversion_pb2.Conversion(program_id="shop", draft=draft, attribution=attribution, create_time=NOON),
        buyer_attributes={"tier": "tin"},
        bind_time=MORNING,
        upline=[events_pb2.UplineMember(participant_id="maria", attributes={"tier": "gold"})],
        link_owner_id="anna",
        link_owner_attributes={"kind": "influencer"},
        share_percent="25",
        link_share_percent="50",
    )


def test_every_detail_is_read() -> None:
    details = read_conversion(event()).read_details()
    assert details.lines == [Line("1", "boot", "shoes", 10_000, {"colour": "red"})]
    assert (details.channel, details.campaign, details.code, details.link_id) == ("mail", "may", "SPRING", "l1")
    assert (details.new_customer, details.bind_time) == (True, datetime(2026, 4, 1, 9, tzinfo=UTC))
    assert dict(details.attributes) == {"shop": "spb"}
    assert [dict(each) for each in (details.buyer_attributes, *details.upline_attributes)] == [
        {"tier": "tin"},
        {"tier": "gold"},
    ]
    assert (details.link_owner_id, dict(details.link_owner_attributes)) == ("anna", {"kind": "influencer"})
    assert (details.share_percent, details.link_share_percent) == ("25", "50")


def test_why_nobody_is_credited_is_told_in_every_language() -> None:
    reasons = conversion_pb2.AttributionReason
    nobody = event()
    nobody.conversion.attribution.referrer_id = ""
    told = set()
    for each in reasons.values():
        nobody.conversion.attribution.reason = each
        uncredited = read_conversion(nobody).read_details().uncredited
        assert f"ATTRIBUTION_REASON_{uncredited.upper()}" == reasons.Name(each)
        told.add(f"no_upline_{uncredited}")
    nobody.conversion.attribution.reason = 9_999  # type: ignore[assignment]  # of a later service
    assert read_conversion(nobody).read_details().uncredited == ""
    assert read_conversion(event()).read_details().uncredited == ""
    for words in WORDS.values():
        assert {each for each in words if each.startswith("no_upline_")} < told


def test_every_variable_of_a_condition_comes_from_an_event() -> None:
    asks = [
        "event.type == 'order' && event.conversion_id == 'c1' && event.amount_minor == 10000",
        "event.currency_code == 'USD' && event.occurred_at == timestamp('2026-05-01T12:00:00Z')",
        "event.hour == 12 && event.weekday == 5 && event.new_customer && event.attributes.shop == 'spb'",
        "event.channel == 'mail' && event.campaign == 'may' && event.code == 'SPRING' && event.link_id == 'l1'",
        "lines.exists(l, l.line_id == '1' && l.attributes.colour == 'red')",
        "buyer.id == 'vera' && buyer.attributes.tier == 'tin' && buyer.bound && buyer.days_since_bind == 30",
        "buyer.days_bound == 30",
        "beneficiary.id == 'maria' && beneficiary.attributes.tier == 'gold' && level == 1",
    ]
    asked = {name for text in asks for name in Compiler([]).compile(text, Scope.PERSON).names}
    assert asked == set(Compiler([]).names(Scope.PERSON))
    lines = percent("10", plan_pb2.AMOUNT_BASE_LINES)
    for text in asks:
        assert paid(plan(rule(when=text)), read_conversion(event())) == [("r", "maria", 1_000)], text
    assert paid(plan(rule(amount=lines, lines="line.sku == 'boot' && event.hour == 12")), read_conversion(event())) == [
        ("r", "maria", 1_000)
    ]


def test_the_lines_of_a_reversal_are_read() -> None:
    reversal = conversion_pb2.Reversal(
        program_id="shop",
        draft=conversion_pb2.ReversalDraft(reversal_id="r1", conversion_id="c1"),
        amount_minor=3_000,
        lines=[conversion_pb2.LineReversal(line_id="1", amount_minor=3_000)],
        create_time=NOON,
    )
    assert read_reversal(events_pb2.ConversionReversed(reversal=reversal)).lines == (("1", 3_000),)
