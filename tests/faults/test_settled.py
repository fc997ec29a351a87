"""All that was acknowledged is settled: what is missing at a reader is found, published again, and counted."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import nats
import psycopg
import pytest
import pytest_asyncio
from nats.js import JetStreamContext

from chassis.clock import ManualClock
from chassis.topology import CONVERSIONS, REWARDS
from cli.doctor.deployment import Deployment, check_database
from services.notify.__main__ import NotifyService
from services.rewards.__main__ import RewardsService
from tests.conftest import Servers
from tests.faults.apart import Apart, apart
from tests.flow import becomes

FIRST_LEVEL_PERCENT = 5
"""The part that `maria` earns of an order of `vera`, by programs/three-levels.yaml."""
PRICE_MINOR = 10_000
EARNED_MINOR = PRICE_MINOR * FIRST_LEVEL_PERCENT // 100
SETTLED_BEFORE = 2_000


async def value(servers: Servers, query: str) -> Any:
    """The one value that a query of the databases' owner finds."""
    async with await psycopg.AsyncConnection.connect(servers.postgres.url, autocommit=True) as conn:
        row = await (await conn.execute(query.encode())).fetchone()
    return row[0] if row else None


async def write(servers: Servers, statement: str) -> None:
    """Changes rows as no service would."""
    async with await psycopg.AsyncConnection.connect(servers.postgres.url, autocommit=True) as conn:
        await conn.execute(statement.encode())


@asynccontextmanager
async def broker(servers: Servers) -> AsyncIterator[JetStreamContext]:
    """The broker as its owner sees it."""
    client = await nats.connect(servers.nats.url)
    try:
        yield client.jetstream()
    finally:
        await client.close()


async def all_published(everything: Apart, owner: str = "attribution") -> None:
    """Returns when nothing waits in an outbox."""
    unpublished = f"SELECT count(*) FROM {owner}.outbox WHERE publish_time IS NULL"
    await becomes(partial(value, everything.servers, unpublished), 0)


async def orders(everything: Apart, name: str, count: int) -> None:
    """Records orders of `vera`, all in one call."""
    world = everything.world
    await world.record([world.order(f"{name}-{number}", "vera", PRICE_MINOR) for number in range(count)])


async def earned(everything: Apart) -> int:
    """The number of orders of which `maria` has earned."""
    _, available = (await everything.world.wallet("maria")).get("USD", (0, 0))
    return available // EARNED_MINOR


async def compared(everything: Apart, owner: str = "attribution") -> bool:
    """Whether all that an owner recorded was compared with what its reader has settled."""
    newest = f"(SELECT max(outbox_id) FROM {owner}.outbox)"
    return bool(await value(everything.servers, f"SELECT settled_id = {newest} FROM {owner}.reconciliation"))


async def gaps(everything: Apart, owner: str = "attribution") -> tuple[int, int]:
    """How many gaps were found, and how many of them are closed."""
    counts = f"SELECT array[count(*), count(close_time)] FROM {owner}.gap"
    found, closed = await value(everything.servers, counts)
    return found, closed


async def told(everything: Apart) -> int:
    """How many entries stand in the inbox of `maria`."""
    return len(await everything.world.inbox("maria"))


@pytest_asyncio.fixture(scope="module")
async def everything(tmp_path_factory: pytest.TempPathFactory, clock: ManualClock) -> AsyncIterator[Apart]:
    """The services on servers of their own, with an order that is settled and told."""
    async with apart(tmp_path_factory.mktemp("settled"), clock) as everything:
        await orders(everything, "before", 1)
        await everything.world.drained()
        await becomes(partial(compared, everything), True)
        yield everything


async def test_a_lost_stream_costs_no_order_though_the_databases_clock_is_ahead(everything: Apart) -> None:
    before, (found, closed) = await earned(everything), await gaps(everything)
    async with broker(everything.servers) as jetstream, everything.without(RewardsService):
        await orders(everything, "acknowledged", 5)
        await all_published(everything)
        # As the rows would stand there if the clock of the database were 40 seconds ahead of the broker's.
        await write(
            everything.servers,
            "UPDATE attribution.outbox SET create_time = create_time + interval '40 seconds',"
            " publish_time = publish_time + interval '40 seconds'",
        )
        await jetstream.delete_stream(CONVERSIONS.name)
        # While nobody answers what was settled, nothing is known, and nothing is named.
        looked = await value(everything.servers, "SELECT look_time FROM attribution.reconciliation")
        later = f"SELECT look_time > '{looked}' FROM attribution.reconciliation"
        await becomes(partial(value, everything.servers, later), True)
        assert await gaps(everything) == (found, closed)
    await becomes(partial(earned, everything), before + 5)
    await becomes(partial(gaps, everything), (found + 5, closed + 5))


async def test_a_message_that_is_gone_from_the_stream_is_published_again(everything: Apart) -> None:
    before, (found, closed) = await earned(everything), await gaps(everything)
    async with broker(everything.servers) as jetstream, everything.without(RewardsService):
        await orders(everything, "first", 1)
        await all_published(everything)
        await orders(everything, "second", 1)
        await all_published(everything)
        stream = await jetstream.stream_info(CONVERSIONS.name)
        await jetstream.delete_msg(CONVERSIONS.name, stream.state.last_seq)
    await becomes(partial(earned, everything), before + 2)
    await becomes(partial(gaps, everything), (found + 1, closed + 1))


async def test_what_is_gone_on_its_way_to_notify_is_told(everything: Apart) -> None:
    earned_before, told_before = await earned(everything), await told(everything)
    async with broker(everything.servers) as jetstream, everything.without(NotifyService):
        await orders(everything, "told", 1)
        await becomes(partial(earned, everything), earned_before + 1)
        await all_published(everything, "rewards")
        stream = await jetstream.stream_info(REWARDS.name)
        await jetstream.delete_msg(REWARDS.name, stream.state.last_seq)
    await becomes(partial(told, everything), told_before + 1)
    await becomes(partial(gaps, everything, "rewards"), (1, 1))


async def test_what_was_settled_is_not_sent_again_ahead_of_a_new_order(everything: Apart) -> None:
    before, known = await earned(everything), await gaps(everything)
    for part in range(2):
        await orders(everything, f"settled-{part}", SETTLED_BEFORE // 2)
    await everything.world.drained()
    await becomes(partial(compared, everything), True)
    async with broker(everything.servers) as jetstream:
        await jetstream.delete_stream(CONVERSIONS.name)
        await orders(everything, "new", 1)
        await becomes(partial(earned, everything), before + SETTLED_BEFORE + 1)
        await becomes(partial(compared, everything), True)
        assert (await jetstream.stream_info(CONVERSIONS.name)).state.last_seq == 1  # the new order, and nothing else
    assert await gaps(everything) == known


async def test_an_order_that_is_set_aside_is_no_gap(everything: Apart) -> None:
    before, known = await earned(everything), await gaps(everything)
    async with broker(everything.servers) as jetstream, everything.without(RewardsService):
        await orders(everything, "aside", 1)
        await all_published(everything)
        await write(
            everything.servers,
            "INSERT INTO rewards.dead_letter (consumer, message_id, subject, payload, error, park_time)"
            " SELECT 'rewards', message_id, subject, payload, 'error', now() FROM attribution.outbox"
            " ORDER BY outbox_id DESC LIMIT 1",
        )
        await jetstream.purge_stream(CONVERSIONS.name)
    await becomes(partial(compared, everything), True)
    assert (await earned(everything), await gaps(everything)) == (before, known)


async def test_the_doctor_names_what_is_not_settled(everything: Apart) -> None:
    check = "facts of attribution that were not settled"
    await becomes(partial(examined, everything, check), (True, "none"))
    gap = "'someone', 'apart', 'conversion:apart/nowhere', 0"  # of a reader that nobody asks: it stays as it is
    await write(
        everything.servers,
        f"INSERT INTO attribution.gap (consumer, program_id, event_id, outbox_id) VALUES ({gap})",
    )
    assert await examined(everything, check) == (False, "1")
    await write(everything.servers, "DELETE FROM attribution.gap WHERE consumer = 'someone'")


async def examined(everything: Apart, check: str) -> tuple[bool, str]:
    """The doctor's finding of one check."""
    deployment = Deployment({}, "", "", "", everything.servers.postgres.url)
    (found,) = [each for each in await asyncio.to_thread(check_database, deployment) if each.check == check]
    return found.ok, found.found
