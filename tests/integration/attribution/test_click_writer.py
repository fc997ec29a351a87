"""The click writer: every click once, in the partition of its day, for as long as is promised."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from upline.attribution.v1.click_pb2 import Click, ClickBatch

from chassis.clock import ManualClock
from chassis.consumer import SomeFailedError
from chassis.database import Database
from chassis.times import unix_ms
from services.attribution.commands.click_writing import DAYS_AHEAD, renew_partitions
from services.attribution.commands.deps import WriterDeps
from services.attribution.consumer import ClickBatches
from services.attribution.store.clicks import drop_partitions
from services.attribution.store.partitions import ClickPartitions
from services.attribution.wire.click_rules import new_click_id
from tests.conftest import Servers
from tests.integration.attribution.clicking import rows, stored

NOON = datetime(2021, 5, 17, 12, tzinfo=UTC)
"""A day that no other test has clicks of."""
RETENTION = timedelta(days=400)


@pytest.fixture
async def database(servers: Servers) -> AsyncIterator[Database]:
    database = Database(servers.settings("attribution").database_url, "attribution")
    yield database
    await database.close()


@pytest.fixture
def program_id(new_program_id: Callable[[str], str]) -> str:
    return new_program_id("writer")


def writer(database: Database, now: datetime = NOON) -> ClickBatches:
    return ClickBatches(WriterDeps(database, ManualClock(now), ClickPartitions(database)))


def click(program_id: str, when: datetime, **fields: object) -> Click:
    return Click(**{"click_id": new_click_id(unix_ms(when)), "program_id": program_id, "link_id": "l", **fields})


def batch(*clicks: Click) -> bytes:
    return ClickBatch(clicks=clicks).SerializeToString()


def partitions(servers: Servers) -> set[str]:
    return {
        name
        for (name,) in rows(
            servers,
            "SELECT child.relname FROM pg_inherits JOIN pg_class child ON child.oid = inhrelid"
            " WHERE inhparent = 'click'::regclass",
        )
    }


async def test_everything_of_a_click_arrives(servers: Servers, database: Database, program_id: str) -> None:
    made = click(
        program_id,
        NOON,
        visitor_id="вера 😀\n\\.",
        ip_hash=b"\x00\xff\n\\",
        user_agent_hash=bytes(range(16)),
        referrer_url="news.example",
    )
    made.occurred_at.FromDatetime(NOON + timedelta(microseconds=123457))
    await writer(database).handle([batch(made)])
    ((click_id, link_id, visitor_id, occurred_at, ip_hash, user_agent_hash, referrer_host),) = stored(
        servers, program_id
    )
    assert (click_id.bytes, link_id, visitor_id) == (made.click_id, "l", "вера 😀\n\\.")
    assert occurred_at == NOON + timedelta(microseconds=123457)
    assert (ip_hash, user_agent_hash, referrer_host) == (b"\x00\xff\n\\", bytes(range(16)), "news.example")


async def test_clicks_lie_in_the_partition_of_their_day(servers: Servers, database: Database, program_id: str) -> None:
    midnight = datetime(2021, 5, 18, tzinfo=UTC)
    await writer(database).handle(
        [batch(click(program_id, midnight), click(program_id, midnight - timedelta(milliseconds=1)))]
    )
    found = rows(
        servers, "SELECT tableoid::regclass::text FROM click WHERE program_id = %s ORDER BY click_id", program_id
    )
    assert found == [("click_20210517",), ("click_20210518",)]


async def test_redelivered_messages_change_nothing(servers: Servers, database: Database, program_id: str) -> None:
    first = [click(program_id, NOON, visitor_id="first") for _ in range(5)]
    changed = click(program_id, NOON, click_id=first[0].click_id, visitor_id="second")
    fresh = click(program_id, NOON, visitor_id="fresh")
    await writer(database).handle([batch(*first), batch(first[2]), batch(changed)])
    await writer(database).handle([batch(*first), batch(changed, fresh)])
    await writer(database).handle([batch(*first), batch(changed, fresh)])
    assert sorted(row[2] for row in stored(servers, program_id)) == ["first"] * 5 + ["fresh"]


async def test_a_click_at_fault_keeps_no_other_from_being_written(
    servers: Servers, database: Database, program_id: str, new_program_id: Callable[[str], str]
) -> None:
    other = new_program_id("other")
    refused = click(program_id, NOON, visitor_id="no text has a zero \x00")
    good = [click(each, NOON, visitor_id=f"{number}") for number in range(5) for each in (program_id, other)]
    with pytest.raises(SomeFailedError) as failed:
        await writer(database).handle(
            [batch(*good[:4]), batch(good[4], refused, *good[5:8]), b"\xff", batch(*good[8:])]
        )
    assert failed.value.failures.keys() == {1, 2}
    for each in (program_id, other):
        assert sorted(row[2] for row in stored(servers, each)) == ["0", "1", "2", "3", "4"]


async def test_the_version_before_merges_its_clicks_into_tables_of_this_one(
    servers: Servers, database: Database, program_id: str
) -> None:
    """While an upgrade takes place, the version before goes on writing; it names only the columns that it knows, and so
    those of its stage."""
    there, fresh = (click(program_id, NOON) for _ in range(2))
    await writer(database).handle([batch(there)])
    columns = "click_id, program_id, link_id, visitor_id, occurred_at, ip_hash, user_agent_hash, referrer_host"
    async with database.transaction() as conn:
        await conn.execute(text("CREATE TEMPORARY TABLE click_stage (LIKE click) ON COMMIT DROP"))
        for each in (there, fresh):
            values = {"id": UUID(bytes=each.click_id), "program": program_id, "moment": NOON, "none": b""}
            await conn.execute(
                text(f"INSERT INTO click_stage ({columns}) VALUES (:id, :program, 'l', '', :moment, :none, :none, '')"),
                values,
            )
        merged = f"SELECT DISTINCT ON (click_id) {columns} FROM click_stage ORDER BY click_id, ctid"
        await conn.execute(text(f"INSERT INTO click ({columns}) {merged} ON CONFLICT (click_id) DO NOTHING"))
    kinds = rows(servers, "SELECT click_id, kind FROM click WHERE program_id = %s", program_id)
    assert {(each.bytes, kind) for each, kind in kinds} == {(there.click_id, 0), (fresh.click_id, 0)}


async def test_writers_that_race_for_the_same_messages_write_each_click_once(
    servers: Servers, database: Database, program_id: str
) -> None:
    clicks = [click(program_id, NOON) for _ in range(2_000)]
    payload = [batch(*clicks[:1_200]), batch(*clicks[800:])]
    await asyncio.gather(*(writer(database).handle(payload) for _ in range(4)))
    assert len(stored(servers, program_id)) == 2_000


async def test_writers_that_make_the_same_partition_at_once(
    servers: Servers, database: Database, program_id: str
) -> None:
    day = datetime(2021, 6, 1, tzinfo=UTC)
    assert "click_20210601" not in partitions(servers)
    await asyncio.gather(*(writer(database).handle([batch(click(program_id, day))]) for _ in range(6)))
    assert len(stored(servers, program_id)) == 6


async def test_a_partition_dropped_meanwhile_is_made_again(
    servers: Servers, database: Database, program_id: str
) -> None:
    day, using = datetime(2021, 7, 1, tzinfo=UTC), writer(database)
    await using.handle([batch(click(program_id, day))])
    rows(servers, "DROP TABLE click_20210701")
    await using.handle([batch(click(program_id, day))])
    assert len(stored(servers, program_id)) == 1


async def test_upkeep_makes_days_ahead_and_drops_old_ones(
    servers: Servers, database: Database, program_id: str
) -> None:
    now = datetime(2020, 8, 15, 3, tzinfo=UTC)
    oldest_kept = now - RETENTION
    kept, gone = click(program_id, oldest_kept), click(program_id, oldest_kept - timedelta(days=1))
    using = writer(database, now)
    await using.handle([batch(kept, gone)])
    await renew_partitions(using.deps, RETENTION)
    assert [row[0].bytes for row in stored(servers, program_id)] == [kept.click_id]
    for ahead in range(-1, DAYS_AHEAD + 1):
        assert f"click_{now + timedelta(days=ahead):%Y%m%d}" in partitions(servers)
    await using.handle([batch(gone)])
    assert len(stored(servers, program_id)) == 2, "a late click is kept until the next upkeep"
    assert await renew_partitions(using.deps, RETENTION) == 1


async def test_young_days_cannot_be_dropped(servers: Servers, database: Database) -> None:
    with pytest.raises(DBAPIError, match="younger than 30 days"):
        async with database.transaction() as conn:
            await drop_partitions(conn, datetime.now(UTC).date() - timedelta(days=29))


async def test_no_partition_for_absurd_days(database: Database) -> None:
    far = Click(click_id=new_click_id(unix_ms(datetime(2250, 1, 1, tzinfo=UTC))), program_id="p", link_id="l")
    with pytest.raises(SomeFailedError, match="no clicks are kept"):
        await writer(database).handle([batch(far)])


def test_the_days_bound_is_the_lowest_id_of_the_day(servers: Servers) -> None:
    ((bound,),) = rows(servers, "SELECT click_day_bound(%s)", date(2021, 5, 17))
    midnight_ms = unix_ms(datetime(2021, 5, 17, tzinfo=UTC))
    assert bound.int == midnight_ms << 80
