"""Rewards alone: the events attribution would send are made here."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import psycopg
import pytest
import pytest_asyncio
from sqlalchemy.exc import TimeoutError as PoolTimeout
from upline.attribution.v1 import conversion_pb2, events_pb2
from upline.rewards.v1 import plan_pb2, plan_pb2_grpc, reward_pb2, reward_pb2_grpc, wallet_pb2, wallet_pb2_grpc
from upline.type.v1 import asset_pb2, money_pb2

from chassis.consumer import SomeFailedError
from chassis.database import Work, is_transient
from chassis.times import to_timestamp
from services.rewards.commands.deferred import Deferral
from services.rewards.commands.deps import Deps
from services.rewards.consumer import CONSUMER, ConversionEvents
from services.rewards.domain.conversion import ArrivedConversion
from services.rewards.store import deferred
from services.rewards.wire.events import FactReading, read_told_facts
from tests.conftest import Servers
from tests.running import DEADLINE_SECONDS, Running

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
UPLINE = ("maria", "olga", "petr")


def recorded(
    program_id: str,
    conversion_id: str,
    amount_minor: int,
    *,
    buyer: str = "vera",
    upline: tuple[str, ...] = UPLINE,
    event_type: str = "order",
    occurred_at: datetime = NOON,
    record_time: datetime = NOON,
    margin_minor: int | None = None,
) -> events_pb2.ConversionEvent:
    """The event that a conversion was recorded."""
    draft = conversion_pb2.ConversionDraft(
        conversion_id=conversion_id,
        event_type=event_type,
        amount=money_pb2.Money(currency_code="USD", amount_minor=amount_minor),
        buyer_id=buyer,
        occurred_at=to_timestamp(occurred_at),
        margin_minor=margin_minor,
    )
    return events_pb2.ConversionEvent(
        event_id=f"conversion:{program_id}/{conversion_id}",
        record_time=to_timestamp(record_time),
        recorded=events_pb2.ConversionRecorded(
            conversion=conversion_pb2.Conversion(
                program_id=program_id, draft=draft, create_time=to_timestamp(record_time)
            ),
            upline=[events_pb2.UplineMember(participant_id=each) for each in upline],
        ),
    )


def reversed_(
    program_id: str,
    conversion_id: str,
    reversal_id: str,
    amount_minor: int,
    *,
    completes: bool = False,
    minutes_later: int = 1,
) -> events_pb2.ConversionEvent:
    """The event that a conversion was taken back in part."""
    moment = to_timestamp(NOON + timedelta(minutes=minutes_later))
    return events_pb2.ConversionEvent(
        event_id=f"reversal:{program_id}/{reversal_id}",
        record_time=moment,
        reversed=events_pb2.ConversionReversed(
            reversal=conversion_pb2.Reversal(
                program_id=program_id,
                draft=conversion_pb2.ReversalDraft(reversal_id=reversal_id, conversion_id=conversion_id),
                amount_minor=amount_minor,
                completes=completes,
                create_time=moment,
            )
        ),
    )


def called(call_key: int, *events: events_pb2.ConversionEvent) -> list[events_pb2.ConversionEvent]:
    """The events as those of one call, numbered in its order."""
    for number, event in enumerate(events, start=1):
        fact = event.recorded if event.HasField("recorded") else event.reversed
        fact.call_place.call_key, fact.call_place.number = call_key, number
    return list(events)


def message(*events: events_pb2.ConversionEvent) -> bytes:
    """The events as one stream message."""
    return events_pb2.ConversionEventBatch(events=events).SerializeToString()


def points_rule(**fields: object) -> plan_pb2.Rule:
    """A rule in points for the buyer, unless said otherwise."""
    defaults = {"rule_id": "cashback", "on": ["order"], "asset": "points"}
    rule = plan_pb2.Rule(**(defaults | fields))
    if not rule.HasField("to"):
        rule.to.buyer.SetInParent()
    return rule


def three_levels(hold: timedelta | None = None) -> plan_pb2.Plan:
    """5, 2 and 1 % of the order in money on three levels, rounded down."""
    rule = plan_pb2.Rule(
        rule_id="upline",
        on=["order"],
        asset="USD",
        to=plan_pb2.Beneficiary(upline=plan_pb2.UplineLevels(from_level=1, to_level=3)),
        amount=plan_pb2.Amount(per_level=plan_pb2.PerLevelAmount(percents=["5", "2", "1"])),
    )
    if hold:
        rule.hold.duration.FromTimedelta(hold)
    return plan_pb2.Plan(
        assets=[asset_pb2.Asset(code="USD", kind=asset_pb2.ASSET_KIND_MONEY)],
        rules=[rule],
        rounding=plan_pb2.ROUNDING_MODE_DOWN,
    )


def arrived(*payloads: bytes) -> list[ArrivedConversion]:
    """The conversions that stream messages tell."""
    reading = FactReading()
    for _ in reading.read_each(payloads):
        pass
    return reading.facts.conversions


async def settled(deps: Deps, payloads: Sequence[bytes]) -> None:
    """Settles stream messages, as the consumer does. Raises the first error of those that fail for good.

    Where tests settle more at once than there are connections, or a machine is slow, some wait in vain for a connection
    or a lock. They come again, as they would from the stream. Those that take long are waited for.
    """
    events = ConversionEvents(deps)
    while True:
        try:
            await events.handle(payloads)
        except SomeFailedError as error:
            if final := [each for each in error.failures.values() if not is_transient(each)]:
                raise final[0] from None
        except PoolTimeout:
            pass
        else:
            break
        await asyncio.sleep(0.1)
    program_ids = {fact.program_id for each in payloads for fact in read_told_facts(each)}
    deferral = Deferral(deps, CONSUMER)
    while await _waits(deps, program_ids):
        if not await deferral.settle_next():  # else the service itself works on it
            await asyncio.sleep(0.02)


async def _waits(deps: Deps, program_ids: set[str]) -> bool:
    async with deps.database.transaction() as conn:
        return bool(await deferred.programs_among(conn, program_ids))


@dataclass
class Ledger:
    """The questions and reports of tests to the rewards service."""

    rewards: Running
    plans: plan_pb2_grpc.PlanServiceStub = field(init=False)
    reader: reward_pb2_grpc.RewardServiceStub = field(init=False)
    wallets: wallet_pb2_grpc.WalletServiceStub = field(init=False)

    def __post_init__(self) -> None:
        self.plans = plan_pb2_grpc.PlanServiceStub(self.rewards.channel)
        self.reader = reward_pb2_grpc.RewardServiceStub(self.rewards.channel)
        self.wallets = wallet_pb2_grpc.WalletServiceStub(self.rewards.channel)

    @property
    def job_deps(self) -> Deps:
        """The collaborators of the service's own jobs: their connections are not those of callers."""
        service = self.rewards.service
        return replace(service.deps, database=service.databases[Work.JOBS])

    async def publish(self, program_id: str, plan: plan_pb2.Plan, **fields: object) -> plan_pb2.PlanVersion:
        """Publishes a plan."""
        request = plan_pb2.PublishPlanRequest(
            **({"request_id": uuid4().hex, "program_id": program_id, "plan": plan, "currency_code": "USD"} | fields)
        )
        return (await self.plans.PublishPlan(request, timeout=DEADLINE_SECONDS)).plan_version

    async def settle(self, *payloads: bytes) -> None:
        """Settles stream messages, as the consumer does. Raises the first error of those that fail."""
        await settled(self.rewards.service.deps, payloads)

    async def wallet(self, program_id: str, participant_id: str) -> dict[str, tuple[int, int]]:
        """(held, available) by asset."""
        answer = await self.wallets.GetWallet(
            wallet_pb2.GetWalletRequest(program_id=program_id, participant_id=participant_id), timeout=DEADLINE_SECONDS
        )
        return {each.asset: (each.held_minor, each.available_minor) for each in answer.balances}

    async def available(self, program_id: str, *participants: str, asset: str = "USD") -> list[int]:
        """The available balance of each participant."""
        return [(await self.wallet(program_id, each))[asset][1] for each in participants]

    async def transfers(self, program_id: str, participant_id: str) -> list[wallet_pb2.Transfer]:
        """A participant's transfers, newest first."""
        request = wallet_pb2.ListTransfersRequest(program_id=program_id, participant_id=participant_id)
        return list((await self.wallets.ListTransfers(request, timeout=DEADLINE_SECONDS)).transfers)

    async def audit(self, program_id: str) -> wallet_pb2.AuditLedgerResponse:
        """The full audit of one program."""
        return await self.wallets.AuditLedger(
            wallet_pb2.AuditLedgerRequest(program_id=program_id, full=True), timeout=DEADLINE_SECONDS
        )

    async def explain(
        self, program_id: str, conversion_id: str, locale: str = "en"
    ) -> reward_pb2.ExplainConversionResponse:
        """The explanation of one conversion."""
        request = reward_pb2.ExplainConversionRequest(program_id=program_id, conversion_id=conversion_id, locale=locale)
        return await self.reader.ExplainConversion(request, timeout=DEADLINE_SECONDS)


@pytest.fixture(scope="session")
def ledger(rewards: Running) -> Ledger:
    """The rewards service, for tests."""
    return Ledger(rewards)


Published = Callable[..., Awaitable[str]]


@pytest.fixture
def published(ledger: Ledger, new_program_id: Callable[[str], str]) -> Published:
    """Publishes a plan under a new program id and returns the id."""

    async def publish(plan: plan_pb2.Plan, **fields: object) -> str:
        program_id = new_program_id("rewards")
        await ledger.publish(program_id, plan, **fields)
        return program_id

    return publish


Owner = psycopg.AsyncConnection[tuple[object, ...]]


@pytest_asyncio.fixture
async def owner(servers: Servers) -> AsyncIterator[Owner]:
    """Somebody who may do everything with the tables; all of it is undone with the program's rows."""
    async with await psycopg.AsyncConnection.connect(
        servers.postgres.url, autocommit=True, cursor_factory=psycopg.AsyncClientCursor
    ) as conn:
        yield conn


async def forget(owner: Owner, program: str) -> None:
    """Removes the program's rows, for an audit of all programs would find them."""
    for table in (
        "transfer",
        "reward",
        "balance",
        "balance_delta",
        "hold",
        "conversion",
        "reversal",
        "operation",
        "tally",
    ):
        await owner.execute(f"DELETE FROM rewards.{table} WHERE program_id = %(p)s".encode(), {"p": program})
