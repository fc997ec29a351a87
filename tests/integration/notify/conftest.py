"""Reward events as the rewards service would publish them, and clients of the notify service."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime

import grpc
import pytest
import pytest_asyncio
from upline.notify.v1 import notify_pb2, notify_pb2_grpc
from upline.rewards.v1 import events_pb2
from upline.type.v1 import asset_pb2

from chassis.clock import ManualClock
from chassis.ids import new_id
from chassis.stream import Message, Stream
from chassis.times import to_timestamp
from chassis.topology import REWARDS
from tests.conftest import Servers
from tests.running import DEADLINE_SECONDS, Running, running

MOMENT = datetime(2026, 3, 5, 12, tzinfo=UTC)

Publish = Callable[..., Awaitable[None]]
NotifyFactory = Callable[[], AbstractAsyncContextManager[Running]]


def earning(
    beneficiary: str, level: int, amount_minor: int, asset: str = "points", hold_until: datetime | None = None
) -> events_pb2.Earning:
    """One amount of one beneficiary."""
    return events_pb2.Earning(
        reward_id=str(new_id()),
        rule_id="rule",
        beneficiary_id=beneficiary,
        level=level,
        asset=asset,
        amount_minor=amount_minor,
        hold_until=to_timestamp(hold_until) if hold_until else None,
    )


def reward_event(
    program_id: str,
    earnings: Sequence[events_pb2.Earning],
    change: events_pb2.RewardChange.ValueType = events_pb2.REWARD_CHANGE_ACCRUED,
    event_id: str = "",
    buyer: str = "vera",
) -> events_pb2.RewardEvent:
    """An event about an order of `buyer`; assets are whole points and roubles."""
    return events_pb2.RewardEvent(
        event_id=event_id or str(new_id()),
        occurred_at=to_timestamp(MOMENT),
        program_id=program_id,
        conversion_id="order-1",
        event_type="order",
        buyer_id=buyer,
        assets=[
            asset_pb2.Asset(code="points", kind=asset_pb2.ASSET_KIND_POINTS),
            asset_pb2.Asset(code="RUB", kind=asset_pb2.ASSET_KIND_MONEY),
        ],
        change=change,
        earnings=earnings,
    )


@pytest_asyncio.fixture(scope="session")
async def broker(servers: Servers) -> AsyncIterator[Stream]:
    """A connection to the suite's broker."""
    stream = await Stream.connect(servers.nats.url, "notify-tests", servers.nats.monitor_url)
    await stream.ensure(REWARDS)
    yield stream
    await stream.close()


@pytest.fixture(scope="session")
def publish(broker: Stream) -> Publish:
    """Publishes events as one message, under a new id, so that the broker's own deduplication never helps."""

    async def send(*events: events_pb2.RewardEvent) -> None:
        payload = events_pb2.RewardEventBatch(events=events).SerializeToString()
        await broker.publish(
            Message(REWARDS.subject, str(new_id()), events_pb2.RewardEventBatch.DESCRIPTOR.full_name, payload)
        )

    return send


@pytest.fixture
def notify_factory(servers: Servers, clock: ManualClock) -> NotifyFactory:
    """Makes further instances of the service, beside the one of the session."""

    @asynccontextmanager
    async def another() -> AsyncIterator[Running]:
        from services.notify.__main__ import NotifyService

        async with running(NotifyService(servers.telling(), clock)) as service:
            yield service

    return another


@pytest.fixture
def inboxes(notify: Running) -> notify_pb2_grpc.InboxServiceStub:
    """A client of InboxService."""
    return notify_pb2_grpc.InboxServiceStub(notify.channel)


@pytest.fixture
def texts(notify: Running) -> notify_pb2_grpc.TextServiceStub:
    """A client of TextService."""
    return notify_pb2_grpc.TextServiceStub(notify.channel)


@pytest.fixture
def preferences(notify: Running) -> notify_pb2_grpc.PreferenceServiceStub:
    """A client of PreferenceService."""
    return notify_pb2_grpc.PreferenceServiceStub(notify.channel)


async def listed(
    inboxes: notify_pb2_grpc.InboxServiceStub, program_id: str, participant_id: str, **fields: object
) -> notify_pb2.ListInboxResponse:
    """One page of an inbox."""
    request = notify_pb2.ListInboxRequest(program_id=program_id, participant_id=participant_id, **fields)  # type: ignore[arg-type]
    return await inboxes.ListInbox(request, timeout=DEADLINE_SECONDS)


async def when_there(
    inboxes: notify_pb2_grpc.InboxServiceStub, program_id: str, participant_id: str, count: int
) -> list[notify_pb2.InboxEntry]:
    """The entries of an inbox as soon as there are at least `count`."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while True:
            answer = await listed(inboxes, program_id, participant_id, page_size=1000)
            if len(answer.entries) >= count:
                return list(answer.entries)
            await asyncio.sleep(0.02)


async def when_settled(broker: Stream) -> None:
    """Returns when every published event was handled."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while await broker.pending(REWARDS, "notify"):
            await asyncio.sleep(0.02)


class Watcher:
    """A caller of WatchInbox."""

    def __init__(self, target: str, program_id: str, participant_id: str, after_entry_id: str = "") -> None:
        self._channel = grpc.aio.insecure_channel(target)
        stub = notify_pb2_grpc.InboxServiceStub(self._channel)
        self.call = stub.WatchInbox(
            notify_pb2.WatchInboxRequest(
                program_id=program_id, participant_id=participant_id, after_entry_id=after_entry_id
            )
        )

    async def begun(self) -> None:
        """Reads the first message, which has no entry."""
        assert not (await self._next()).HasField("entry")

    async def entries(self, count: int) -> list[notify_pb2.InboxEntry]:
        """The next entries."""
        return [(await self._next()).entry for _ in range(count)]

    async def leave(self) -> None:
        """Ends the call."""
        self.call.cancel()
        await self._channel.close()

    async def _next(self) -> notify_pb2.WatchInboxResponse:
        async with asyncio.timeout(DEADLINE_SECONDS):
            message: notify_pb2.WatchInboxResponse = await self.call.read()
        return message


@asynccontextmanager
async def watching(
    running_service: Running, program_id: str, participant_id: str, after_entry_id: str = ""
) -> AsyncIterator[Watcher]:
    """A watch that has begun."""
    watcher = Watcher(running_service.target, program_id, participant_id, after_entry_id)
    try:
        await watcher.begun()
        yield watcher
    finally:
        await watcher.leave()
