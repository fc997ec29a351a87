"""Clicks from the call to the table."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from pydantic import SecretStr
from upline.attribution.v1 import click_pb2, click_pb2_grpc

from chassis.clock import ManualClock
from chassis.database import Database
from chassis.secrets import derive_key
from services.attribution.domain.click_token import read
from services.attribution.store.clicks import load_visitor_touches
from tests.conftest import SECRET, Servers
from tests.integration.attribution.clicking import Shop, open_shop, refused, rows, stored, until
from tests.running import DEADLINE_SECONDS, Running

KEY = derive_key(SecretStr(SECRET), "click-token")


@pytest.fixture
def clicks(attribution: Running) -> click_pb2_grpc.ClickServiceStub:
    return click_pb2_grpc.ClickServiceStub(attribution.channel)


@pytest.fixture
async def shop(attribution: Running, new_program_id: Callable[[str], str]) -> Shop:
    return await open_shop(attribution, new_program_id("clicks"))


async def record(clicks: click_pb2_grpc.ClickServiceStub, click: click_pb2.Click) -> click_pb2.RecordClickResponse:
    return await clicks.RecordClick(click_pb2.RecordClickRequest(click=click), timeout=DEADLINE_SECONDS)


def fields_at_fault(error: grpc.aio.AioRpcError) -> list[str]:
    status = rpc_status.from_call(error)
    assert status is not None
    bad = error_details_pb2.BadRequest()
    return [each.field for detail in status.details if detail.Unpack(bad) for each in bad.field_violations]


async def test_a_click_is_stored_without_personal_data(
    servers: Servers, shop: Shop, clicks: click_pb2_grpc.ClickServiceStub, clock: ManualClock
) -> None:
    click = shop.click(
        clock.now(),
        visitor_id="v1",
        ip_address="203.0.113.7",
        user_agent="Mozilla/5.0",
        referrer_url="https://user:pass@News.Example:8080/private?who=vera",
        ip_hash=b"forged",
    )
    answer = await record(clicks, click)
    assert answer.click_id == click.click_id
    token = read(KEY, answer.click_token)
    assert (token.program_id, token.link_id, token.click_id.bytes) == (
        shop.program_id,
        shop.link.link_id,
        click.click_id,
    )
    await until(lambda: bool(stored(servers, shop.program_id)))
    ((click_id, link_id, visitor_id, occurred_at, ip_hash, user_agent_hash, referrer_host),) = stored(
        servers, shop.program_id
    )
    assert (click_id.bytes, link_id, visitor_id) == (click.click_id, shop.link.link_id, "v1")
    assert occurred_at == token.clicked_at == clock.now().replace(microsecond=clock.now().microsecond // 1000 * 1000)
    assert referrer_host == "news.example"
    assert len(ip_hash) == len(user_agent_hash) == 16
    assert ip_hash != user_agent_hash


async def test_the_stream_never_carries_personal_data(
    attribution: Running, shop: Shop, clicks: click_pb2_grpc.ClickServiceStub, clock: ManualClock
) -> None:
    stream = attribution.service.stream
    subscription = await stream._client.subscribe("upline.clicks")
    unknown = click_pb2.Click.FromString(
        shop.click(clock.now(), ip_address="203.0.113.7", user_agent="Firefox").SerializeToString()
        + b"\xa2\x06\x0bvera@a.test"  # field 100, which the contract does not know
    )
    await record(clicks, unknown)
    async with asyncio.timeout(DEADLINE_SECONDS):
        while shop.program_id.encode() not in (data := (await subscription.next_msg(DEADLINE_SECONDS)).data):
            pass
    await subscription.unsubscribe()
    for secret in (b"203.0.113.7", b"Firefox", b"vera@a.test"):
        assert secret not in data
    assert len(click_pb2.ClickBatch.FromString(data).clicks) == 1


async def test_a_click_without_id_gets_one(
    servers: Servers, shop: Shop, clicks: click_pb2_grpc.ClickServiceStub, clock: ManualClock
) -> None:
    answer = await record(clicks, shop.click(clock.now(), click_id=b""))
    assert answer.click_id[6] >> 4 == 7
    await until(lambda: [row[0].bytes for row in stored(servers, shop.program_id)] == [answer.click_id])


async def test_what_is_no_visit_is_stored_and_credits_nobody(
    servers: Servers, shop: Shop, clicks: click_pb2_grpc.ClickServiceStub, clock: ManualClock
) -> None:
    now = clock.now()
    made = [
        shop.click(now, visitor_id="vera", user_agent="Firefox"),
        shop.click(now, visitor_id="vera", user_agent="TelegramBot (like TwitterBot)"),
        shop.click(now, visitor_id="vera", kind=click_pb2.CLICK_KIND_PREFETCH),
        shop.click(now, visitor_id="vera", kind=click_pb2.CLICK_KIND_MACHINE),
    ]
    kinds = [0, click_pb2.CLICK_KIND_MACHINE, click_pb2.CLICK_KIND_PREFETCH, click_pb2.CLICK_KIND_MACHINE]
    answer = await clicks.RecordClicks(
        click_pb2.RecordClicksRequest(clicks=made, return_tokens=True), timeout=DEADLINE_SECONDS
    )
    assert [bool(each) for each in answer.click_tokens] == [True, False, False, False]
    for click, kind in zip(made, kinds, strict=True):
        single = await record(clicks, click)
        assert (single.kind, bool(single.click_token)) == (kind, not kind)
    await until(lambda: len(stored(servers, shop.program_id)) == 4)
    counted = rows(servers, "SELECT click_id, kind FROM click WHERE program_id = %s", shop.program_id)
    assert {click_id.bytes: kind for click_id, kind in counted} == {
        click.click_id: kind for click, kind in zip(made, kinds, strict=True)
    }
    database = Database(servers.settings("attribution").database_url, "attribution")
    async with database.transaction() as conn:
        found = await load_visitor_touches(conn, shop.program_id, ["vera"], now - timedelta(hours=1))
    await database.close()
    assert len(found["vera"]) == 1


async def test_the_same_click_again_is_the_same_click(
    servers: Servers, shop: Shop, clicks: click_pb2_grpc.ClickServiceStub, clock: ManualClock
) -> None:
    click, later = shop.click(clock.now(), visitor_id="first"), shop.click(clock.now())
    again = click_pb2.Click()
    again.CopyFrom(click)
    again.visitor_id = "second"
    await clicks.RecordClicks(click_pb2.RecordClicksRequest(clicks=[click, again, click]), timeout=DEADLINE_SECONDS)
    await until(lambda: bool(stored(servers, shop.program_id)))
    await clicks.RecordClicks(click_pb2.RecordClicksRequest(clicks=[later, again]), timeout=DEADLINE_SECONDS)
    await until(lambda: len(stored(servers, shop.program_id)) == 2)
    assert {row[0].bytes: row[2] for row in stored(servers, shop.program_id)} == {
        click.click_id: "first",
        later.click_id: "",
    }


async def test_a_full_batch_with_tokens(
    servers: Servers, shop: Shop, clicks: click_pb2_grpc.ClickServiceStub, clock: ManualClock
) -> None:
    batch = [shop.click(clock.now(), visitor_id=f"v{number}") for number in range(1000)]
    answer = await clicks.RecordClicks(
        click_pb2.RecordClicksRequest(clicks=batch, return_tokens=True), timeout=DEADLINE_SECONDS
    )
    assert answer.recorded_count == 1000
    assert [read(KEY, each).click_id.bytes for each in answer.click_tokens] == [each.click_id for each in batch]
    await until(lambda: len(stored(servers, shop.program_id)) == 1000)
    plain = await clicks.RecordClicks(click_pb2.RecordClicksRequest(clicks=batch[:3]), timeout=DEADLINE_SECONDS)
    assert not plain.click_tokens


async def test_too_large_a_batch_is_refused(
    shop: Shop, clicks: click_pb2_grpc.ClickServiceStub, clock: ManualClock
) -> None:
    for batch in ([], [shop.click(clock.now()) for _ in range(1001)]):
        error = await refused(
            clicks.RecordClicks(click_pb2.RecordClicksRequest(clicks=batch), timeout=DEADLINE_SECONDS)
        )
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert fields_at_fault(error) == ["clicks"]


async def test_too_large_a_message_is_refused(
    shop: Shop, clicks: click_pb2_grpc.ClickServiceStub, clock: ManualClock
) -> None:
    wordy = [shop.click(clock.now(), user_agent="x" * 5_000) for _ in range(1000)]
    error = await refused(clicks.RecordClicks(click_pb2.RecordClicksRequest(clicks=wordy), timeout=DEADLINE_SECONDS))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert fields_at_fault(error) == ["clicks"]


async def test_one_bad_click_refuses_the_batch_and_is_named(
    servers: Servers, shop: Shop, clicks: click_pb2_grpc.ClickServiceStub, clock: ManualClock
) -> None:
    now = clock.now()
    good = shop.click(now)
    bad: list[tuple[click_pb2.Click, str, grpc.StatusCode]] = [
        (shop.click(now, click_id=b"short"), "click_id", grpc.StatusCode.INVALID_ARGUMENT),
        (shop.click(now - timedelta(days=3)), "click_id", grpc.StatusCode.INVALID_ARGUMENT),
        (shop.click(now + timedelta(hours=2)), "click_id", grpc.StatusCode.INVALID_ARGUMENT),
        (shop.click(now, click_id=bytes(16)), "click_id", grpc.StatusCode.INVALID_ARGUMENT),
        (shop.click(now, visitor_id="a\x00b"), "visitor_id", grpc.StatusCode.INVALID_ARGUMENT),
        (shop.click(now, visitor_id="v" * 129), "visitor_id", grpc.StatusCode.INVALID_ARGUMENT),
        (shop.click(now, occurred_at=Timestamp(seconds=1)), "occurred_at", grpc.StatusCode.INVALID_ARGUMENT),
        (shop.click(now, occurred_at=Timestamp(seconds=2**62)), "occurred_at", grpc.StatusCode.INVALID_ARGUMENT),
        (shop.click(now, kind=3), "kind", grpc.StatusCode.INVALID_ARGUMENT),
        (shop.click(now, link_id="0" * 18), "link_id", grpc.StatusCode.NOT_FOUND),
        (shop.click(now, link_id="?"), "link_id", grpc.StatusCode.NOT_FOUND),
        (shop.click(now, program_id="nowhere"), "program_id", grpc.StatusCode.NOT_FOUND),
    ]
    for click, field, code in bad:
        request = click_pb2.RecordClicksRequest(clicks=[good, good, click])
        error = await refused(clicks.RecordClicks(request, timeout=DEADLINE_SECONDS))
        assert (error.code(), fields_at_fault(error)) == (code, [f"clicks[2].{field}"])
        error = await refused(record(clicks, click))
        assert (error.code(), fields_at_fault(error)) == (code, [f"click.{field}"])
    kept = shop.click(now)
    await record(clicks, kept)
    await until(lambda: bool(stored(servers, shop.program_id)))
    assert [row[0].bytes for row in stored(servers, shop.program_id)] == [kept.click_id]


async def test_a_call_without_deadline_is_refused(
    shop: Shop, clicks: click_pb2_grpc.ClickServiceStub, clock: ManualClock
) -> None:
    error = await refused(clicks.RecordClick(click_pb2.RecordClickRequest(click=shop.click(clock.now()))))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "deadline" in (error.details() or "")


async def test_a_stream_acknowledges_batch_after_batch(
    servers: Servers, shop: Shop, clicks: click_pb2_grpc.ClickServiceStub, clock: ManualClock
) -> None:
    sizes = [1, 600, 3, 1000, 2, 7, 1, 1]

    async def batches() -> AsyncIterator[click_pb2.StreamClicksRequest]:
        for size in sizes:
            yield click_pb2.StreamClicksRequest(clicks=[shop.click(clock.now()) for _ in range(size)])

    answers = [each async for each in clicks.StreamClicks(batches(), timeout=DEADLINE_SECONDS)]
    assert [each.recorded_count for each in answers] == sizes
    assert [each.batch_count for each in answers] == list(range(1, len(sizes) + 1))
    await until(lambda: len(stored(servers, shop.program_id)) == sum(sizes))


async def test_a_stream_answers_before_the_next_batch_is_sent(
    shop: Shop, clicks: click_pb2_grpc.ClickServiceStub, clock: ManualClock
) -> None:
    call = clicks.StreamClicks(timeout=DEADLINE_SECONDS)
    for count in (1, 2, 3):
        await call.write(click_pb2.StreamClicksRequest(clicks=[shop.click(clock.now())]))
        assert (await call.read()).batch_count == count
    await call.done_writing()
    assert await call.read() is grpc.aio.EOF


async def test_a_stream_ends_at_its_first_bad_batch(
    shop: Shop, clicks: click_pb2_grpc.ClickServiceStub, clock: ManualClock
) -> None:
    call = clicks.StreamClicks(timeout=DEADLINE_SECONDS)
    await call.write(click_pb2.StreamClicksRequest(clicks=[shop.click(clock.now())]))
    await call.write(click_pb2.StreamClicksRequest(clicks=[shop.click(clock.now(), click_id=b"short")]))
    answers = []

    async def read_all() -> None:
        while (answer := await call.read()) is not grpc.aio.EOF:
            answers.append(answer.batch_count)

    assert (await refused(read_all())).code() is grpc.StatusCode.INVALID_ARGUMENT
    assert answers == [1]


async def test_visitors_touches_are_found(
    servers: Servers, shop: Shop, clicks: click_pb2_grpc.ClickServiceStub, clock: ManualClock
) -> None:
    now = datetime.fromtimestamp(int(clock.now().timestamp()), UTC)
    early, late = now - timedelta(hours=5), now - timedelta(hours=1)
    await clicks.RecordClicks(
        click_pb2.RecordClicksRequest(
            clicks=[
                shop.click(late, visitor_id="vera"),
                shop.click(now, visitor_id="vera", occurred_at=Timestamp(seconds=int(early.timestamp()))),
                shop.click(now - timedelta(hours=30), visitor_id="vera"),
                shop.click(now, visitor_id="olga"),
                shop.click(now),
            ]
        ),
        timeout=DEADLINE_SECONDS,
    )
    await until(lambda: len(stored(servers, shop.program_id)) == 5)
    database = Database(servers.settings("attribution").database_url, "attribution")
    async with database.transaction() as conn:
        found = await load_visitor_touches(
            conn, shop.program_id, ["vera", "olga", "nobody", "", "a\x00b"], now - timedelta(hours=24)
        )
    await database.close()
    assert {name: [each.clicked_at for each in touches] for name, touches in found.items()} == {
        "vera": [early, late],
        "olga": [now],
    }
    assert {each.link_id for touches in found.values() for each in touches} == {shop.link.link_id}


async def test_the_service_may_not_change_clicks(servers: Servers) -> None:
    owner = rows(
        servers,
        "SELECT has_table_privilege('upline_attribution', 'click', 'UPDATE'),"
        " has_table_privilege('upline_attribution', 'click', 'DELETE')",
    )
    assert owner == [(False, False)]
    assert urlsplit(servers.postgres.url).username != "upline_attribution"
