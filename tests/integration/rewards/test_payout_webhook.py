"""Payouts by signed webhook, against a real HTTP server that fails in the ways servers do."""

import asyncio
import base64
import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta

import grpc
import pytest
import pytest_asyncio
from aiohttp import web
from pydantic import SecretStr, ValidationError
from standardwebhooks import Webhook

from chassis.clock import ManualClock
from services.rewards import providers
from services.rewards.__main__ import RewardsService
from services.rewards.commands.providers import ANSWER_WITHIN, PROGRAM_SENDS, send_payouts
from services.rewards.domain.wallet import payout as domain
from services.rewards.providers import WebhookProvider, read_answer
from services.rewards.settings import RewardsSettings
from tests.conftest import Servers
from tests.integration.rewards.conftest import NOON, Ledger, Published, message, recorded
from tests.integration.rewards.paying_out import SAID_FAILED, Treasury, payout_plan
from tests.running import DEADLINE_SECONDS, Running

METHOD = "hooked"
KEY = "whsec_" + base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()
APPROVED, SENT, PAID, UNPAID, BOUNCED = 2, 3, 4, 5, 8


@dataclass
class Bank:
    """A provider: pays each name once, and answers as it is told to."""

    answers: list[web.Response | None] = field(default_factory=list)
    """None: the connection is cut after the payout arrived."""
    received: list[dict[str, object]] = field(default_factory=list)
    paid: dict[str, str] = field(default_factory=dict)
    url: str = ""

    async def pay(self, request: web.Request) -> web.StreamResponse:
        """Takes a payout."""
        content = Webhook(KEY).verify(await request.read(), dict(request.headers))
        self.received.append(content)
        self.paid.setdefault(request.headers["idempotency-key"], content["data"]["amount"])
        answer = self.answers.pop(0) if self.answers else web.json_response({"state": "paid", "reference": "ref-1"})
        if answer is None:
            assert request.transport is not None
            request.transport.close()
            return web.Response()
        return answer


@pytest_asyncio.fixture
async def bank() -> AsyncIterator[Bank]:
    """A provider that answers."""
    made = Bank()
    app = web.Application()
    app.router.add_post("/payouts", made.pay)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}/payouts"
    yield made
    await runner.cleanup()


@pytest_asyncio.fixture
async def hooked(
    servers: Servers, clock: ManualClock, bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Running]:
    """A service that sends payouts by one method to the provider when it is told to."""
    monkeypatch.setenv("UPLINE_PAYOUT_WEBHOOK_URL", bank.url)
    monkeypatch.setenv("UPLINE_PAYOUT_WEBHOOK_SECRET", KEY)
    monkeypatch.setenv("UPLINE_PAYOUT_WEBHOOK_METHODS", METHOD)
    service = RewardsService(servers.settings("rewards"), clock)
    await service.start()  # without its jobs: the tests say when

    channel = grpc.aio.insecure_channel(f"127.0.0.1:{service.server.port}")
    before = clock.now()
    yield Running(service, channel)
    clock.set(before)
    await channel.close()
    await service.leave()
    await service.stop()


async def asked(ledger: Ledger, published: Published, hooked: Running) -> Treasury:
    """Maria, who asked for 10.00 of her 100.00."""
    program = await published(payout_plan(methods=("bank", METHOD)))
    await ledger.settle(message(recorded(program, "c1", 100_000)))
    maria = Treasury(ledger, program, channel=hooked.channel)
    await maria.ask("выплата №1", 1_000, method=METHOD)
    return maria


async def send(hooked: Running) -> int:
    """Sends once."""
    return await send_payouts(hooked.service.deps)


async def state(maria: Treasury) -> int:
    """Where the payout stands."""
    return (await maria.act("Get", "выплата №1")).state


async def test_a_payout_is_sent_signed_and_paid_in_the_answer(
    ledger: Ledger, published: Published, hooked: Running, bank: Bank
) -> None:
    maria = await asked(ledger, published, hooked)
    await maria.ask("by file", 1_000)
    assert not [each for each in (await maria.batch("b1")).payouts if each.method == METHOD]
    assert await send(hooked) == 1
    assert bank.received[0]["data"] == {
        "program_id": maria.program, "payout_id": "выплата №1", "attempt": 1, "participant_id": "maria",
            "method": METHOD,
        "destination": "token-1", "asset": "USD", "amount": "9.65", "amount_minor": 965, "fee_minor": 35,
    }  # fmt: skip
    paid = await maria.act("Get", "выплата №1")
    assert (paid.state, paid.provider_reference, paid.attempts) == (PAID, "ref-1", 1)
    assert await send(hooked) == 0
    await maria.assert_clean()


async def test_an_answer_that_is_lost_pays_once(
    ledger: Ledger, published: Published, hooked: Running, bank: Bank, clock: ManualClock
) -> None:
    maria = await asked(ledger, published, hooked)
    bank.answers += [None, web.Response(status=503), web.json_response({"state": "paid"})]
    assert await send(hooked) == 1
    assert await state(maria) == SENT
    assert await send(hooked) == 0  # not before its time
    for sends in (1, 2):
        clock.set(clock.now() + domain.pause(sends))
        assert await send(hooked) == 1
    assert await state(maria) == PAID
    assert len(bank.received) == 3
    assert list(bank.paid.values()) == ["9.65"]
    await maria.assert_clean()


async def test_whoever_dies_while_he_sends_is_relieved(
    ledger: Ledger,
    published: Published,
    hooked: Running,
    bank: Bank,
    clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    maria = await asked(ledger, published, hooked)

    async def die(*_: object) -> None:
        raise SystemError("killed")

    with monkeypatch.context() as patched:
        patched.setattr(type(hooked.service.deps.provider), "send", die)
        assert await send(hooked) == 1
    assert await state(maria) == SENT
    clock.set(clock.now() + ANSWER_WITHIN - timedelta(seconds=1))
    assert await send(hooked) == 0
    clock.set(clock.now() + timedelta(seconds=1))
    assert await send(hooked) == 1
    assert await state(maria) == PAID
    assert (await maria.act("Get", "выплата №1")).attempts == 1
    await maria.assert_clean()


async def test_a_provider_takes_its_time_and_says_no(
    ledger: Ledger, published: Published, hooked: Running, bank: Bank, clock: ManualClock
) -> None:
    maria = await asked(ledger, published, hooked)
    bank.answers += [web.Response(text="thanks"), web.json_response({"state": "failed", "reason": "no such card"})]
    await send(hooked)
    clock.set(clock.now() + timedelta(days=1))
    assert await send(hooked) == 0  # it has the payout
    assert await state(maria) == SENT
    await maria.act("Report", "выплата №1", outcome=SAID_FAILED, attempt=1)
    await maria.act("Retry", "выплата №1")
    assert await state(maria) == APPROVED
    await send(hooked)
    failed = await maria.act("Get", "выплата №1")
    assert (failed.state, failed.reason, failed.attempts) == (UNPAID, "no such card", 2)
    assert len(bank.paid) == 2  # another attempt is another name
    await maria.assert_clean()


async def test_a_provider_that_is_asked_again_may_have_it_back_already(
    ledger: Ledger, published: Published, hooked: Running, bank: Bank, clock: ManualClock
) -> None:
    maria = await asked(ledger, published, hooked)
    bank.answers += [None, web.json_response({"state": "bounced", "reference": "ref-2", "reason": "account closed"})]
    await send(hooked)
    clock.set(clock.now() + domain.pause(1))
    await send(hooked)
    back = await maria.act("Get", "выплата №1")
    assert (back.state, back.reason, back.provider_reference) == (BOUNCED, "account closed", "ref-2")
    assert await maria.money() == (0, 9_965, 0, 0)
    assert await send(hooked) == 0
    await maria.assert_clean()


async def test_one_payout_that_cannot_be_sent_keeps_no_other_from_it(
    ledger: Ledger, published: Published, hooked: Running, bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    maria = await asked(ledger, published, hooked)
    await maria.ask("a", 1_000, method=METHOD)
    provider = type(hooked.service.deps.provider)
    send_one = provider.send

    async def send_but_a(self: WebhookProvider, payout: domain.Payout, minor_digits: int) -> domain.ProviderAnswer:
        if payout.payout_id == "a":
            raise SystemError("cannot be written")
        return await send_one(self, payout, minor_digits)

    with monkeypatch.context() as patched:
        patched.setattr(provider, "send", send_but_a)
        assert await send(hooked) == 2
    assert await state(maria) == PAID
    assert (await maria.act("Get", "a")).state == SENT
    await maria.assert_clean()


async def test_an_answer_of_broken_text_is_an_answer(
    ledger: Ledger, published: Published, hooked: Running, bank: Bank
) -> None:
    maria = await asked(ledger, published, hooked)
    bank.answers.append(web.Response(body=b'{"state": "paid", "reference": "\\ud800 7\\u0000"}'))
    await send(hooked)
    paid = await maria.act("Get", "выплата №1")
    assert (paid.state, paid.provider_reference) == (PAID, "? 7")
    assert read_answer(b"[" * 60_000).outcome is domain.ProviderStatus.PENDING


@pytest.mark.parametrize(
    "told",
    [
        "",
        "{}",
        "[]",
        "null",
        '"failed"',
        '{"reason": "no such card"}',
        '{"state": ""}',
        '{"state": null}',
        '{"state": 0}',
    ],
)
def test_an_answer_that_names_no_state_decides_nothing(told: str) -> None:
    assert read_answer(told.encode()) == domain.ProviderAnswer(domain.ProviderStatus.PENDING)


async def test_processes_at_once_send_each_payout_once(
    ledger: Ledger, published: Published, hooked: Running, bank: Bank
) -> None:

    maria = await asked(ledger, published, hooked)
    for number in range(10):
        await maria.ask(f"p{number}", 600, method=METHOD)
    assert sum(await asyncio.gather(*(send(hooked) for _ in range(4)))) == 11
    assert len(bank.received) == len(bank.paid) == 11
    await maria.assert_clean()


@pytest.mark.parametrize(
    ("url", "secret"),
    [
        ("https://bank.example/pay", ""),
        ("https://bank.example/pay", "whsec_ä"),
        ("http://bank.example/pay", KEY),
        ("bank.example", KEY),
    ],
)
def test_settings_that_would_leak_are_refused(servers: Servers, url: str, secret: str) -> None:
    with pytest.raises(ValidationError):
        RewardsSettings(
            **servers.settings("rewards").model_dump(),
            payout_webhook_url=url,
            payout_webhook_secret=SecretStr(secret),
        )


@asynccontextmanager
async def dripping(beginning: bytes = b"") -> AsyncIterator[str]:
    """A server that answers with a beginning and then a byte at a time, without an end; yields its URL."""

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(beginning or b"HTTP/1.1 200 OK\r\ncontent-length: 60000\r\n\r\n")
            while not writer.is_closing():
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.05)

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/payouts"


@pytest.mark.parametrize("beginning", [b"", b"HTTP/1.1 200 OK\r\nx-header: "], ids=["body", "header"])
async def test_an_answer_that_drips_ends(beginning: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(providers, "SEND_SECONDS", 0.5, raising=False)
    async with dripping(beginning) as url:
        provider = WebhookProvider(url, KEY)
        async with asyncio.timeout(DEADLINE_SECONDS):
            with pytest.raises(domain.ProviderError):
                await provider.send(_payout(), 2)
        await provider.close()


async def test_of_a_long_answer_no_more_is_read_than_an_answer_has(bank: Bank) -> None:
    """A megabyte of zeros, packed, is a kilobyte: what is read is bounded as it comes and never unpacked."""
    packed = gzip.compress(bytes(1_000_000))
    bank.answers += [
        web.Response(body=packed, headers={"content-encoding": "gzip"}),
        web.Response(body=b"x" * 1_000_000),
    ]
    provider = WebhookProvider(bank.url, KEY)
    with pytest.raises(domain.ProviderError, match="packed"):
        await provider.send(_payout(), 2)
    assert (await provider.send(_payout(), 2)).outcome is domain.ProviderStatus.PENDING
    await provider.close()


async def test_payouts_of_a_program_that_get_no_answer_hold_up_no_other(
    ledger: Ledger, published: Published, hooked: Running, bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = await asked(ledger, published, hooked)
    await ledger.settle(message(recorded(slow.program, "c2", 300_000)))
    for number in range(45):
        await slow.ask(f"p{number}", 500, method=METHOD)
    provider = type(hooked.service.deps.provider)
    send_one, held = provider.send, list[str]()
    answer = asyncio.Event()

    async def hold(self: WebhookProvider, payout: domain.Payout, minor_digits: int) -> domain.ProviderAnswer:
        if payout.program_id == slow.program:
            held.append(payout.payout_id)
            await answer.wait()
        return await send_one(self, payout, minor_digits)

    monkeypatch.setattr(provider, "send", hold)
    sending = asyncio.create_task(send(hooked))
    async with asyncio.timeout(DEADLINE_SECONDS):
        while len(held) < 20:
            await asyncio.sleep(0.01)
        quick = await asked(ledger, published, hooked)
        while await state(quick) != PAID:
            await asyncio.sleep(0.01)
        assert len(held) <= 2 * PROGRAM_SENDS  # the others still wait for room; the service's own job sends, too
        answer.set()
        await sending
        while len(bank.paid) < 47:
            await asyncio.sleep(0.01)
    assert await state(slow) == PAID
    assert len(bank.received) == len(bank.paid) == 47
    await slow.assert_clean()


def _payout() -> domain.Payout:
    return domain.Payout(
        program_id="p", payout_id="1", participant_id="maria", asset="USD", amount_minor=1_000, fee_minor=35,
        method=METHOD, destination="token-1", state=domain.PayoutState.SENT, provider_reference="", reason="",
        attempts=1, sends=1, send_time=None, batch_id="", create_time=NOON, update_time=NOON,
    )  # fmt: skip
