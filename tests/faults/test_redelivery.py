"""Deliveries that come again, in another order, late, and to several services at once: the same ledger, the same
inboxes."""

import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from uuid import uuid4

import psycopg
from upline.attribution.v1 import events_pb2, participant_pb2
from upline.rewards.v1 import events_pb2 as reward_events_pb2
from upline.rewards.v1 import plan_pb2

from chassis.clock import ManualClock
from chassis.stream import Message, Stream
from chassis.topology import CONVERSIONS, REWARDS
from tests.conftest import Servers
from tests.e2e.conftest import OpenProgram
from tests.e2e.world import World
from tests.running import DEADLINE_SECONDS, running

PEOPLE = 12
ORDERS = 60
ConversionBatch = events_pb2.ConversionEventBatch
RewardBatch = reward_events_pb2.RewardEventBatch

Holdings = dict[str, tuple[int, int, Counter[str]]]
"""Of each participant: (held, available) in points, and how often they are told of each cause."""


def people() -> list[str]:
    """Everybody in the tree."""
    return [f"p{number}" for number in range(PEOPLE)]


async def trade(world: World, rng: random.Random) -> None:
    """A line of people, orders of all of them, refunds in parts, some before their orders, a few whole."""
    await world.enrol_all(
        [
            participant_pb2.ParticipantDraft(participant_id=who, sponsor_id=sponsor)
            for who, sponsor in zip(people(), ["", *people()], strict=False)
        ]
    )
    for number in rng.sample(range(ORDERS), ORDERS // 6):
        await world.refund(f"early-{number}", f"order-{number}", 50)
    orders = [world.order(f"order-{n}", rng.choice(people()), rng.randint(100, 99_999)) for n in range(ORDERS)]
    for start in range(0, ORDERS, 10):
        await world.record(orders[start : start + 10])
    for number in rng.sample(range(ORDERS), ORDERS // 2):
        await world.refund(f"part-{number}", f"order-{number}", rng.randint(1, 49))
    for number in rng.sample(range(ORDERS), ORDERS // 4):
        await world.refund(f"whole-{number}", f"order-{number}")
    await world.drained()


async def holdings(world: World) -> Holdings:
    """The balances of everybody, and what they were told."""
    found = {}
    for person in people():
        held_minor, available_minor = (await world.wallet(person))["points"]
        found[person] = (held_minor, available_minor, Counter(each.cause_id for each in await world.inbox(person)))
    return found


async def conversion_events(servers: Servers, program_id: str) -> list[events_pb2.ConversionEvent]:
    """The messages that attribution ever sent of a program."""
    batches = [ConversionBatch.FromString(each) for each in await payloads(servers, "attribution")]
    return [event for batch in batches for event in batch.events if f":{program_id}/" in event.event_id]


async def reward_events(servers: Servers, program_id: str) -> list[reward_events_pb2.RewardEvent]:
    """The messages that rewards ever sent of a program."""
    batches = [RewardBatch.FromString(each) for each in await payloads(servers, "rewards")]
    return [event for batch in batches for event in batch.events if event.program_id == program_id]


async def payloads(servers: Servers, service: str) -> list[bytes]:
    """The outbox of a service, but for what it tells of people."""
    async with await psycopg.AsyncConnection.connect(servers.postgres.url) as conn:
        statement = f"SELECT payload FROM {service}.outbox WHERE subject = ANY(%s) ORDER BY outbox_id"
        rows = await conn.execute(statement.encode(), [[CONVERSIONS.subject, REWARDS.subject]])
        return [bytes(row[0]) for row in await rows.fetchall()]


def fresh_message(batch: events_pb2.ConversionEventBatch | reward_events_pb2.RewardEventBatch) -> Message:
    """A stream message under an id the broker has not seen, so that its own deduplication never helps."""
    spec = CONVERSIONS if isinstance(batch, ConversionBatch) else REWARDS
    return Message(spec.subject, uuid4().hex, batch.DESCRIPTOR.full_name, batch.SerializeToString())


@asynccontextmanager
async def rivals(servers: Servers, clock: ManualClock) -> AsyncIterator[None]:
    """A second rewards and a second notify service, which read the same consumers as the first ones."""
    from services.notify.__main__ import NotifyService
    from services.rewards.__main__ import RewardsService

    async with (
        running(RewardsService(servers.settings("rewards"), clock)),
        running(NotifyService(servers.settings("notify"), clock)),
    ):
        yield


async def test_every_message_delivered_again_in_any_order_changes_nothing(
    opened: OpenProgram, servers: Servers, broker: Stream, clock: ManualClock
) -> None:
    rng = random.Random(1)
    world = await opened("uds.yaml")
    await trade(world, rng)
    before, totals = await holdings(world), await world.totals()
    assert any(causes for _, _, causes in before.values())

    again: list[Message] = []
    for event in await conversion_events(servers, world.program_id):
        again += [fresh_message(ConversionBatch(events=[event])) for _ in range(3)]
        again.append(fresh_message(ConversionBatch(events=[event, event])))
    for told in await reward_events(servers, world.program_id):
        again += [fresh_message(RewardBatch(events=[told])) for _ in range(3)]
    assert len(again) > 4 * ORDERS
    rng.shuffle(again)
    async with rivals(servers, clock):
        await broker.publish_all(again)
        await world.drained()
    assert await holdings(world) == before
    assert await world.totals() == totals
    assert await world.audit() == []


async def test_first_deliveries_in_any_order_to_racing_services_end_alike(
    opened: OpenProgram,
    new_program_id: Callable[[str], str],
    servers: Servers,
    broker: Stream,
    clock: ManualClock,
) -> None:
    """The events of one program, delivered in order, and the same of another: shuffled, each one twice, refunds
    first."""
    rng = random.Random(2)
    world = await opened("uds.yaml")
    await trade(world, rng)
    wanted = await holdings(world)

    other = World(world.client, world.flow, new_program_id("shuffled"), world.currency)
    await copy_plan(world, other)
    shuffled = [
        fresh_message(ConversionBatch(events=[moved(event, world, other)]))
        for event in await conversion_events(servers, world.program_id)
        for _ in range(2)
    ]
    rng.shuffle(shuffled)
    async with rivals(servers, clock):
        await broker.publish_all(shuffled)
        await other.drained()
    found = await holdings(other)
    assert {who: has[:2] for who, has in found.items()} == {who: has[:2] for who, has in wanted.items()}
    for person in people():
        # What each refund takes back depends on the order; who is told of which order does not.
        assert {each for each in found[person][2] if each.startswith("conversion:")} == {
            each.replace(world.program_id, other.program_id)
            for each in wanted[person][2]
            if each.startswith("conversion:")
        }
        assert set(found[person][2].values()) <= {1}
    totals, other_totals = await world.totals(), await other.totals()
    assert other_totals == totals
    assert await other.audit() == []


def moved(event: events_pb2.ConversionEvent, source: World, target: World) -> events_pb2.ConversionEvent:
    """A copy of the fact, in another program."""
    copy = events_pb2.ConversionEvent()
    copy.CopyFrom(event)
    copy.event_id = event.event_id.replace(source.program_id, target.program_id)
    if copy.WhichOneof("fact") == "recorded":
        copy.recorded.conversion.program_id = target.program_id
    else:
        copy.reversed.reversal.program_id = target.program_id
    return copy


async def copy_plan(source: World, target: World) -> None:
    """Publishes the same plan."""
    plans = source.client.plans
    answer = await plans.GetPlan(plan_pb2.GetPlanRequest(program_id=source.program_id), timeout=DEADLINE_SECONDS)
    request = plan_pb2.PublishPlanRequest(
        request_id=uuid4().hex,
        program_id=target.program_id,
        plan=answer.plan_version.plan,
        currency_code=source.currency,
    )
    await plans.PublishPlan(request, timeout=DEADLINE_SECONDS)
