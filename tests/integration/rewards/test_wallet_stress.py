"""64 clients redeem, refund, ask for payouts and earn on the same ten wallets at once, some of them twice, and through
two services."""

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import grpc
import pytest_asyncio
from upline.rewards.v1 import payout_pb2

from chassis.clock import ManualClock
from chassis.times import to_timestamp
from services.rewards.__main__ import RewardsService
from services.rewards.commands.release import roll_up_balances
from services.rewards.commands.spending import repay_debts
from tests.conftest import Servers
from tests.integration.rewards.conftest import NOON, Ledger, Published, message, recorded, reversed_
from tests.integration.rewards.paying_out import SAID_BOUNCED, SAID_FAILED, SAID_PAID, Treasury, payout_plan
from tests.integration.rewards.wallet_model import POINTS, USD
from tests.running import DEADLINE_SECONDS, Running, running

CLIENTS = 64
STEPS = 12
WALLETS = [f"p{number}" for number in range(10)]
REFUSED = grpc.StatusCode.FAILED_PRECONDITION


@pytest_asyncio.fixture
async def other(servers: Servers, clock: ManualClock) -> AsyncIterator[Running]:
    """A second process of the service."""
    async with running(RewardsService(servers.settings("rewards"), clock)) as service:
        yield service


@dataclass
class Client:
    """One of the clients: what it does, it does by chance, and repeats sometimes."""

    number: int
    treasuries: list[Treasury]
    ledger: Ledger
    dice: random.Random
    redemptions: list[str] = field(default_factory=list)
    payouts: list[str] = field(default_factory=list)
    earned: list[tuple[str, int]] = field(default_factory=list)
    steps: int = 0
    done: int = 0

    async def work(self) -> None:
        """Takes so many steps."""
        for _ in range(STEPS):
            self.steps += 1
            step = self.dice.choice(
                [
                    *(self.earn, self.earn, self.reverse, self.redeem, self.redeem, self.finish, self.give),
                    *(self.exchange, self.ask, self.ask, self.hand_over, self.report),
                ]
            )
            await step()

    async def once(self, *calls: Any) -> bool:
        """Makes a call, now and then twice at the same time; whether it was carried out. Nothing but a refusal may come
        back instead."""
        answers = await asyncio.gather(*calls, return_exceptions=True)
        for each in answers:
            if isinstance(each, grpc.aio.AioRpcError):
                assert each.code() is REFUSED, each
            elif isinstance(each, BaseException):
                raise each
        carried_out = not isinstance(answers[0], BaseException)
        self.done += carried_out
        return carried_out

    def anyone(self) -> Treasury:
        """Somebody's wallet, through one of the services."""
        return self.dice.choice(self.treasuries)

    def twice(self) -> range:
        """How often a call is made."""
        return range(self.dice.choice([1, 1, 2]))

    def name(self) -> str:
        """A name of its own."""
        return f"c{self.number}-{self.steps}"

    async def earn(self) -> None:
        who, cents = self.anyone(), self.dice.randint(1, 30_000)
        event = recorded(who.program, self.name(), cents, buyer=who.participant, upline=(self.anyone().participant,))
        await asyncio.gather(*(self.ledger.settle(message(event)) for _ in self.twice()))
        self.earned.append((self.name(), cents))

    async def reverse(self) -> None:
        if self.earned:
            name, cents = self.earned.pop(self.dice.randrange(len(self.earned)))
            event = reversed_(self.anyone().program, name, self.name(), cents, completes=True)
            await asyncio.gather(*(self.ledger.settle(message(event)) for _ in self.twice()))

    async def redeem(self) -> None:
        who, amount, asset = self.anyone(), self.dice.randint(1, 500), self.dice.choice([POINTS, USD])
        order_id = f"o{self.dice.randrange(300)}"
        calls = [who.authorize(self.name(), amount, asset=asset, order_id=order_id) for _ in self.twice()]
        if await self.once(*calls):
            self.redemptions.append(self.name())

    async def finish(self) -> None:
        if self.redemptions:
            name, who = self.dice.choice(self.redemptions), self.anyone()
            await self.once(self.dice.choice([who.capture, who.void])(name))
            await self.once(who.refund(name, self.name(), self.dice.choice([None, 50])))

    async def give(self) -> None:
        giver, recipient = self.dice.sample(self.treasuries, 2)
        if giver.participant != recipient.participant:
            amount = self.dice.randint(1, 2_000)
            await self.once(*(giver.give(self.name(), recipient.participant, amount) for _ in self.twice()))

    async def exchange(self) -> None:
        who, amount = self.anyone(), self.dice.randint(4, 3_000)
        await self.once(*(who.exchange(self.name(), amount) for _ in self.twice()))

    async def ask(self) -> None:
        who, amount = self.anyone(), self.dice.randint(500, 3_000)
        if await self.once(*(who.ask(self.name(), amount) for _ in self.twice())):
            self.payouts.append(self.name())

    async def hand_over(self) -> None:
        who = self.anyone()
        await self.once(*(who.batch(self.name()) for _ in self.twice()))

    async def report(self) -> None:
        if self.payouts:
            name, who = self.dice.choice(self.payouts), self.anyone()
            attempt = max((await who.act("Get", name)).attempts, 1)
            said = self.dice.choice([SAID_PAID, SAID_PAID, SAID_FAILED, SAID_BOUNCED])
            await self.once(*(who.act("Report", name, attempt=attempt, outcome=said) for _ in self.twice()))
            await self.once(who.act(self.dice.choice(["Retry", "Cancel"]), name))


async def test_many_clients_on_few_wallets(ledger: Ledger, published: Published, other: Running) -> None:
    program = await published(payout_plan())
    second = Ledger(other)
    clients = [
        Client(
            number,
            [
                Treasury((ledger, second)[(number + index) % 2], program, who)
                for index, who in enumerate(WALLETS)
            ],
            (ledger, second)[number % 2],
            random.Random(number),
        )
        for number in range(CLIENTS)
    ]  # fmt: skip
    stop = asyncio.Event()

    async def in_the_background() -> None:
        while not stop.is_set():
            await repay_debts(ledger.rewards.service.deps)
            await roll_up_balances(other.service.deps)
            await asyncio.sleep(0.01)

    background = asyncio.create_task(in_the_background())
    await asyncio.gather(*(each.work() for each in clients))
    stop.set()
    await background
    while await repay_debts(ledger.rewards.service.deps):
        pass
    assert sum(each.done for each in clients) > CLIENTS * STEPS / 4
    await assert_right(ledger, program)


async def assert_right(ledger: Ledger, program: str) -> None:
    """Nothing is negative that may not be, the audit is clean, and the settlement report ties out with the wallets."""
    sums = {POINTS: [0, 0, 0, 0], USD: [0, 0, 0, 0]}
    for who in WALLETS:
        wallet = Treasury(ledger, program, who)
        for asset, total in sums.items():
            balance = await wallet.balance(asset)
            assert min(balance) >= 0, (who, asset, balance)
            assert not (balance[1] and balance[3]), "a debt that could be settled"
            for index, amount in enumerate(balance):
                total[index] += amount
    anyone = Treasury(ledger, program)
    await anyone.assert_clean()
    far = timedelta(days=36_500)
    request = payout_pb2.GetSettlementReportRequest(
        program_id=program, start_time=to_timestamp(NOON - far), end_time=to_timestamp(NOON + far)
    )
    for asset in (await anyone.payouts.GetSettlementReport(request, timeout=DEADLINE_SECONDS)).assets:
        closing = {each.account: each.closing_minor for each in asset.accounts}
        assert sum(closing.values()) == 0
        found = [closing.get(name, 0) for name in ("held", "available", "reserved", "debt")]
        assert [*found[:3], -found[3]] == sums[asset.asset]
