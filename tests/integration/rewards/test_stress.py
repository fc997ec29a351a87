"""Two services settle, take back, release and roll up at once what arrives in any order; a model of plain integers says
what is due."""

import asyncio
import random
from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import psycopg
import pytest
import pytest_asyncio
from upline.attribution.v1 import events_pb2
from upline.rewards.v1 import events_pb2 as reward_events_pb2
from upline.rewards.v1 import plan_pb2, reward_pb2
from upline.type.v1 import asset_pb2

from chassis.clock import ManualClock
from services.rewards.__main__ import RewardsService
from services.rewards.commands.deps import Deps
from services.rewards.commands.release import release_due_holds, roll_up_balances
from tests.conftest import Servers
from tests.integration.rewards.conftest import NOON, Ledger, Published, message, recorded, reversed_, settled
from tests.running import DEADLINE_SECONDS, running

ROUNDS = 3
CONVERSIONS = 60
PEOPLE = [f"p{number}" for number in range(8)]
HOLDS = [None, timedelta(hours=1), timedelta(hours=2)]
DELIVERED_AGAIN = 0.4
"""The part of the events that is delivered more than once."""


@dataclass
class Shop:
    """The model of all that happened, in plain integers."""

    numbers: random.Random
    percents: list[tuple[int, int, timedelta | None]] = field(default_factory=list)
    """(level, hundredths of a percent, hold) of each rule that pays a part of the order."""
    bonus: int = 0
    """The buyer's points for every order, as long as anything of it is left."""
    amounts: dict[str, int] = field(default_factory=dict)
    left: dict[str, int] = field(default_factory=dict)
    upline: dict[str, list[str]] = field(default_factory=dict)
    events: list[events_pb2.ConversionEvent] = field(default_factory=list)

    def plan(self) -> plan_pb2.Plan:
        """The plan, and the same for the model."""
        plan = plan_pb2.Plan(
            assets=[
                asset_pb2.Asset(code="USD", kind=asset_pb2.ASSET_KIND_MONEY),
                asset_pb2.Asset(code="points", kind=asset_pb2.ASSET_KIND_POINTS),
            ],
            rounding=plan_pb2.ROUNDING_MODE_DOWN,
        )
        for level in range(1, 5):
            hundredths, hold = self.numbers.randint(1, 2_000), self.numbers.choice(HOLDS)
            self.percents.append((level, hundredths, hold))
            rule = plan.rules.add(rule_id=f"level-{level}", on=["order"], asset="USD")
            rule.to.upline.from_level = rule.to.upline.to_level = level
            rule.amount.percent.percent = f"{hundredths // 100}.{hundredths % 100:02d}"
            if hold:
                rule.hold.duration.FromTimedelta(hold)
        self.bonus = self.numbers.randint(1, 50)
        rule = plan.rules.add(rule_id="bonus", on=["order"], asset="points")
        rule.to.buyer.SetInParent()
        rule.amount.fixed.amount_minor = self.bonus
        return plan

    def trade(self, program: str) -> None:
        """Orders, and refunds of some: whole, in part, in several parts."""
        for number in range(CONVERSIONS):
            name, amount = f"c{number}", self.numbers.choice([0, 1, 7, 99, 1_177, 123_457])
            upline = self.numbers.sample(PEOPLE, self.numbers.randint(0, 5))
            self.amounts[name] = self.left[name] = amount
            self.upline[name] = upline
            self.events.append(recorded(program, name, amount, buyer=f"b{number % 5}", upline=tuple(upline)))
            for part in range(self.numbers.randint(0, 4)):
                taken = self.left[name] if self.numbers.random() < 0.3 else self.numbers.randint(0, self.left[name])
                if not taken:
                    continue
                self.left[name] -= taken
                completes = not self.left[name]
                self.events.append(
                    reversed_(program, name, f"r{number}-{part}", taken, completes=completes, minutes_later=part + 1)
                )

    def deliveries(self) -> list[bytes]:
        """Messages of some events each, in any order, some of them again."""
        again = [each for each in self.events if self.numbers.random() < DELIVERED_AGAIN]
        shuffled = [*self.events, *again]
        self.numbers.shuffle(shuffled)
        messages = []
        while shuffled:
            size = self.numbers.randint(1, 12)
            messages.append(message(*shuffled[:size]))
            del shuffled[:size]
        return messages

    def owed(self, now: datetime) -> dict[tuple[str, str], tuple[int, int]]:
        """(held, available) by participant and asset."""
        totals: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
        for number, (name, left) in enumerate(self.left.items()):
            for level, hundredths, hold in self.percents:
                if level <= len(self.upline[name]):
                    ended = hold is None or hold + NOON <= now
                    totals[self.upline[name][level - 1], "USD"][ended] += left * hundredths // 10_000
            if left or not self.amounts[name]:
                totals[f"b{number % 5}", "points"][1] += self.bonus
        return {key: (held, available) for key, (held, available) in totals.items()}


@pytest_asyncio.fixture
async def both(ledger: Ledger, servers: Servers, clock: ManualClock) -> AsyncIterator[list[Deps]]:
    """Two services on one database."""
    before = clock.now()
    clock.set(NOON)
    async with running(RewardsService(servers.settings("rewards"), clock)) as other:
        yield [ledger.rewards.service.deps, other.service.deps]
    clock.set(before)


@pytest.mark.parametrize("seed", range(ROUNDS))
async def test_any_order_of_anything_owes_what_plain_integers_say(
    ledger: Ledger, published: Published, both: list[Deps], clock: ManualClock, servers: Servers, seed: int
) -> None:
    numbers = random.Random(seed)
    shop = Shop(numbers)
    program = await published(shop.plan())
    shop.trade(program)

    async def work(deps: Deps, messages: list[bytes], pause: random.Random) -> None:
        while messages:
            batch = [messages.pop() for _ in range(min(len(messages), pause.randint(1, 4)))]
            await settled(deps, batch)
            if pause.random() < 0.3:
                await release_due_holds(deps)
            if pause.random() < 0.2:
                await roll_up_balances(deps)

    async def pass_time() -> None:
        for minutes in range(0, 130, 10):
            clock.set(NOON + timedelta(minutes=minutes))
            await asyncio.sleep(0.02)

    messages = shop.deliveries()
    await asyncio.gather(
        *(work(both[each % 2], messages, random.Random(seed * 100 + each)) for each in range(6)), pass_time()
    )
    await all_released(servers, program, both[0])
    await assert_owed(ledger, program, shop, clock.now())
    await assert_explained(ledger, program, shop)
    await assert_told(servers, program, shop, clock.now())


async def all_released(servers: Servers, program: str, deps: Deps) -> None:
    """Releases what is due, and waits for what the services' own jobs are releasing at that moment: that is passed
    over."""
    async with (
        asyncio.timeout(DEADLINE_SECONDS),
        await psycopg.AsyncConnection.connect(servers.postgres.url, autocommit=True) as conn,
    ):
        while True:
            await release_due_holds(deps)
            due = "SELECT 1 FROM rewards.hold WHERE program_id = %s AND due_time <= %s"
            if await (await conn.execute(due, [program, deps.clock.now()])).fetchone() is None:
                return


async def assert_owed(ledger: Ledger, program: str, shop: Shop, now: datetime) -> None:
    """Every wallet is what the model says, and the audit is clean."""
    owed = shop.owed(now)
    for person in [*PEOPLE, *(f"b{number}" for number in range(5))]:
        wallet = await ledger.wallet(program, person)
        assert wallet == {asset: owed.get((person, asset), (0, 0)) for asset in wallet}, person
    audit = await ledger.audit(program)
    assert audit.balanced, audit.findings


async def assert_explained(ledger: Ledger, program: str, shop: Shop) -> None:
    """Every conversion and reward is explained as it was posted."""
    for name in shop.amounts:
        rewards = await ledger.reader.ListRewards(
            reward_pb2.ListRewardsRequest(program_id=program, conversion_id=name), timeout=DEADLINE_SECONDS
        )
        net = {(each.rule_id, each.level): each.net_minor for each in rewards.rewards if each.net_minor}
        story = await ledger.explain(program, name)
        told = {(each.rule_id, each.level): each.amount_minor for each in story.derivations if each.amount_minor}
        assert told == net, name
        assert story.remaining_minor == shop.left[name]
        for each in rewards.rewards[:1]:
            reward = await ledger.reader.ExplainReward(
                reward_pb2.ExplainRewardRequest(program_id=program, reward_id=each.reward_id), timeout=DEADLINE_SECONDS
            )
            assert reward.derivation.amount_minor == each.amount_minor
            assert reward.current.amount_minor == each.net_minor
            assert each.amount_minor + sum(row.delta_minor for row in reward.revisions) == each.net_minor


async def assert_told(servers: Servers, program: str, shop: Shop, now: datetime) -> None:
    """The events sum up to what is owed: each id once, and nothing of value without one."""
    available: dict[tuple[str, str], int] = defaultdict(int)
    seen: set[str] = set()
    async with await psycopg.AsyncConnection.connect(servers.postgres.url) as conn:
        rows = await (await conn.execute("SELECT payload FROM rewards.outbox ORDER BY outbox_id")).fetchall()
    for (payload,) in rows:
        for event in reward_events_pb2.RewardEventBatch.FromString(payload).events:
            if event.program_id != program:
                continue
            assert event.event_id not in seen
            seen.add(event.event_id)
            for each in event.earnings:
                change = {
                    reward_events_pb2.REWARD_CHANGE_ACCRUED: each.amount_minor,
                    reward_events_pb2.REWARD_CHANGE_RELEASED: 0,
                    reward_events_pb2.REWARD_CHANGE_REVERSED: -each.amount_minor,
                }[event.change]
                available[each.beneficiary_id, each.asset] += change
    owed = {key: held + available for key, (held, available) in shop.owed(now).items() if held + available}
    assert {key: amount for key, amount in available.items() if amount} == owed
