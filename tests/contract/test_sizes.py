"""How long requests may be, how long answers get, and that a client with gRPC's own limits can read all of them."""

from collections.abc import Callable
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor
from upline.attribution.v1 import conversion_pb2, participant_pb2

from chassis.pages import MAX_PAGE_BYTES, MAX_PAGE_SIZE
from chassis.sizes import MAX_READ_BYTES, MAX_REQUEST_BYTES, SizeBound
from services.attribution.events import MAX_PAYLOAD_BYTES
from tests.contract.conftest import Channels
from tests.contract.surface import METHODS, UNARY, call, owner, request_of
from tests.contract.test_surface import name, outcome
from tests.errors import reason_of, status_of, violated_fields
from tests.integration.attribution.people import Caller, order
from tests.running import DEADLINE_SECONDS, Running

PAGED = [method for method in METHODS if "page_size" in method.input_type.fields_by_name]
WIDE = {f"{key:02}": "x" * 256 for key in range(50)}
"""Attributes of some 13 kB, as many as the contract takes."""


@pytest.fixture
async def shop(attribution: Running, new_program_id: Callable[[str], str]) -> Caller:
    """A program of the test's own."""
    return await Caller(attribution, new_program_id("sizes")).create()


@pytest.mark.parametrize("method", UNARY, ids=name)
async def test_a_request_that_is_too_long_is_invalid_and_not_overload(
    method: MethodDescriptor, channels: Channels
) -> None:
    bound = SizeBound.of(method)
    send = channels[owner(method.containing_service)].unary_unary(
        f"/{method.containing_service.full_name}/{method.name}"
    )
    # One field that no contract knows, one byte too long together with its tag and length.
    content = b"\xfa\xff\x03" + _varint(bound.most_bytes - 6) + bytes(bound.most_bytes - 6)
    assert len(content) == bound.most_bytes + 1
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await send(content, timeout=DEADLINE_SECONDS)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert reason_of(caught.value) == "TOO_LONG"
    assert f"{bound.most_bytes:,}" in (caught.value.details() or "")
    assert violated_fields(caught.value) == ([bound.field] if bound.field else [])


async def test_too_many_clicks_on_a_stream_are_invalid_and_not_overload(channels: Channels) -> None:
    stream = channels["attribution"].stream_stream("/upline.attribution.v1.ClickService/StreamClicks")
    answers = stream(iter([bytes(MAX_REQUEST_BYTES + 1)]), timeout=DEADLINE_SECONDS)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await anext(aiter(answers))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert violated_fields(caught.value) == ["clicks"]


@pytest.mark.parametrize("process", ["attribution", "rewards", "notify"])
async def test_only_what_grpc_itself_cannot_read_is_out_of_resources(process: str, channels: Channels) -> None:
    stub = channels[process].unary_unary("/grpc.health.v1.Health/Check")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub(bytes(MAX_READ_BYTES + 1), timeout=DEADLINE_SECONDS)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_thousand_orders_of_a_hundred_lines_are_told_to_come_in_smaller_calls(shop: Caller) -> None:
    lines = [
        conversion_pb2.ConversionLine(sku=f"sku-{number:09}", category="groceries / dairy / milk", amount_minor=100)
        for number in range(100)
    ]
    drafts = [order(f"order-{number}", "vera", 10_000, lines=lines) for number in range(1_000)]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await shop.record_all(drafts)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert violated_fields(caught.value) == ["conversions"]
    assert "send fewer conversions at once" in (caught.value.details() or "")
    assert (await shop.record_all(drafts[:500])).recorded_count == 500


async def test_an_order_that_is_too_long_is_named_in_a_call_of_many(shop: Caller) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await shop.record_all([order("small", "vera"), _long_order("long", MAX_PAYLOAD_BYTES + 1)])
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert violated_fields(caught.value) == ["conversions[1]"]


async def test_the_longest_order_that_is_taken_can_be_read_again(shop: Caller) -> None:
    draft = _long_order("long", MAX_PAYLOAD_BYTES - 20_000)
    assert (await shop.record(draft)).draft.attributes == draft.attributes
    await shop.record(order("short", "vera"))
    for number in range(3):
        part = conversion_pb2.LineReversals(
            lines=[conversion_pb2.LineReversal(line_id=str(line + 1), amount_minor=1) for line in range(500)]
        )
        await shop.reverse(f"part-{number}", "long", lines=part)
    told = (await shop.conversions.GetConversion(_one(shop, "long"), timeout=DEADLINE_SECONDS)).conversion
    assert told.reversal_count == len(told.reversals) == 3
    pages = await _pages(shop, conversion_pb2.ListConversionsRequest(program_id=shop.program_id, page_size=1_000))
    assert [[each.draft.conversion_id for each in page.conversions] for page in pages] == [["long", "short"]]


async def test_orders_are_listed_in_pages_that_clients_can_read(shop: Caller) -> None:
    ids = [f"order-{number:03}" for number in range(400)]
    for start in range(0, len(ids), 100):
        await shop.record_all([order(each, "vera", attributes=WIDE) for each in ids[start : start + 100]])
    pages = await _pages(shop, conversion_pb2.ListConversionsRequest(program_id=shop.program_id, page_size=1_000))
    assert [each.draft.conversion_id for page in pages for each in page.conversions] == ids
    _are_full(pages)


async def test_referees_are_listed_in_pages_that_clients_can_read(shop: Caller) -> None:
    await shop.enroll("maria")
    referees = [f"referee-{number:02}" for number in range(25)]
    for referee in referees:
        await shop.enroll(referee, sponsor_id="maria")
        await shop.record_all([order(f"{referee}-{number}", referee, attributes=WIDE) for number in range(20)])
    request = participant_pb2.ListReferralsRequest(
        program_id=shop.program_id, participant_id="maria", page_size=MAX_PAGE_SIZE
    )
    pages = await _pages(shop, request)
    assert [each.participant_id for page in pages for each in page.referrals] == referees
    _are_full(pages)


@pytest.mark.parametrize("shape", ["chain", "fan"])
async def test_trees_are_listed_in_pages_that_clients_can_read(shop: Caller, shape: str) -> None:
    people = [f"person-{number:03}" for number in range(240)]
    for place, each in enumerate(people):
        above = people[place - 1] if shape == "chain" else people[place // 15]
        await shop.enroll(each, sponsor_id=above if place else "", attributes=WIDE)
    down = participant_pb2.ListDownlineRequest(
        program_id=shop.program_id, participant_id=people[0], page_size=MAX_PAGE_SIZE
    )
    pages = await _pages(shop, down)
    assert [each.participant_id for page in pages for each in page.descendants] == people[1:]
    _are_full(pages)
    if shape == "chain":
        up = participant_pb2.ListUplineRequest(
            program_id=shop.program_id, participant_id=people[-1], page_size=MAX_PAGE_SIZE
        )
        pages = await _pages(shop, up)
        assert [each.participant_id for page in pages for each in page.ancestors] == people[-2::-1]
        _are_full(pages)


@pytest.mark.parametrize("method", PAGED, ids=name)
async def test_a_page_size_that_is_too_large_is_cut_and_a_negative_one_refused(
    method: MethodDescriptor, channels: Channels
) -> None:
    channel = channels[owner(method.containing_service)]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(channel, method, request_of(method, page_size=-1))
    assert "page_size" in violated_fields(caught.value)
    request = request_of(method, page_size=1_000_000)
    if await outcome(channel, method, request) is grpc.StatusCode.INVALID_ARGUMENT:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(channel, method, request)
        assert "page_size" not in violated_fields(caught.value)


async def test_more_than_a_thousand_on_a_page_are_not_to_be_had(shop: Caller) -> None:
    ids = [f"order-{number:04}" for number in range(1_200)]
    for some in (ids[:600], ids[600:]):
        await shop.record_all([order(each, "vera") for each in some])
    pages = await _pages(shop, conversion_pb2.ListConversionsRequest(program_id=shop.program_id, page_size=5_000))
    assert [len(page.conversions) for page in pages] == [1_000, 200]


async def test_of_many_mistakes_the_first_and_their_number_are_told(shop: Caller) -> None:
    drafts = [order(f"order-{number}", "", code="буквы") for number in range(100)]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await shop.record_all(drafts)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert violated_fields(caught.value) == [f"conversions[{place}].buyer_id" for place in range(20)]
    assert (caught.value.details() or "").startswith("100 fields are at fault, among them conversions[0].buyer_id: ")
    assert status_of(caught.value).details[0].value.find(b"violation_count") > 0


async def test_a_name_of_any_length_is_told_to_exist_nowhere(shop: Caller) -> None:
    request = conversion_pb2.GetConversionRequest(program_id="п" * 100_000, conversion_id="order-1")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await shop.conversions.GetConversion(request, timeout=DEADLINE_SECONDS)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert reason_of(caught.value) == "PROGRAM_NOT_FOUND"


def _varint(number: int) -> bytes:
    """A length as protobuf writes it."""
    content = b""
    while number > 127:
        content, number = content + bytes([number & 127 | 128]), number >> 7
    return content + bytes([number])


def _long_order(conversion_id: str, size_bytes: int) -> conversion_pb2.ConversionDraft:
    """An order of 500 lines with attributes that make it as long as that; at most 12 kB more."""
    draft = order(conversion_id, "vera", 50_000)
    while draft.ByteSize() < size_bytes:
        draft.lines.add(amount_minor=100, attributes={f"{key:02}": "я" * 256 for key in range(20)})
    for _ in range(500 - len(draft.lines)):
        draft.lines.add(amount_minor=100)
    return draft


def _one(shop: Caller, conversion_id: str) -> conversion_pb2.GetConversionRequest:
    return conversion_pb2.GetConversionRequest(program_id=shop.program_id, conversion_id=conversion_id)


async def _pages(shop: Caller, request: Any) -> list[Any]:
    """Every page, read by a client that reads at most 4 MB."""
    method = next(each for each in METHODS if each.input_type.full_name == request.DESCRIPTOR.full_name)
    pages = []
    while True:
        page: Any = await call(shop.running.channel, method, request)
        pages.append(page)
        if not page.next_page_token:
            return pages
        request.page_token = page.next_page_token


def _are_full(pages: list[Any]) -> None:
    """Several pages, each as long as may be and none longer, but for its token."""
    assert len(pages) > 1
    assert all(page.ByteSize() < MAX_PAGE_BYTES + 10_000 for page in pages)
    assert all(page.ByteSize() > MAX_PAGE_BYTES * 3 // 5 for page in pages[:-1])
