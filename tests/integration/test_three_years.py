"""Three years of what grows, played by its jobs: month by month rows come, time passes, and what has lived its time
goes. A table holds what its life allows and no more; what is kept for its own sake stays."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from chassis import retention
from chassis.clock import ManualClock
from chassis.database import Database, Work
from chassis.ids import least_id
from chassis.retention import Life, sweep
from services.attribution import jobs as attribution_jobs
from services.attribution.settings import AttributionSettings
from services.notify import jobs as notify_jobs
from services.notify.domain.delivery import DeliveryState
from services.notify.settings import NotifySettings
from services.rewards import jobs as rewards_jobs
from services.rewards.settings import RewardsSettings
from tests.conftest import Servers

MONTHS, MONTH_DAYS, ROWS_A_DAY = 36, 30, 2
DAYS = MONTHS * MONTH_DAYS
NAME = "three-years"
BLOCKS = 4
ROWS_A_BLOCK = 292
"""No block of 8 kB has more rows."""
MOMENTS = f"""
    FROM (SELECT n, %(moment)s - make_interval(secs => n * {86_400 // ROWS_A_DAY}) AS t
          FROM generate_series(1, {MONTH_DAYS * ROWS_A_DAY}) AS n) AS moments
"""
KEY = "%(month)s || '-' || n"
"""A name for each row."""


@dataclass(frozen=True)
class Growth:
    """The rows that one table gets each month."""

    insert: str
    time: str
    """The column that ages; empty for ids that begin with their time."""
    own: str
    """The condition of this test's rows."""
    stays: str = ""
    """Rows to be added, of the same age, that have to stay."""


REQUEST = f"""
    INSERT INTO {{}} (method, request_id, body_hash, response, create_time)
    SELECT '{NAME}', {KEY}, '', '', t {MOMENTS}
"""
PROGRAM_REQUEST = f"""
    INSERT INTO {{}} (program_id, method, request_id, body_hash, response, create_time)
    SELECT '{NAME}', 'Call', {KEY}, '', '', t {MOMENTS}
"""
LETTER = f"""
    INSERT INTO {{}}.dead_letter (consumer, message_id, subject, payload, error, update_time, park_time)
    SELECT '{NAME}', {{}} || {KEY}, '', '', '', t, {{}} {MOMENTS}
"""
WAIT = f"""
    INSERT INTO rewards.hold_wait
        (program_id, conversion_id, mark, rule_id, buyer_id, event_type, approval, earliest, occurred_at, end_time)
    SELECT '{NAME}', {{}} || {KEY}, '9000-01-01Z', 'r', 'vera', 'confirmed', {{}}, t, t, {{}} {MOMENTS}
"""
GAP = f"""
    INSERT INTO {{}}.gap (consumer, program_id, event_id, outbox_id, find_time, close_time)
    SELECT '{NAME}', 'p', {{}} || {KEY}, 0, t, {{}} {MOMENTS}
"""
DELIVERY = f"""
    INSERT INTO notify.delivery (delivery_id, program_id, entry_id, participant_id, channel, endpoint_id, kind, state,
        update_time)
    SELECT gen_random_uuid(), '{NAME}', gen_random_uuid(), 'vera', 1, gen_random_uuid(), 1, {{}}, t {MOMENTS}
"""
LEAST_ID = "CAST(lpad(to_hex(CAST(extract(epoch FROM {}) * 1000 AS bigint)), 12, '0') || repeat('0', 20) AS uuid)"


def common(service: str) -> dict[str, Growth]:
    """The tables that grow in every service."""
    return {
        "program_request": Growth(
            PROGRAM_REQUEST.format(f"{service}.program_request"), "create_time", f"program_id = '{NAME}'"
        ),
        "request": Growth(REQUEST.format(f"{service}.request"), "create_time", f"method = '{NAME}'"),
        "dead_letter": Growth(
            LETTER.format(service, "'counted-'", "NULL"),
            "update_time",
            f"consumer = '{NAME}' AND park_time IS NULL",
            LETTER.format(service, "'parked-'", "t"),
        ),
    }


def gaps(service: str) -> Growth:
    """The gaps of a service that others read the events of."""
    return Growth(
        GAP.format(service, "'closed-'", "t"),
        "close_time",
        f"consumer = '{NAME}' AND close_time IS NOT NULL",
        GAP.format(service, "'open-'", "NULL"),
    )


GROWTH = {
    "attribution": common("attribution")
    | {
        "gap": gaps("attribution"),
        "share": Growth(
            "INSERT INTO attribution.share (program_id, participant_id, channel, link_id, code, create_time)"
            f" SELECT '{NAME}', 'vera', 'mail', '', '', t {MOMENTS}",
            "create_time",
            f"program_id = '{NAME}'",
        ),
    },
    "rewards": common("rewards")
    | {
        "gap": gaps("rewards"),
        "hold_wait": Growth(
            WAIT.format("'over-'", 2, "t"),
            "end_time",
            f"program_id = '{NAME}' AND end_time IS NOT NULL AND approval <> 3",
            "; ".join([WAIT.format("'rejected-'", 3, "t"), WAIT.format("'waits-'", 1, "NULL")]),
        ),
        "awaited_event": Growth(
            "INSERT INTO rewards.awaited_event (program_id, conversion_id, buyer_id, event_type, target_id,"
            f" occurred_at, record_time) SELECT '{NAME}', {KEY}, 'vera', 'confirmed', '', t, t {MOMENTS}",
            "record_time",
            f"program_id = '{NAME}'",
        ),
        "expiring": Growth(
            "INSERT INTO rewards.expiring (program_id, participant_id, asset, check_time)"
            f" SELECT '{NAME}', {KEY}, 'points', t {MOMENTS}",
            "check_time",
            f"program_id = '{NAME}' AND check_time > 'epoch'",
            "INSERT INTO rewards.expiring (program_id, participant_id, asset, check_time)"
            f" SELECT '{NAME}', 'asked-' || {KEY}, 'points', 'epoch' {MOMENTS}",
        ),
    },
    "notify": common("notify")
    | {
        "delivery": Growth(
            DELIVERY.format(f"{DeliveryState.DELIVERED:d}"),
            "update_time",
            f"program_id = '{NAME}' AND state = {DeliveryState.DELIVERED:d}",
            DELIVERY.format(f"{DeliveryState.PENDING:d}"),
        ),
        "cause": Growth(
            "INSERT INTO notify.cause (entry_id, program_id, event_id, conversion_id, event_type, buyer_id,"
            " occurred_at, assets, texts_version, create_time)"
            f" SELECT {LEAST_ID.format('t')}, '{NAME}', {KEY}, '', '', '', t, '[]', 0, t {MOMENTS}",
            "",
            f"program_id = '{NAME}'",
        ),
        "inbox_entry": Growth(
            "INSERT INTO notify.inbox_entry (program_id, participant_id, entry_id, kind, level, amounts)"
            f" SELECT '{NAME}', 'vera', {LEAST_ID.format('t')}, 1, 1, '[]' {MOMENTS}",
            "",
            f"program_id = '{NAME}'",
        ),
    },
}


def lives(service: str, servers: Servers, clock: ManualClock) -> list[Life]:
    """The lives of a service by its settings, with a retention of a year for inboxes."""
    settings = servers.settings(service).model_dump()
    if service == "attribution":
        return attribution_jobs.lives(AttributionSettings(**settings))
    if service == "rewards":
        return rewards_jobs.lives(RewardsSettings(**settings), clock)
    return notify_jobs.lives(NotifySettings(**settings, notify_retention_days=365), clock)


@pytest.fixture
def owner(servers: Servers) -> Iterator[psycopg.Connection]:
    """The database as its owner, without what this test leaves there."""
    with psycopg.connect(servers.postgres.url, autocommit=True) as conn:
        yield conn
        for service, tables in GROWTH.items():
            for table, growth in tables.items():
                column = growth.own.split(" = ")[0]
                conn.execute(f"DELETE FROM {service}.{table} WHERE {column} = '{NAME}'".encode())
            conn.execute(f"DELETE FROM {service}.retention".encode())


def counted(owner: psycopg.Connection, service: str, table: str, where: str) -> int:
    row = owner.execute(f"SELECT count(*) FROM {service}.{table} WHERE {where}".encode()).fetchone()
    assert row is not None
    return int(row[0])


@pytest.mark.parametrize("service", GROWTH)
async def test_three_years_leave_what_lives_and_nothing_else(
    service: str, servers: Servers, owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "BLOCKS_A_TRANSACTION", BLOCKS)
    monkeypatch.setattr(retention, "PAUSE_RATIO", 0.0)
    at_once: list[int] = []
    remove = retention._remove

    async def watched(*args: object) -> int:
        at_once.append(await remove(*args))  # type: ignore[arg-type]
        return at_once[-1]

    monkeypatch.setattr(retention, "_remove", watched)
    today = datetime.now(UTC)
    clock = ManualClock(today)
    database = Database(servers.settings(service).database_url, service, Work.JOBS)
    growth = GROWTH[service]
    kept = {table: life for life in lives(service, servers, clock) for table in life.tables}
    assert kept.keys() == growth.keys(), "a life that is not played"
    owner.execute(f"DELETE FROM {service}.retention".encode())
    try:
        for month in range(1, MONTHS + 1):
            clock.set(today - timedelta(days=MONTH_DAYS * (MONTHS - month)))
            for table, each in growth.items():
                by_database = kept[table].clock is None
                if by_database:  # time passes: whatever is there grows older
                    aged = f"UPDATE {service}.{table} SET {each.time} = {each.time} - interval '{MONTH_DAYS} days'"
                    owner.execute(f"{aged} WHERE {each.own.split(' AND ')[0]}".encode())
                names = {"moment": today if by_database else clock.now(), "month": str(month)}
                for statement in (each.insert, *each.stays.split("; ")):
                    if statement:
                        owner.execute(statement.encode(), names)
            for life in lives(service, servers, clock):
                assert await sweep(database, clock, life) is not None
                assert await sweep(database, clock, life) is None, "swept twice a day"
            for table, each in growth.items():
                most = (kept[table].days + 1) * ROWS_A_DAY
                assert counted(owner, service, table, each.own) == pytest.approx(
                    min(most, month * MONTH_DAYS * ROWS_A_DAY), abs=2 * ROWS_A_DAY
                ), (month, table)
    finally:
        await database.close()
    for table, each in growth.items():
        oldest = today - timedelta(days=kept[table].days)
        if each.time:
            old, names = f"{each.time} < %(oldest)s", {"oldest": oldest - timedelta(minutes=5)}
        else:
            old, names = "entry_id < %(oldest)s", {"oldest": least_id(oldest)}
        row = owner.execute(
            f"SELECT count(*) FROM {service}.{table} WHERE {each.own} AND {old}".encode(), names
        ).fetchone()
        assert row == (0,), table
        if each.stays:
            others = f"NOT coalesce({each.own}, false) AND {each.own.split(' AND ')[0]}"
            added = len(each.stays.split("; ")) * DAYS * ROWS_A_DAY
            assert counted(owner, service, table, others) == added, table
    assert max(at_once) <= BLOCKS * ROWS_A_BLOCK
    assert sum(at_once) > DAYS


async def test_a_sweep_that_finds_nothing_makes_nothing_too_old(servers: Servers, owner: psycopg.Connection) -> None:
    database = Database(servers.settings("rewards").database_url, "rewards", Work.JOBS)
    owner.execute("DELETE FROM rewards.retention")
    try:
        for life in lives("rewards", servers, ManualClock(datetime.now(UTC))):
            assert await sweep(database, ManualClock(datetime.now(UTC)), replace(life, days=30_000)) == 0
    finally:
        await database.close()
    found = owner.execute("SELECT DISTINCT removed_before = '-infinity' FROM rewards.retention").fetchall()
    assert found == [(True,)]
