"""Load on a compose stack: orders, clicks and questions, by clients with gRPC's own retries and nothing else.

What was acknowledged is remembered, so that the end can be computed from it with plain integers.
"""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import grpc
from upline.attribution.v1 import (
    click_pb2,
    click_pb2_grpc,
    conversion_pb2,
    conversion_pb2_grpc,
    link_pb2,
    link_pb2_grpc,
    participant_pb2,
    participant_pb2_grpc,
    program_pb2,
    program_pb2_grpc,
)
from upline.notify.v1 import notify_pb2, notify_pb2_grpc
from upline.rewards.v1 import plan_pb2, plan_pb2_grpc, reward_pb2, reward_pb2_grpc, wallet_pb2, wallet_pb2_grpc
from upline.type.v1.money_pb2 import Money

from cli.bundle.program import Bundle

CALL_SECONDS = 20.0
LINE = ("ann", "ben", "cat", "dan")
"""People, each sponsored by the one before; the last one buys."""
LEVEL_PERCENTS = (5, 2, 1)
"""The percentages of programs/three-levels.yaml, each rounded down."""
ORDERS_A_CALL = 20
SELLERS = 3
CLICKERS = 2
READERS = 2
PAUSE_SECONDS = 0.05
DRAIN_SECONDS = 120.0

_CONFIG = {
    "loadBalancingConfig": [{"round_robin": {}}],
    "methodConfig": [
        {
            "name": [{}],
            "waitForReady": True,
            "retryPolicy": {
                "maxAttempts": 5,
                "initialBackoff": "0.5s",
                "maxBackoff": "5s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ],
}
"""The service config that docs/guides/integrate.md advises callers to use."""


def channel(ports: Sequence[int]) -> grpc.aio.Channel:
    """A channel to all containers of a service: those that answer on any of these ports."""
    addresses = ",".join(f"127.0.0.1:{port}" for port in ports)
    options = [
        ("grpc.service_config", json.dumps(_CONFIG)),
        ("grpc.enable_http_proxy", 0),
        ("grpc.initial_reconnect_backoff_ms", 200),
        ("grpc.min_reconnect_backoff_ms", 200),
        ("grpc.max_reconnect_backoff_ms", 1_000),
    ]
    return grpc.aio.insecure_channel(f"ipv4:{addresses}", options=options)


@dataclass
class Told:
    """The answers that callers got, and what must be true by them."""

    calls: Counter[str] = field(default_factory=Counter)
    """The number of answers by method and code, after the retries of the channel."""
    orders: dict[str, int] = field(default_factory=dict)
    """The minor units of each acknowledged order."""
    clicks: set[bytes] = field(default_factory=set)

    def failures(self) -> Counter[str]:
        """The calls that did not succeed in spite of the retries."""
        return Counter({name: count for name, count in self.calls.items() if not name.endswith(" OK")})

    def owed_minor(self) -> int:
        """The sum that all levels together are owed."""
        return sum(amount * percent // 100 for amount in self.orders.values() for percent in LEVEL_PERCENTS)


class Load:
    """Callers of one program of its own."""

    def __init__(
        self, attribution: Sequence[int], rewards: Sequence[int], notify: Sequence[int], bundle: Bundle
    ) -> None:
        self._channels = [channel(each) for each in (attribution, rewards, notify)]
        first, second, third = self._channels
        self._programs = program_pb2_grpc.ProgramServiceStub(first)
        self._people = participant_pb2_grpc.ParticipantServiceStub(first)
        self._links = link_pb2_grpc.LinkServiceStub(first)
        self._clicks = click_pb2_grpc.ClickServiceStub(first)
        self._conversions = conversion_pb2_grpc.ConversionServiceStub(first)
        self._plans = plan_pb2_grpc.PlanServiceStub(second)
        self._rewards = reward_pb2_grpc.RewardServiceStub(second)
        self._wallets = wallet_pb2_grpc.WalletServiceStub(second)
        self._inbox = notify_pb2_grpc.InboxServiceStub(third)
        self._bundle = bundle
        self.program_id = bundle.program.program_id
        self.told = Told()
        self._link_id = ""
        self._ending = asyncio.Event()
        self._callers: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        """Makes the program, its people and a link."""
        await self._programs.UpdateProgram(
            program_pb2.UpdateProgramRequest(request_id=str(uuid4()), program=self._bundle.program, allow_missing=True),
            timeout=CALL_SECONDS,
        )
        await self._plans.PublishPlan(
            plan_pb2.PublishPlanRequest(
                request_id=str(uuid4()),
                program_id=self.program_id,
                currency_code=self._bundle.program.currency_code,
                plan=self._bundle.plan,
            ),
            timeout=CALL_SECONDS,
        )
        for number, person in enumerate(LINE):
            draft = participant_pb2.ParticipantDraft(
                participant_id=person, sponsor_id=LINE[number - 1] if number else ""
            )
            request = participant_pb2.EnrollParticipantRequest(
                request_id=str(uuid4()), program_id=self.program_id, participant=draft
            )
            await self._people.EnrollParticipant(request, timeout=CALL_SECONDS)
        link = link_pb2.CreateLinkRequest(
            request_id=str(uuid4()),
            program_id=self.program_id,
            participant_id=LINE[0],
            destination_url=f"https://{self._bundle.program.allowed_hosts[0]}/",
        )
        self._link_id = (await self._links.CreateLink(link, timeout=CALL_SECONDS)).link.link_id

    def start(self) -> None:
        """Begins to call."""
        self._ending.clear()
        callers = [*[self._sell] * SELLERS, *[self._click] * CLICKERS, *[self._read] * READERS]
        self._callers = [asyncio.create_task(self._repeat(each)) for each in callers]

    async def stop(self) -> Told:
        """Stops calling; returns what was told since the start."""
        self._ending.set()
        await asyncio.gather(*self._callers)
        return self.told

    async def paid(self) -> str:
        """Waits until everything acknowledged is paid; says what differs, nothing if all is right."""
        wanted = (len(self.told.orders), self.told.owed_minor())
        deadline = time.monotonic() + DRAIN_SECONDS
        while (found := await self._totals()) != wanted:
            if time.monotonic() > deadline:
                return f"{wanted} orders and minor units should be paid, and {found} are"
            await asyncio.sleep(0.5)
        audit = await self._wallets.AuditLedger(wallet_pb2.AuditLedgerRequest(full=True), timeout=300)
        return "" if audit.balanced else f"the audit found {audit.findings}"

    async def held(self) -> dict[str, object]:
        """The program as the stack holds it: its totals, and by person the balances and how many entries the inbox
        has."""
        found: dict[str, object] = {"totals": await self._totals()}
        for person in LINE:
            request = wallet_pb2.GetWalletRequest(program_id=self.program_id, participant_id=person)
            balances = (await self._wallets.GetWallet(request, timeout=CALL_SECONDS)).balances
            entries, page = (
                0,
                notify_pb2.ListInboxRequest(program_id=self.program_id, participant_id=person, page_size=1_000),
            )
            while True:
                answer = await self._inbox.ListInbox(page, timeout=CALL_SECONDS)
                entries += len(answer.entries)
                page.page_token = answer.next_page_token
                if not page.page_token:
                    break
            found[person] = [(each.asset, each.held_minor, each.available_minor) for each in balances], entries
        return found

    async def close(self) -> None:
        """Closes the channels."""
        for each in self._channels:
            await each.close()

    async def _totals(self) -> tuple[int, int]:
        request = reward_pb2.GetProgramTotalsRequest(program_id=self.program_id)
        totals = await self._rewards.GetProgramTotals(request, timeout=CALL_SECONDS)
        return totals.conversion_count, sum(each.accrued_minor for each in totals.assets)

    async def _repeat(self, call: Callable[[], Awaitable[None]]) -> None:
        while not self._ending.is_set():
            await call()
            await asyncio.sleep(PAUSE_SECONDS)

    async def _sell(self) -> None:
        orders = {uuid4().hex: 100 + len(self.told.orders) % 9_973 for _ in range(ORDERS_A_CALL)}
        currency = self._bundle.program.currency_code
        drafts = [
            conversion_pb2.ConversionDraft(
                conversion_id=order_id,
                event_type="order",
                buyer_id=LINE[-1],
                amount=Money(currency_code=currency, amount_minor=amount),
            )
            for order_id, amount in orders.items()
        ]
        request = conversion_pb2.RecordConversionsRequest(program_id=self.program_id, conversions=drafts)
        # An order without an answer may be recorded or not: it is sent until that is known, as a shop would.
        while not await self._called(self._conversions.RecordConversions, request):
            await asyncio.sleep(0.5)
        self.told.orders |= orders

    async def _click(self) -> None:
        click_id = bytes.fromhex(f"{time.time_ns() // 1_000_000:012x}7{uuid4().hex[:3]}8{uuid4().hex[:15]}")
        click = click_pb2.Click(click_id=click_id, program_id=self.program_id, link_id=self._link_id)
        if await self._called(self._clicks.RecordClick, click_pb2.RecordClickRequest(click=click)):
            self.told.clicks.add(click_id)

    async def _read(self) -> None:
        wallet = wallet_pb2.GetWalletRequest(program_id=self.program_id, participant_id=LINE[0])
        inbox = notify_pb2.ListInboxRequest(program_id=self.program_id, participant_id=LINE[0], page_size=10)
        await self._called(self._wallets.GetWallet, wallet)
        await self._called(self._inbox.ListInbox, inbox)

    async def _called(self, method: Any, request: Any) -> bool:
        name = type(request).__name__.removesuffix("Request")
        try:
            await method(request, timeout=CALL_SECONDS)
        except grpc.aio.AioRpcError as error:
            self.told.calls[f"{name} {error.code().name}"] += 1
            return False
        self.told.calls[f"{name} OK"] += 1
        return True
