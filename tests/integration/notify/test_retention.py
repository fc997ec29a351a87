"""Old entries go where a retention is set, and nothing else does; what was told and forgotten is not told again."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from pydantic import ValidationError
from upline.notify.v1 import notify_pb2_grpc

from chassis import retention
from chassis.comparison import Fact
from chassis.database import Database
from chassis.ids import id_at
from chassis.times import to_timestamp
from services.notify.settings import NotifySettings
from services.notify.store.causes import told
from tests.conftest import Servers
from tests.flow import becomes
from tests.integration.notify.conftest import NotifyFactory, Publish, earning, listed, reward_event, when_there

YEAR = timedelta(days=365)


@pytest.fixture(autouse=True)
def forgotten_afterwards(servers: Servers) -> Iterator[None]:
    """Takes away what a sweep leaves behind: other tests tell of things that happened long ago."""
    yield
    with psycopg.connect(servers.postgres.url) as conn:
        conn.execute("DELETE FROM notify.retention WHERE life = 'entries'")


async def test_entries_older_than_the_retention_are_removed_with_their_causes(
    inboxes: notify_pb2_grpc.InboxServiceStub,
    publish: Publish,
    notify_factory: NotifyFactory,
    servers: Servers,
    new_program_id: Callable[[str], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(retention, "BLOCKS_A_TRANSACTION", 1)
    program = new_program_id("aged")
    events = [reward_event(program, [earning("maria", 1, 1), earning("olga", 2, 1)]) for _ in range(8)]
    await publish(*events)
    await when_there(inboxes, program, "olga", 8)
    aged = {each.event_id: id_at(datetime.now(UTC) - YEAR - timedelta(days=1)) for each in events[:5]}
    aged[events[5].event_id] = id_at(datetime.now(UTC) - YEAR + timedelta(days=1))
    with psycopg.connect(servers.postgres.url) as conn:
        for event_id, entry_id in aged.items():
            for table in ("inbox_entry", "cause"):
                conn.execute(
                    f"UPDATE notify.{table} SET entry_id = %s WHERE entry_id ="
                    " (SELECT entry_id FROM notify.cause WHERE program_id = %s AND event_id = %s)".encode(),
                    [entry_id, program, event_id],
                )

    async def causes_left() -> set[str]:
        with psycopg.connect(servers.postgres.url) as conn:
            rows = conn.execute("SELECT event_id FROM notify.cause WHERE program_id = %s", [program]).fetchall()
        return {event_id for (event_id,) in rows}

    left = {each.event_id for each in events[5:]}
    monkeypatch.setenv("UPLINE_NOTIFY_RETENTION_DAYS", "365")
    async with notify_factory():
        await becomes(causes_left, left)
    for person in ("maria", "olga"):
        assert {each.cause_id for each in (await listed(inboxes, program, person)).entries} == left
    with psycopg.connect(servers.postgres.url) as conn:
        rows = conn.execute("SELECT count(*) FROM notify.inbox_entry WHERE program_id = %s", [program]).fetchone()
    assert rows == (6,)


async def test_an_event_that_comes_again_after_its_entries_went_tells_nobody(
    inboxes: notify_pb2_grpc.InboxServiceStub,
    publish: Publish,
    notify_factory: NotifyFactory,
    servers: Servers,
    new_program_id: Callable[[str], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    program = new_program_id("again")
    old = reward_event(program, [earning("maria", 1, 1)])
    happened = datetime.now(UTC) - YEAR - timedelta(days=1)
    old.occurred_at.CopyFrom(to_timestamp(happened))
    await publish(old)
    await when_there(inboxes, program, "maria", 1)
    with psycopg.connect(servers.postgres.url) as conn:
        for table in ("inbox_entry", "cause"):
            conn.execute(
                f"UPDATE notify.{table} SET entry_id = %s WHERE program_id = %s".encode(),
                [id_at(happened), program],
            )

    async def told() -> int:
        return len((await listed(inboxes, program, "maria")).entries)

    monkeypatch.setenv("UPLINE_NOTIFY_RETENTION_DAYS", "365")
    async with notify_factory():
        await becomes(told, 0)
        fresh = reward_event(program, [earning("maria", 1, 2)])
        fresh.occurred_at.CopyFrom(to_timestamp(datetime.now(UTC)))
        await publish(old, fresh)  # in one message: with the one that is told, the other has been handled
        await when_there(inboxes, program, "maria", 1)
    assert [each.cause_id for each in (await listed(inboxes, program, "maria")).entries] == [fresh.event_id]


async def test_what_tells_nobody_is_settled_all_the_same(
    inboxes: notify_pb2_grpc.InboxServiceStub,
    publish: Publish,
    servers: Servers,
    new_program_id: Callable[[str], str],
) -> None:
    """Its owner asks for what was not settled, and sends it again: for ever, if that never comes to be."""
    program = new_program_id("untold")
    with psycopg.connect(servers.postgres.url) as conn:
        conn.execute(
            "INSERT INTO notify.retention (life, sweep_time, removed_before)"
            " VALUES ('entries', now(), now() - interval '30 days')"
        )
    late = reward_event(program, [earning("maria", 1, 1)])  # of a time before which causes may have been removed
    late.occurred_at.CopyFrom(to_timestamp(datetime.now(UTC) - timedelta(days=23)))
    empty = reward_event(program, [])
    fresh = reward_event(program, [earning("maria", 1, 2)])
    for each in (empty, fresh):
        each.occurred_at.CopyFrom(to_timestamp(datetime.now(UTC)))
    await publish(late, empty, fresh)
    entries = await when_there(inboxes, program, "maria", 1)
    assert [each.cause_id for each in entries] == [fresh.event_id]
    facts = {"late": late, "empty": empty, "fresh": fresh, "unknown": reward_event(program, [])}
    names = {Fact(program, event.event_id): name for name, event in facts.items()}
    database = Database(servers.postgres.url, "notify")
    try:
        async with database.transaction() as sql:
            assert {names[each] for each in await told(sql, list(names))} == {"late", "empty", "fresh"}
    finally:
        await database.close()


def test_a_retention_outlives_events_that_come_again(servers: Servers) -> None:
    common = servers.settings("notify").model_dump()
    assert NotifySettings(**common).notify_retention_days == 0
    assert NotifySettings(**common, notify_retention_days=30).notify_retention_days == 30
    with pytest.raises(ValidationError, match="at least 30"):
        NotifySettings(**common, notify_retention_days=29)
