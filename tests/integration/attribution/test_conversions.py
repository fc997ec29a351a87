"""Recording conversions: attribution through the real service, idempotency, events."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import grpc
import pytest
from upline.attribution.v1 import click_pb2, click_pb2_grpc, conversion_pb2, participant_pb2, program_pb2
from upline.type.v1 import money_pb2

from chassis.clock import ManualClock
from chassis.times import to_timestamp, unix_ms
from services.attribution.wire.click_rules import new_click_id
from services.attribution.wire.conversions import MAX_AMOUNT_MINOR
from tests.integration.attribution.people import (
    NEW_ONLY,
    PER_CONVERSION,
    TIMEOUT,
    Caller,
    ago,
    order,
    refused,
    request_id,
    rubles,
)
from tests.running import Running

Program = Callable[..., Awaitable[Caller]]
CODE = grpc.StatusCode
Reason = conversion_pb2.AttributionReason


def reason(conversion: conversion_pb2.Conversion) -> str:
    """The name of the reason of an attribution, in short."""
    return Reason.Name(conversion.attribution.reason).removeprefix("ATTRIBUTION_REASON_")


async def test_a_bound_buyer_pays_the_whole_upline(program: Program) -> None:
    caller = await program()
    await caller.enroll("olga", attributes={"tier": "gold"})
    await caller.enroll("maria", sponsor_id="olga")
    await caller.enroll("vera", sponsor_id="maria", attributes={"city": "Perm"})
    line = conversion_pb2.ConversionLine(sku="A1", amount_minor=10_000)
    recorded = await caller.record(order("1", "vera", lines=[line], attributes={"a": "b"}))
    assert (recorded.attribution.referrer_id, reason(recorded)) == ("maria", "BOUND")
    assert recorded.draft.lines[0].line_id == "1"
    (event,) = await caller.events()
    assert event.event_id == f"conversion:{caller.program_id}/1"
    assert event.recorded.conversion == recorded
    assert event.record_time == recorded.create_time
    assert [(each.participant_id, dict(each.attributes)) for each in event.recorded.upline] == [
        ("maria", {}),
        ("olga", {"tier": "gold"}),
    ]
    assert dict(event.recorded.buyer_attributes) == {"city": "Perm"}
    assert event.recorded.HasField("bind_time")
    assert await caller.conversion("1") == recorded


async def test_a_code_binds_for_life(program: Program, clock: ManualClock) -> None:
    caller = await program()
    await caller.enroll("olga")
    await caller.enroll("maria")
    first = await caller.record(order("1", "vera", code=f" {(await caller.code('olga')).lower()} "))
    assert (first.attribution.referrer_id, reason(first)) == ("olga", "CODE")
    later = await caller.record(order("2", "vera", click_token=await caller.token("maria", clock.now())))
    assert (later.attribution.referrer_id, reason(later)) == ("olga", "BOUND")
    assert [each.reason for each in later.attribution.losers] == [Reason.ATTRIBUTION_REASON_OUTRANKED]
    binding = (await caller.get("vera")).binding
    assert (binding.sponsor_id, binding.source) == ("olga", participant_pb2.BIND_SOURCE_CODE)
    assert binding.code == first.attribution.code


async def test_a_code_outranks_a_click_and_the_loser_is_kept(program: Program, clock: ManualClock) -> None:
    caller = await program()
    await caller.enroll("olga")
    await caller.enroll("maria")
    token = await caller.token("maria", clock.now())
    await caller.record(order("1", "vera", code=await caller.code("olga"), click_token=token))
    stored = await caller.conversion("1")
    assert stored.attribution.referrer_id == "olga"
    assert [each.referrer_id for each in stored.attribution.losers] == ["maria"]
    (event,) = await caller.events()
    assert not event.recorded.conversion.attribution.losers


async def test_every_failing_touch_is_kept_with_its_reason(program: Program, clock: ManualClock) -> None:
    caller = await program(days=1)
    await caller.enroll("olga")
    await caller.enroll("below", sponsor_id="olga")
    token = await caller.token("olga", clock.now() - timedelta(days=1))
    cases = {
        "no-touch": (order("1", "v1"), "NO_TOUCH"),
        "window": (order("2", "v2", click_token=token, occurred_at=to_timestamp(clock.now())), "WINDOW_PASSED"),
        "self": (order("3", "olga", code=await caller.code("olga")), "SELF_REFERRAL"),
        "code": (order("4", "v4", code="NOSUCHCODE"), "UNKNOWN_CODE"),
        "token": (order("5", "v5", click_token="forged"), "INVALID_TOKEN"),
        "cycle": (order("6", "olga", code=await caller.code("below")), "CYCLE"),
    }
    for draft, wanted in cases.values():
        recorded = await caller.record(draft)
        assert (recorded.attribution.referrer_id, reason(recorded)) == ("", wanted)
    listed = await caller.conversions.ListConversions(
        conversion_pb2.ListConversionsRequest(program_id=caller.program_id, unattributed_only=True), timeout=TIMEOUT
    )
    assert [each.draft.conversion_id for each in listed.conversions] == list("123456")
    just_inside = to_timestamp(clock.now() - timedelta(microseconds=1))
    assert reason(await caller.record(order("7", "v7", click_token=token, occurred_at=just_inside))) == "CLICK"


async def test_a_click_after_the_order_did_not_bring_it(program: Program, clock: ManualClock) -> None:
    """Tokens and the clicks of visitors follow one rule, however late the order is reported."""
    caller = await program()
    await caller.enroll("olga")
    token = await caller.token("olga", clock.now() - timedelta(hours=2))
    link = await caller.link("olga")
    await caller.click(link.link_id, "visitor", clock.now() - timedelta(hours=2))
    await caller.clicks_written(1)
    for number, touch in enumerate(({"click_token": token}, {"visitor_id": "visitor"})):
        early = await caller.record(
            order(f"early{number}", f"v{number}", occurred_at=ago(clock.now(), hours=3), **touch)
        )
        assert (early.attribution.referrer_id, reason(early)) == ("", "TOUCH_TOO_LATE")
        (loser,) = early.attribution.losers
        assert (loser.referrer_id, loser.reason) == ("olga", Reason.ATTRIBUTION_REASON_TOUCH_TOO_LATE)
        assert not (await caller.get(f"v{number}")).HasField("binding")
        near = ago(clock.now(), hours=2, minutes=1)
        assert reason(await caller.record(order(f"near{number}", f"v{number}", occurred_at=near, **touch))) == "CLICK"


@pytest.mark.parametrize("way", ["one", "several", "plain"])
async def test_an_edge_whose_clock_is_ahead_brings_its_buyers(program: Program, clock: ManualClock, way: str) -> None:
    caller = await program()
    await caller.enroll("olga")
    ahead = clock.now() + timedelta(minutes=59)
    click = click_pb2.Click(program_id=caller.program_id, link_id=(await caller.link("olga")).link_id)
    if way == "plain":
        click.click_id, click.visitor_id = new_click_id(unix_ms(ahead)), "v"
    else:
        click.occurred_at.CopyFrom(to_timestamp(ahead))
    stub = click_pb2_grpc.ClickServiceStub(caller.running.channel)
    if way == "one":
        token = (await stub.RecordClick(click_pb2.RecordClickRequest(click=click), timeout=TIMEOUT)).click_token
    else:
        several = click_pb2.RecordClicksRequest(clicks=[click], return_tokens=True)
        (token,) = (await stub.RecordClicks(several, timeout=TIMEOUT)).click_tokens
    bought = await caller.record(order("1", "vera", click_token=token))
    assert (bought.attribution.referrer_id, reason(bought)) == ("olga", "CLICK")


CREDITED = program_pb2.CREDIT_BEFORE_BINDING_CREDITED
NOT_CREDITED = program_pb2.CREDIT_BEFORE_BINDING_NOT_CREDITED


@pytest.mark.parametrize("says", [{}, {"credit_before_binding": CREDITED}, {"credit_before_binding": NOT_CREDITED}])
async def test_orders_of_before_the_binding_are_credited_as_the_policy_says(
    program: Program, clock: ManualClock, says: dict[str, Any]
) -> None:
    caller = await program(**says)
    await caller.enroll("top")
    await caller.enroll("olga", sponsor_id="top")
    await caller.enroll("vera", sponsor_id="olga")
    old = await caller.record(order("1", "vera", occurred_at=ago(clock.now(), days=1_095)))
    new = await caller.record(order("2", "vera"))
    (told, after) = (event.recorded for event in await caller.events())
    assert told.HasField("bind_time")
    if says.get("credit_before_binding") == NOT_CREDITED:
        assert (old.attribution.referrer_id, reason(old), list(told.upline)) == ("", "BEFORE_BINDING", [])
    else:
        assert (old.attribution.referrer_id, reason(old)) == ("olga", "BOUND")
        assert [each.participant_id for each in told.upline] == ["olga", "top"]
    assert (new.attribution.referrer_id, reason(new)) == ("olga", "BOUND")
    assert [each.participant_id for each in after.upline] == ["olga", "top"]


async def test_the_order_that_binds_is_credited_however_late_it_is_reported(
    program: Program, clock: ManualClock
) -> None:
    caller = await program(credit_before_binding=NOT_CREDITED)
    await caller.enroll("olga")
    code = await caller.code("olga")
    drafts = [
        order("binds", "vera", code=code, occurred_at=ago(clock.now(), days=30)),
        order("after", "vera", occurred_at=ago(clock.now(), days=29)),
        order("before", "vera", occurred_at=ago(clock.now(), days=31)),
        order("nearly", "vera", occurred_at=ago(clock.now(), days=30, minutes=1)),
    ]
    await caller.record_all(drafts)
    found = {each.conversion_id: reason(await caller.conversion(each.conversion_id)) for each in drafts}
    assert found == {"binds": "CODE", "after": "BOUND", "before": "BEFORE_BINDING", "nearly": "BOUND"}
    assert (
        reason(await caller.record(order("earlier", "vera", occurred_at=ago(clock.now(), days=31)))) == "BEFORE_BINDING"
    )


async def test_a_token_of_another_program_is_no_token(program: Program, clock: ManualClock) -> None:
    ours, theirs = await program(), await program()
    await theirs.enroll("olga")
    recorded = await ours.record(order("1", "vera", click_token=await theirs.token("olga", clock.now())))
    assert reason(recorded) == "INVALID_TOKEN"


async def test_per_conversion_binds_nobody(program: Program, clock: ManualClock) -> None:
    caller = await program(binding=PER_CONVERSION)
    await caller.enroll("top")
    await caller.enroll("olga", sponsor_id="top")
    recorded = await caller.record(order("1", "vera", click_token=await caller.token("olga", clock.now())))
    assert reason(recorded) == "CLICK"
    assert reason(await caller.record(order("2", "vera"))) == "NO_TOUCH"
    assert not (await caller.get("vera")).HasField("binding")
    events = await caller.events()
    assert [[each.participant_id for each in event.recorded.upline] for event in events] == [["olga", "top"], []]
    own_downline = await caller.record(order("3", "top", code=await caller.code("olga")))
    assert reason(own_downline) == "CYCLE"


async def test_new_only(program: Program) -> None:
    caller = await program(bindable=NEW_ONLY, enroll_buyers=False)
    await caller.enroll("olga")
    code = await caller.code("olga")
    assert reason(await caller.record(order("1", "vera"))) == "NO_TOUCH"
    assert reason(await caller.record(order("2", "vera", code=code))) == "NOT_NEW"
    assert reason(await caller.record(order("3", "vera", code=code, new_customer=True))) == "CODE"
    assert reason(await caller.record(order("4", "anna", code=code, new_customer=False))) == "NOT_NEW"
    assert reason(await caller.record(order("5", "nina", code=code))) == "CODE"


async def test_default_sponsor_of_conversions(program: Program) -> None:
    caller = await program(default_sponsor_id="house")
    assert reason(await caller.record(order("1", "early"))) == "NO_TOUCH"
    await caller.enroll("house")
    assert reason(await caller.record(order("2", "early"))) == "DEFAULT_SPONSOR"
    assert reason(await caller.record(order("3", "house"))) == "NO_TOUCH"
    assert (await caller.get("early")).binding.sponsor_id == "house"


async def test_a_batch_decides_in_its_own_order(program: Program) -> None:
    """One new buyer several times, and two who refer each other, in one call."""
    caller = await program()
    await caller.enroll("olga")
    await caller.enroll("a")
    await caller.enroll("b")
    code, code_a, code_b = await caller.code("olga"), await caller.code("a"), await caller.code("b")
    answer = await caller.record_all(
        [
            order("1", "vera"),
            order("2", "vera", code=code),
            order("3", "vera"),
            order("4", "a", code=code_b),
            order("5", "b", code=code_a),
            order("3", "vera"),
        ]
    )
    assert (answer.recorded_count, answer.existing_count, answer.attributed_count) == (5, 1, 3)
    found = {each: await caller.conversion(each) for each in "12345"}
    assert [reason(found[each]) for each in "12345"] == ["NO_TOUCH", "CODE", "BOUND", "CODE", "CYCLE"]
    listed = await caller.conversions.ListConversions(
        conversion_pb2.ListConversionsRequest(program_id=caller.program_id, page_size=2, buyer_id="vera"),
        timeout=TIMEOUT,
    )
    assert [each.draft.conversion_id for each in listed.conversions] == ["1", "2"]
    assert listed.next_page_token


async def test_same_id_same_content_is_the_same_conversion(program: Program, clock: ManualClock) -> None:
    caller = await program()
    first = await caller.record(order("1", "vera"))
    now = clock.now()
    clock.set(now + timedelta(seconds=1))
    assert await caller.record(order("1", "vera")) == first
    clock.set(now)
    assert len(await caller.events()) == 1
    async with refused() as told:
        await caller.record_all([order("2", "vera"), order("1", "vera", 20_000)])
    assert (told[0].code, told[0].fields) == (CODE.ALREADY_EXISTS, ["conversions[1].conversion_id"])
    async with refused() as told:
        await caller.record_all([order("2", "vera"), order("2", "anna")])
    assert told[0].fields == ["conversions[1].conversion_id"]
    async with refused() as told:
        await caller.conversion("2")
    assert told[0].code == CODE.NOT_FOUND


LINE = conversion_pb2.ConversionLine
MAX = 2**63 - 1


@pytest.mark.parametrize(
    ("draft", "field"),
    [
        (order("1", "v", -1), "amount.amount_minor"),
        (
            conversion_pb2.ConversionDraft(
                conversion_id="1", event_type="order", buyer_id="v", amount=money_pb2.Money(currency_code="ZZZ")
            ),
            "amount.currency_code",
        ),
        (
            conversion_pb2.ConversionDraft(
                conversion_id="1", event_type="order", buyer_id="v", amount=money_pb2.Money(currency_code="USD")
            ),
            "amount.currency_code",
        ),
        (order("1", "v", 5, lines=[LINE(amount_minor=2), LINE(amount_minor=2)]), "lines"),
        (order("1", "v", 5, lines=[LINE(amount_minor=MAX), LINE(amount_minor=MAX)]), "lines"),
        (order("1", "v", 5, lines=[LINE(line_id="2", amount_minor=2), LINE(amount_minor=3)]), "lines[1].line_id"),
        (order("1", "v", 5, lines=[LINE(amount_minor=-5)]), "lines[0].amount_minor"),
        (order("1", "v", occurred_at={"seconds": 253_402_300_799}), "occurred_at"),
        (order("1", "v", attributes={"a": "\x00"}), "attributes"),
        (order("1\n", "v"), "conversion_id"),
        (order("1", ""), "buyer_id"),
    ],
)
async def test_bad_conversion_names_the_field(
    program: Program, draft: conversion_pb2.ConversionDraft, field: str
) -> None:
    caller = await program()
    async with refused() as told:
        await caller.record_all([order("0", "v"), draft])
    assert (told[0].code, told[0].fields) == (CODE.INVALID_ARGUMENT, [f"conversions[1].{field}"])


async def test_time_ahead_of_ours(program: Program, clock: ManualClock) -> None:
    caller = await program()
    await caller.record(order("1", "v", occurred_at=ago(clock.now(), minutes=-5)))
    async with refused() as told:
        await caller.record(order("2", "v", occurred_at=ago(clock.now(), minutes=-5, microseconds=-1)))
    assert told[0].fields == ["conversion.occurred_at"]


async def test_the_largest_amount(program: Program) -> None:
    caller = await program()
    await caller.enroll("olga")
    await caller.enroll("vera", sponsor_id="olga")
    assert (await caller.record(order("1", "vera", MAX_AMOUNT_MINOR))).draft.amount.amount_minor == MAX_AMOUNT_MINOR
    for beyond in (MAX_AMOUNT_MINOR + 1, MAX):
        async with refused() as told:
            await caller.record(order("2", "vera", beyond))
        assert told[0].fields == ["conversion.amount.amount_minor"]


async def test_an_event_without_an_amount_is_worth_zero(program: Program) -> None:
    caller = await program()
    recorded = await caller.record(
        conversion_pb2.ConversionDraft(conversion_id="1", event_type="review", buyer_id="vera")
    )
    assert recorded.draft.amount == rubles(0)


async def test_events_leave_for_the_stream(program: Program) -> None:
    caller = await program()
    await caller.record(order("1", "vera"))
    async with asyncio.timeout(TIMEOUT):
        while await caller.unpublished():
            await asyncio.sleep(0.02)


async def test_batch_over_the_limit(program: Program) -> None:
    caller = await program()
    async with refused() as told:
        await caller.record_all([order(str(i), "v") for i in range(1001)])
    assert (told[0].code, told[0].fields) == (CODE.INVALID_ARGUMENT, ["conversions"])
    answer = await caller.record_all([order(str(i), f"v{i}") for i in range(1000)])
    assert answer.recorded_count == 1000
    assert len(await caller.events()) == 1000


async def test_each_event_tells_its_place_in_the_call(program: Program) -> None:
    caller = await program()
    await caller.reverse("early", "b")
    ids = ["c", "b", "a"]
    await caller.record_all([order(each, "v") for each in ids])
    await caller.record_all([order(each, "v") for each in ("a", "z", "y")])
    await caller.reverse("late", "z")
    places = {}
    for event in await caller.events():
        place = (event.recorded if event.HasField("recorded") else event.reversed).call_place
        places[event.event_id.rpartition("/")[2]] = (place.call_key, place.number)
    first, second = places["c"][0], places["z"][0]
    assert places.pop("late")[1] == 1
    assert list(places.items()) == [
        *((name, (first, number)) for number, name in enumerate(["c", "b", "a", "early"], start=1)),
        *((name, (second, number)) for number, name in enumerate(["z", "y"], start=1)),
    ]
    assert first < second


async def test_a_call_of_usual_orders_goes_out_in_one_message(program: Program) -> None:
    caller = await program()
    await caller.record_all([order(str(number), f"buyer-{number}") for number in range(1_000)])
    assert [len(each) for each in await caller.messages()] == [1_000]


async def test_unknown_program(program: Program) -> None:
    caller = Caller((await program()).running, "no-such-program")
    async with refused() as told:
        await caller.record(order("1", "v"))
    assert told[0].code == CODE.NOT_FOUND


async def test_two_instances_record_the_same_orders_once(program: Program, second_attribution: Running) -> None:
    caller = await program()
    other = Caller(second_attribution, caller.program_id)
    await caller.enroll("olga")
    await caller.enroll("maria")
    codes = [await caller.code("olga"), await caller.code("maria")]
    for turn in range(4):
        drafts = [order(f"{turn}-{i}", f"buyer-{turn}-{i % 60}", code=codes[(i // 60 + i) % 2]) for i in range(200)]
        shuffled = drafts[:]
        random.Random(turn).shuffle(shuffled)
        answers = await asyncio.gather(
            caller.record_all(drafts), other.record_all(drafts), other.record_all(shuffled), caller.record_all(shuffled)
        )
        assert sum(each.recorded_count for each in answers) == 200
        assert sum(each.existing_count for each in answers) == 600
    events = await caller.events()
    assert len(events) == len({each.event_id for each in events}) == 800
    credited = {(each.draft.buyer_id, each.attribution.referrer_id) for each in (e.recorded.conversion for e in events)}
    assert len(credited) == 240
    for buyer_id, referrer_id in credited:
        assert (await caller.get(buyer_id)).binding.sponsor_id == referrer_id


async def test_two_instances_bind_the_same_old_buyers_once(program: Program, second_attribution: Running) -> None:
    caller = await program()
    other = Caller(second_attribution, caller.program_id)
    for each in ("olga", "maria"):
        await caller.enroll(each)
    codes = [await caller.code("olga"), await caller.code("maria")]
    await caller.people.EnrollParticipants(
        participant_pb2.EnrollParticipantsRequest(
            request_id=request_id(),
            program_id=caller.program_id,
            participants=[participant_pb2.ParticipantDraft(participant_id=f"b{i}") for i in range(100)],
        ),
        timeout=TIMEOUT,
    )
    await asyncio.gather(
        *(
            each.record_all([order(f"{number}-{i}", f"b{i}", code=codes[number]) for i in range(100)])
            for number, each in enumerate((caller, other))
        )
    )
    sponsors = {f"b{i}": (await caller.get(f"b{i}")).binding.sponsor_id for i in range(100)}
    for event in await caller.events():
        conversion = event.recorded.conversion
        assert conversion.attribution.referrer_id == sponsors[conversion.draft.buyer_id]


async def test_first_and_last_touch(program: Program, clock: ManualClock) -> None:
    for touch, wanted in ((program_pb2.TOUCH_FIRST, "olga"), (program_pb2.TOUCH_LAST, "maria")):
        caller = await program(touch=touch)
        for hours, name in ((2, "olga"), (1, "maria")):
            await caller.enroll(name)
            link = await caller.link(name)
            await caller.click(link.link_id, "visitor", clock.now() - timedelta(hours=hours))
        await caller.clicks_written(2)
        recorded = await caller.record(order("1", "vera", visitor_id="visitor"))
        assert (recorded.attribution.referrer_id, reason(recorded)) == (wanted, "CLICK")
        assert (recorded.attribution.channel, recorded.attribution.campaign) == ("chat", "spring")
        assert len(recorded.attribution.losers) == 1
