"""Links, codes, QR images and shares, over gRPC."""

import asyncio
import struct
import uuid
import zlib
from collections.abc import Callable

import grpc
import pytest
import segno
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from upline.attribution.v1 import link_pb2, link_pb2_grpc

from tests.conftest import Servers
from tests.integration.attribution.clicking import HOST, MARIA, Shop, enroll, make_program, open_shop, refused, rows
from tests.running import DEADLINE_SECONDS, Running

NewProgramId = Callable[[str], str]


@pytest.fixture
def links(attribution: Running) -> link_pb2_grpc.LinkServiceStub:
    return link_pb2_grpc.LinkServiceStub(attribution.channel)


@pytest.fixture
async def shop(attribution: Running, new_program_id: NewProgramId) -> Shop:
    return await open_shop(attribution, new_program_id("links"))


def ask(shop: Shop, **fields: object) -> link_pb2.CreateLinkRequest:
    return link_pb2.CreateLinkRequest(
        **{
            "request_id": str(uuid.uuid4()),
            "program_id": shop.program_id,
            "participant_id": MARIA,
            "destination_url": f"https://{HOST}/",
            **fields,
        }
    )


def ask_code(shop: Shop, code: str = "", participant_id: str = MARIA) -> link_pb2.CreateCodeRequest:
    return link_pb2.CreateCodeRequest(
        request_id=str(uuid.uuid4()), program_id=shop.program_id, participant_id=participant_id, code=code
    )


def ask_share(shop: Shop, channel: str, **fields: object) -> link_pb2.RecordShareRequest:
    return link_pb2.RecordShareRequest(
        **{
            "request_id": str(uuid.uuid4()),
            "program_id": shop.program_id,
            "participant_id": MARIA,
            "channel": channel,
            **fields,
        }
    )


def fields_at_fault(error: grpc.aio.AioRpcError) -> list[str]:
    status = rpc_status.from_call(error)
    assert status is not None
    bad = error_details_pb2.BadRequest()
    return [each.field for detail in status.details if detail.Unpack(bad) for each in bad.field_violations]


async def test_a_link_is_read_as_it_was_made(shop: Shop, links: link_pb2_grpc.LinkServiceStub) -> None:
    read = await links.GetLink(
        link_pb2.GetLinkRequest(program_id=shop.program_id, link_id=shop.link.link_id), timeout=DEADLINE_SECONDS
    )
    assert read.link == shop.link
    assert read.link.url.endswith(f"/r/{shop.program_id}/{shop.link.link_id}")
    assert len(read.link.link_id) == 18


async def test_a_repeated_request_makes_no_second_link(shop: Shop, links: link_pb2_grpc.LinkServiceStub) -> None:
    request = ask(shop)
    answers = await asyncio.gather(*(links.CreateLink(request, timeout=DEADLINE_SECONDS) for _ in range(5)))
    assert len({each.link.link_id for each in answers}) == 1


@pytest.mark.parametrize(
    "url",
    ["https://evil.example/", "https://shop.example@evil.example/", "javascript:alert(1)", "https://shop.example:81/"],
)
async def test_a_destination_elsewhere_is_refused(shop: Shop, links: link_pb2_grpc.LinkServiceStub, url: str) -> None:
    error = await refused(links.CreateLink(ask(shop, destination_url=url), timeout=DEADLINE_SECONDS))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert fields_at_fault(error) == ["destination_url"]


async def test_unknown_names_are_not_found(shop: Shop, links: link_pb2_grpc.LinkServiceStub) -> None:
    for call in (
        links.CreateLink(ask(shop, program_id="nowhere"), timeout=DEADLINE_SECONDS),
        links.CreateLink(ask(shop, participant_id="nobody"), timeout=DEADLINE_SECONDS),
        links.GetLink(link_pb2.GetLinkRequest(program_id=shop.program_id, link_id="x"), timeout=DEADLINE_SECONDS),
        links.ResolveCode(link_pb2.ResolveCodeRequest(program_id=shop.program_id, code="??"), timeout=DEADLINE_SECONDS),
        links.RecordShare(ask_share(shop, "vk", link_id="0" * 18), timeout=DEADLINE_SECONDS),
    ):
        assert (await refused(call)).code() is grpc.StatusCode.NOT_FOUND


async def test_a_zero_character_is_refused(shop: Shop, links: link_pb2_grpc.LinkServiceStub) -> None:
    for call in (
        links.CreateLink(ask(shop, channel="a\x00b"), timeout=DEADLINE_SECONDS),
        links.CreateLink(ask(shop, request_id="a\x00b"), timeout=DEADLINE_SECONDS),
    ):
        assert (await refused(call)).code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_links_are_listed_page_by_page(shop: Shop, links: link_pb2_grpc.LinkServiceStub) -> None:
    made = [shop.link.link_id]
    for _ in range(4):
        made.append((await links.CreateLink(ask(shop), timeout=DEADLINE_SECONDS)).link.link_id)
    request = link_pb2.ListLinksRequest(program_id=shop.program_id, participant_id=MARIA, page_size=2)
    listed: list[list[str]] = []
    while True:
        page = await links.ListLinks(request, timeout=DEADLINE_SECONDS)
        listed.append([each.link_id for each in page.links])
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert listed == [made[:2], made[2:4], made[4:]]
    request.participant_id = "another"
    error = await refused(links.ListLinks(request, timeout=DEADLINE_SECONDS))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_vanity_code_is_taken_once_whatever_its_case(
    attribution: Running, shop: Shop, links: link_pb2_grpc.LinkServiceStub
) -> None:
    await enroll(attribution, shop.program_id, "olga")
    outcomes = await asyncio.gather(
        *(
            links.CreateCode(ask_code(shop, code, participant), timeout=DEADLINE_SECONDS)
            for code, participant in (("Maria-10", MARIA), ("maria-10", "olga"), ("MARIA-10", "olga"))
        ),
        return_exceptions=True,
    )
    made = [each for each in outcomes if isinstance(each, link_pb2.CreateCodeResponse)]
    refusals = [each for each in outcomes if isinstance(each, grpc.aio.AioRpcError)]
    assert [each.code.code for each in made] == ["MARIA-10"]
    assert [each.code() for each in refusals] == [grpc.StatusCode.ALREADY_EXISTS] * 2
    assert fields_at_fault(refusals[0]) == ["code"]


async def test_a_code_greets_with_its_owner(shop: Shop, links: link_pb2_grpc.LinkServiceStub) -> None:
    code = (await links.CreateCode(ask_code(shop), timeout=DEADLINE_SECONDS)).code.code
    request = link_pb2.ResolveCodeRequest(program_id=shop.program_id, code=f" {code.lower()} ")
    greeting = await links.ResolveCode(request, timeout=DEADLINE_SECONDS)
    assert (greeting.code.participant_id, greeting.code.code) == (MARIA, code)
    assert dict(greeting.owner_attributes) == {"display_name": "Maria"}
    assert greeting.program_title == "A shop"
    codes = await links.ListCodes(
        link_pb2.ListCodesRequest(program_id=shop.program_id, participant_id=MARIA), timeout=DEADLINE_SECONDS
    )
    assert [each.code for each in codes.codes] == [code]


async def test_a_code_of_another_program_is_unknown(
    attribution: Running, shop: Shop, links: link_pb2_grpc.LinkServiceStub, new_program_id: NewProgramId
) -> None:
    other = new_program_id("links")
    await make_program(attribution, other)
    code = (await links.CreateCode(ask_code(shop), timeout=DEADLINE_SECONDS)).code.code
    call = links.ResolveCode(link_pb2.ResolveCodeRequest(program_id=other, code=code), timeout=DEADLINE_SECONDS)
    assert (await refused(call)).code() is grpc.StatusCode.NOT_FOUND


async def test_qr_says_the_links_address(shop: Shop, links: link_pb2_grpc.LinkServiceStub) -> None:
    request = link_pb2.GetQrCodeRequest(
        program_id=shop.program_id, link_id=shop.link.link_id, format=link_pb2.QR_FORMAT_PNG, scale=3
    )
    answer = await links.GetQrCode(request, timeout=DEADLINE_SECONDS)
    assert (answer.content_type, answer.content) == ("image/png", shop.link.url)
    expected = segno.make_qr(shop.link.url, error="m", boost_error=False)
    border, size = 4, expected.symbol_size(scale=1, border=4)[0]
    modules = png_modules(answer.image, scale=3)
    assert [row[border : size - border] for row in modules[border : size - border]] == [
        [bool(module) for module in row] for row in expected.matrix
    ]


async def test_qr_of_a_code_as_a_drawing(shop: Shop, links: link_pb2_grpc.LinkServiceStub) -> None:
    code = (await links.CreateCode(ask_code(shop), timeout=DEADLINE_SECONDS)).code.code
    request = link_pb2.GetQrCodeRequest(program_id=shop.program_id, code=code.lower(), format=link_pb2.QR_FORMAT_SVG)
    answer = await links.GetQrCode(request, timeout=DEADLINE_SECONDS)
    assert (answer.content_type, answer.content) == ("image/svg+xml", code)
    assert b"<svg" in answer.image


async def test_shares_at_once_are_all_counted(
    servers: Servers, shop: Shop, links: link_pb2_grpc.LinkServiceStub
) -> None:
    requests = [ask_share(shop, "telegram", link_id=shop.link.link_id) for _ in range(40)] + [ask_share(shop, "vk")]
    answers = await asyncio.gather(*(links.RecordShare(each, timeout=DEADLINE_SECONDS) for each in requests))
    assert sorted(each.share_count for each in answers[:40]) == list(range(1, 41))
    again = await links.RecordShare(requests[0], timeout=DEADLINE_SECONDS)
    assert again == answers[0]
    for participant_id in (MARIA, ""):
        counts = await links.GetShareCounts(
            link_pb2.GetShareCountsRequest(program_id=shop.program_id, participant_id=participant_id),
            timeout=DEADLINE_SECONDS,
        )
        assert [(each.channel, each.share_count) for each in counts.channels] == [("telegram", 40), ("vk", 1)]
        assert counts.share_count == 41
    assert rows(servers, "SELECT count(*) FROM share WHERE program_id = %s", shop.program_id) == [(41,)]


async def test_the_channels_shared_most_are_told_and_the_count_of_all(
    servers: Servers, shop: Shop, links: link_pb2_grpc.LinkServiceStub
) -> None:
    rows(
        servers,
        "INSERT INTO share_count (program_id, participant_id, channel, share_count)"
        " SELECT %s, %s, 'channel-' || number, number FROM generate_series(1, 1200) AS number",
        shop.program_id,
        MARIA,
    )
    request = link_pb2.GetShareCountsRequest(program_id=shop.program_id)
    counts = await links.GetShareCounts(request, timeout=DEADLINE_SECONDS)
    assert [each.share_count for each in counts.channels] == list(range(1_200, 200, -1))
    assert counts.share_count == 1_200 * 1_201 // 2


def png_modules(image: bytes, scale: int) -> list[list[bool]]:
    """The dark modules of a black and white PNG, border included."""
    assert image[:8] == b"\x89PNG\r\n\x1a\n"
    position, data, width, height, depth = 8, b"", 0, 0, 0
    while position < len(image):
        length, kind = struct.unpack_from(">I4s", image, position)
        body = image[position + 8 : position + 8 + length]
        if kind == b"IHDR":
            width, height, depth = struct.unpack_from(">IIB", body)
        elif kind == b"IDAT":
            data += body
        position += length + 12
    assert depth == 1
    raw = zlib.decompress(data)
    row_bytes = (width + 7) // 8
    modules, row = [], bytes(row_bytes)
    for y in range(height):
        method, *line = raw[y * (row_bytes + 1) : (y + 1) * (row_bytes + 1)]
        assert method in {0, 2}, "segno writes rows plain, or as the difference to the row above"
        row = bytes((value + above * (method == 2)) % 256 for value, above in zip(line, row, strict=True))
        if y % scale == 0:
            modules.append([not row[x // 8] >> (7 - x % 8) & 1 for x in range(0, width, scale)])
    return modules
