"""No broker: clicks are refused at once, visitors are led on with a token all the same, and their referrals count."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit
from uuid import uuid4

import aiohttp
import grpc
import pytest
import pytest_asyncio
from prometheus_client import REGISTRY
from upline.attribution.v1 import click_pb2, click_pb2_grpc, conversion_pb2, conversion_pb2_grpc
from upline.type.v1 import money_pb2

from chassis.clock import ManualClock
from chassis.embedded.nats import Nats
from chassis.embedded.state import StateDirectory, free_port
from services.attribution.__main__ import AttributionService
from services.attribution.redirect_main import RedirectService
from tests.conftest import Servers
from tests.flow import becomes
from tests.integration.attribution.clicking import MARIA, Shop, open_shop, refused, stored
from tests.running import Running, running

CALL_SECONDS = 5.0
"""Less than a publication is tried for, so that whoever waits for it runs into this deadline."""
BROWSER = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0"}


@dataclass(frozen=True)
class Stall:
    """An attribution service with a broker of its own, which the test takes away."""

    broker: Nats
    attribution: Running
    redirecting: Running
    shop: Shop

    @property
    def clicks(self) -> click_pb2_grpc.ClickServiceStub:
        """ClickService."""
        return click_pb2_grpc.ClickServiceStub(self.attribution.channel)

    def signal_broker(self, number: signal.Signals) -> None:
        """Sends a signal to the broker's process."""
        assert self.broker._child is not None
        self.broker._child.process.send_signal(number)

    async def noticed(self, *, connected: bool = False) -> None:
        """Returns when the service knows that its broker is away, or is back."""

        async def other() -> bool:
            both = (self.attribution.service, self.redirecting.service)
            return any(service.stream._client.is_connected != connected for service in both)

        await becomes(other, False)


@pytest_asyncio.fixture
async def stall(
    servers: Servers, clock: ManualClock, new_program_id: Callable[[str], str], tmp_path: Path
) -> AsyncIterator[Stall]:
    state = StateDirectory(tmp_path)
    tmp_path.chmod(0o755)
    broker = Nats(state)
    broker.start()
    own = {"nats_url": broker.url, "nats_monitor_url": broker.monitor_url}
    port = free_port()
    try:
        async with (
            running(AttributionService(servers.making_links(port).model_copy(update=own), clock)) as attribution,
            running(RedirectService(servers.leading_on(port).model_copy(update=own), clock)) as redirecting,
        ):
            made = Stall(broker, attribution, redirecting, await open_shop(attribution, new_program_id("away")))
            yield made
            broker.kill()
            broker.start()
            await made.noticed(connected=True)
    finally:
        broker.kill()
        state.close()


async def test_clicks_are_refused_at_once(stall: Stall, clock: ManualClock) -> None:
    stall.broker.kill()
    await stall.noticed()
    click = stall.shop.click(clock.now())
    for call in (
        stall.clicks.RecordClick(click_pb2.RecordClickRequest(click=click), timeout=CALL_SECONDS),
        stall.clicks.RecordClicks(click_pb2.RecordClicksRequest(clicks=[click] * 600), timeout=CALL_SECONDS),
    ):
        error = await refused(call)
        assert (error.code(), "broker" in error.details()) == (grpc.StatusCode.UNAVAILABLE, True)


async def test_a_click_under_way_is_refused_when_the_connection_breaks(stall: Stall, clock: ManualClock) -> None:
    stall.signal_broker(signal.SIGSTOP)
    calls = [
        asyncio.create_task(
            refused(
                stall.clicks.RecordClick(
                    click_pb2.RecordClickRequest(click=stall.shop.click(clock.now())), timeout=CALL_SECONDS
                )
            )
        )
        for _ in range(10)  # two are sent, the others wait behind them
    ]
    await asyncio.sleep(0.2)
    assert not any(each.done() for each in calls)
    stall.broker.kill()
    assert {error.code() for error in await asyncio.gather(*calls)} == {grpc.StatusCode.UNAVAILABLE}


async def test_nobody_waits_for_a_broker_that_hangs(stall: Stall, clock: ManualClock) -> None:
    stall.signal_broker(signal.SIGSTOP)
    request = click_pb2.RecordClickRequest(click=stall.shop.click(clock.now()))
    first = asyncio.create_task(refused(stall.clicks.RecordClick(request, timeout=4 * CALL_SECONDS)))

    async def outcome() -> grpc.StatusCode:
        return await stall.clicks.RecordClick(request, timeout=CALL_SECONDS / 10).code()

    await becomes(outcome, grpc.StatusCode.UNAVAILABLE)
    assert not first.done()
    stall.broker.kill()
    assert (await first).code() is grpc.StatusCode.UNAVAILABLE


async def test_clicks_are_recorded_again_when_the_broker_is_back(
    servers: Servers, stall: Stall, clock: ManualClock
) -> None:
    stall.broker.kill()
    await stall.noticed()
    stall.broker.start()
    click = stall.shop.click(clock.now())

    async def outcome() -> grpc.StatusCode:
        call = stall.clicks.RecordClick(click_pb2.RecordClickRequest(click=click), timeout=CALL_SECONDS)
        return await call.code()

    await becomes(outcome, grpc.StatusCode.OK)

    async def found() -> list[bytes]:
        return [row[0].bytes for row in await asyncio.to_thread(stored, servers, stall.shop.program_id)]

    await becomes(found, [click.click_id])


@pytest.mark.parametrize("hangs", [False, True])
async def test_a_visitor_is_led_on_with_a_token_that_counts(stall: Stall, hangs: bool) -> None:
    if hangs:
        stall.signal_broker(signal.SIGSTOP)
    else:
        stall.broker.kill()
        await stall.noticed()
    before = unrecorded()
    async with (
        aiohttp.ClientSession(headers=BROWSER) as browser,
        browser.get(stall.shop.link.url, allow_redirects=False) as response,
    ):
        assert response.status == 302
        token = dict(parse_qsl(urlsplit(response.headers["Location"]).query))["upline_click"]
        health_url = f"http://127.0.0.1:{stall.redirecting.service.redirect_port}/healthz"
        async with browser.get(health_url) as health:
            assert health.status == 200
    assert unrecorded() == before + 1
    order = conversion_pb2.ConversionDraft(
        conversion_id=uuid4().hex,
        event_type="order",
        buyer_id="vera",
        amount=money_pb2.Money(currency_code="RUB", amount_minor=1),
        click_token=token,
    )
    recorded = await conversion_pb2_grpc.ConversionServiceStub(stall.attribution.channel).RecordConversion(
        conversion_pb2.RecordConversionRequest(program_id=stall.shop.program_id, conversion=order),
        timeout=CALL_SECONDS,
    )
    assert recorded.conversion.attribution.referrer_id == MARIA


def unrecorded() -> float:
    """How many visitors were led on without their click being on disk."""
    return REGISTRY.get_sample_value("upline_clicks_unrecorded_total") or 0.0
