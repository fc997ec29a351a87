"""The share that a referrer chose to give away, and who led to a conversion: from the link to the event."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import grpc
import pytest
from upline.attribution.v1 import conversion_pb2, events_pb2, link_pb2

from chassis.clock import ManualClock
from tests.integration.attribution.people import NEW_ONLY, PER_CONVERSION, TIMEOUT, Caller, order, refused, request_id
from tests.running import Running

Program = Callable[..., Awaitable[Caller]]


async def recorded(caller: Caller) -> dict[str, events_pb2.ConversionRecorded]:
    """The events of conversions, by conversion."""
    return {
        each.recorded.conversion.draft.conversion_id: each.recorded
        for each in await caller.events()
        if each.HasField("recorded")
    }


async def test_a_choice_is_kept_with_links_and_codes(program: Program) -> None:
    caller = await program()
    await caller.enroll("olga")
    link = await caller.link("olga", "050.50")
    code = await caller.code("olga", "100")
    assert link.share_percent == "50.5"
    names = {"program_id": caller.program_id, "participant_id": "olga"}
    by_id = await caller.links.GetLink(
        link_pb2.GetLinkRequest(program_id=caller.program_id, link_id=link.link_id), timeout=TIMEOUT
    )
    listed = await caller.links.ListLinks(link_pb2.ListLinksRequest(**names), timeout=TIMEOUT)
    codes = await caller.links.ListCodes(link_pb2.ListCodesRequest(**names), timeout=TIMEOUT)
    assert (by_id.link, list(listed.links)) == (link, [link])
    assert [each.share_percent for each in codes.codes] == ["100"]
    greeting = await caller.links.ResolveCode(
        link_pb2.ResolveCodeRequest(program_id=caller.program_id, code=code), timeout=TIMEOUT
    )
    assert greeting.code.share_percent == "100"


@pytest.mark.parametrize("share_percent", ["100.1", "999", "-1", "1e1", "half", "50,5", "1.0000001"])
async def test_a_share_of_more_than_the_whole_is_refused(program: Program, share_percent: str) -> None:
    caller = await program()
    await caller.enroll("olga")
    for call in (caller.link, caller.code):
        async with refused() as told:
            await call("olga", share_percent)
        assert (told[0].code, told[0].fields) == (grpc.StatusCode.INVALID_ARGUMENT, ["share_percent"])


async def test_every_way_to_be_bound_pins_the_choice(program: Program, clock: ManualClock) -> None:
    caller = await program()
    await caller.enroll("olga")
    now = clock.now()
    link = await caller.link("olga", "30")
    await caller.click(link.link_id, "visitor", now)
    await caller.clicks_written(1)
    await caller.enroll("by-code", code=await caller.code("olga", "10"), record_sign_up=True)
    await caller.enroll("by-token", click_token=await caller.token("olga", now, "20"), record_sign_up=True)
    await caller.enroll("by-visitor", visitor_id="visitor", record_sign_up=True)
    await caller.enroll("by-name", sponsor_id="olga", record_sign_up=True)
    await caller.record(order("bought", "by-order", code=await caller.code("olga", "0")))
    await caller.enroll("unbound")
    await caller.record(order("late", "unbound", code=await caller.code("olga", "40")))
    wanted = {"by-code": "10", "by-token": "20", "by-visitor": "30", "by-name": "", "by-order": "0", "unbound": "40"}
    pinned = {each: (await caller.get(each)).binding.share_percent for each in wanted}
    assert pinned == wanted
    events = await recorded(caller)
    told = {each.conversion.draft.buyer_id: each.share_percent for each in events.values()}
    assert told == wanted
    owners = {each.conversion.draft.buyer_id: each.link_owner_id for each in events.values()}
    assert owners == {**dict.fromkeys(wanted, "olga"), "by-name": ""}


async def test_what_was_pinned_stays_and_another_links_owner_is_told(program: Program, clock: ManualClock) -> None:
    caller = await program()
    for each in ("olga", "maria"):
        await caller.enroll(each, attributes={"name": each})
    await caller.enroll("vera", code=await caller.code("olga", "50"))
    await caller.record(order("plain", "vera"))
    await caller.record(order("again", "vera", code=await caller.code("olga", "100")))
    await caller.record(order("other", "vera", click_token=await caller.token("maria", clock.now(), "25")))
    await caller.record(order("own", "vera", code=await caller.code("vera", "75")))
    await caller.record(
        order("old", "vera", click_token=await caller.token("maria", clock.now() - timedelta(days=31), "25"))
    )
    events = await recorded(caller)
    assert {key: (each.share_percent, each.link_owner_id) for key, each in events.items()} == {
        "plain": ("50", ""),
        "again": ("50", "olga"),
        "other": ("50", "maria"),
        "own": ("50", ""),
        "old": ("50", ""),
    }
    assert {key: each.link_share_percent for key, each in events.items()} == {
        "plain": "", "again": "100", "other": "25", "own": "", "old": "",
    }  # fmt: skip
    strangers = {key: dict(each.link_owner_attributes) for key, each in events.items() if each.link_owner_attributes}
    assert strangers == {"other": {"name": "maria"}}, "the upline has its own"
    assert all([each.participant_id for each in event.upline] == ["olga"] for event in events.values())
    assert (await caller.get("vera")).binding.share_percent == "50"


async def test_conversions_of_one_batch_share_what_the_first_one_pinned(program: Program) -> None:
    caller = await program()
    for each in ("olga", "maria"):
        await caller.enroll(each)
    half, all_of_it = await caller.code("olga", "50"), await caller.code("maria", "100")
    await caller.record_all([order("1", "vera", code=half), order("2", "vera", code=all_of_it), order("3", "vera")])
    events = await recorded(caller)
    assert {key: (each.share_percent, each.link_owner_id) for key, each in events.items()} == {
        "1": ("50", "olga"),
        "2": ("50", "maria"),
        "3": ("50", ""),
    }


async def test_per_conversion_each_link_speaks_for_itself(program: Program) -> None:
    caller = await program(binding=PER_CONVERSION)
    for each in ("olga", "maria"):
        await caller.enroll(each)
    await caller.record(order("1", "vera", code=await caller.code("olga", "50")))
    await caller.record(order("2", "vera", code=await caller.code("maria")))
    await caller.record(order("3", "vera", code=await caller.code("maria", "0")))
    await caller.record(order("4", "vera"))
    events = await recorded(caller)
    assert {key: (each.share_percent, each.link_owner_id) for key, each in events.items()} == {
        "1": ("50", "olga"),
        "2": ("", "maria"),
        "3": ("0", "maria"),
        "4": ("", ""),
    }


async def test_an_old_customer_is_not_bound_but_was_led_here(program: Program) -> None:
    caller = await program(bindable=NEW_ONLY)
    await caller.enroll("olga")
    await caller.record(order("1", "vera"))
    await caller.record(order("2", "vera", code=await caller.code("olga", "50")))
    event = (await recorded(caller))["2"]
    assert (event.conversion.attribution.referrer_id, event.share_percent, event.link_owner_id) == ("", "", "olga")


async def test_binds_at_once_pin_the_choice_of_whoever_won(program: Program, second_attribution: Running) -> None:
    caller = await program()
    callers = (caller, Caller(second_attribution, caller.program_id))
    sponsors = [f"s{i}" for i in range(4)]
    codes = {}
    for share, each in enumerate(sponsors):
        await caller.enroll(each)
        codes[await caller.code(each, str(share * 25))] = (each, str(share * 25))
    for turn in range(10):
        buyer = f"b{turn}"
        orders = [order(f"{buyer}-{each}", buyer, code=code) for each, code in enumerate(codes)]
        await asyncio.gather(*(callers[place % 2].record(each) for place, each in enumerate(orders)))
        bond = (await caller.get(buyer)).binding
        assert (bond.sponsor_id, bond.share_percent) == codes[bond.code]
    events = await recorded(caller)
    assert len(events) == 40
    for event in events.values():
        bond = (await caller.get(event.conversion.draft.buyer_id)).binding
        assert event.share_percent == bond.share_percent
        assert event.link_owner_id == codes[event.conversion.draft.code][0]
        assert [each.participant_id for each in event.upline] == [bond.sponsor_id]


async def test_a_repeated_request_keeps_its_choice(program: Program) -> None:
    caller = await program()
    await caller.enroll("olga")
    ask = link_pb2.CreateCodeRequest(
        request_id=request_id(), program_id=caller.program_id, participant_id="olga", share_percent="50"
    )
    first = await caller.links.CreateCode(ask, timeout=TIMEOUT)
    assert await caller.links.CreateCode(ask, timeout=TIMEOUT) == first
    ask.share_percent = "60"
    async with refused() as told:
        await caller.links.CreateCode(ask, timeout=TIMEOUT)
    assert told[0].code is grpc.StatusCode.ALREADY_EXISTS


async def test_a_refund_by_line_reaches_the_event(program: Program) -> None:
    """Rules on lines take back by line, so the event says how much of which line, also where the caller named an amount
    only."""
    caller = await program()
    lines = [
        conversion_pb2.ConversionLine(line_id="tea", sku="T", category="drinks", amount_minor=3_000),
        conversion_pb2.ConversionLine(line_id="cup", sku="C", category="ware", amount_minor=7_000),
    ]
    await caller.record(order("1", "vera", lines=lines))
    tea = conversion_pb2.LineReversals(lines=[conversion_pb2.LineReversal(line_id="tea", amount_minor=1_000)])
    await caller.reverse("by-line", "1", lines=tea)
    await caller.reverse("by-amount", "1", amount=order("", "vera", 900).amount)
    await caller.reverse("rest", "1")
    reversals = [each.reversed.reversal for each in await caller.events() if each.HasField("reversed")]
    told = [({line.line_id: line.amount_minor for line in each.lines}, each.completes) for each in reversals]
    assert told == [
        ({"tea": 1_000}, False),
        ({"tea": 200, "cup": 700}, False),
        ({"tea": 1_800, "cup": 6_300}, True),
    ]
