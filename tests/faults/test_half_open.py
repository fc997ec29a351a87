"""A connection to the database on which nothing comes back is given up, and work goes on over a new one."""

import asyncio
from collections.abc import AsyncIterator

import psycopg
import pytest
import pytest_asyncio
from sqlalchemy import make_url, text
from sqlalchemy.exc import OperationalError

from chassis import database, lost_sessions
from chassis.database import Database, allow_statements, is_transient, psycopg_connection
from chassis.migrate import role_name
from tests.conftest import ROLE_PASSWORD, Servers
from tests.faults.proxy import Link, Way
from tests.flow import becomes
from tests.running import DEADLINE_SECONDS

A_MOMENT = 0.3
BOTH_WAYS = frozenset(Way)


@pytest_asyncio.fixture
async def link(servers: Servers) -> AsyncIterator[Link]:
    """The way between a service and the database."""
    link = Link("database", servers.postgres.port)
    await link.start()
    yield link
    await link.stop()


@pytest_asyncio.fixture
async def distant(servers: Servers, link: Link, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Database]:
    """The database at the far end of the link, on which answers are waited for a moment only."""
    for name in ("SILENCE_SECONDS", "CONNECT_SECONDS", "LATE_SECONDS"):
        monkeypatch.setattr(database, name, A_MOMENT)
    monkeypatch.setattr(lost_sessions, "TRY_SECONDS", 1.0)
    url = make_url(servers.postgres.url).set(
        username=role_name("rewards"), password=ROLE_PASSWORD, port=link.port
    )  # fmt: skip
    distant = Database(url.render_as_string(hide_password=False), "rewards")
    yield distant
    await distant.close()


async def one(distant: Database) -> int:
    """Asks the database for 1."""
    async with distant.transaction() as conn:
        return int((await conn.execute(text("SELECT 1"))).scalar_one())


@pytest.mark.parametrize("way", list(Way))
async def test_a_statement_whose_answer_never_comes_fails_and_the_next_one_is_answered(
    distant: Database, link: Link, way: Way
) -> None:
    async def ask_twice() -> None:
        async with distant.transaction() as conn:
            assert (await conn.execute(text("SELECT 1"))).scalar_one() == 1
            link.swallow(frozenset([way]))
            await conn.execute(text("SELECT 2"))

    async with asyncio.timeout(DEADLINE_SECONDS):
        with pytest.raises(OperationalError, match="nothing was heard") as failure:
            await ask_twice()
        assert is_transient(failure.value)
        link.heal()
        assert await one(distant) == 1


async def sessions_that_copy(servers: Servers) -> int:
    """How many sessions of the database wait for the rest of a COPY."""
    async with await psycopg.AsyncConnection.connect(servers.postgres.url) as conn:
        found = await conn.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'COPY given%' AND state = 'active'"
        )
        row = await found.fetchone()
    return int(row[0]) if row else 0


async def copy_into_silence(distant: Database, link: Link, way: Way) -> None:
    """Begins a COPY whose rest never arrives, or whose answer."""
    async with distant.transaction() as conn:
        await conn.execute(text("CREATE TEMPORARY TABLE given (number int) ON COMMIT DROP"))
        raw = await psycopg_connection(conn)
        async with raw.cursor() as cursor, cursor.copy("COPY given FROM STDIN") as copy:
            await copy.write("1\n")
            await asyncio.sleep(A_MOMENT)
            link.swallow(frozenset([way]))
            await copy.write("2\n")


async def test_the_session_of_a_copy_whose_rest_never_arrives_is_ended(
    distant: Database, servers: Servers, link: Link
) -> None:
    with pytest.raises((psycopg.OperationalError, OperationalError)):
        await copy_into_silence(distant, link, Way.THERE)
    assert await sessions_that_copy(servers) == 1
    link.heal()
    await becomes(lambda: sessions_that_copy(servers), 0)


async def test_the_session_of_a_caller_who_went_away_is_ended(
    distant: Database, servers: Servers, link: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "SILENCE_SECONDS", 60.0)
    work = asyncio.create_task(copy_into_silence(distant, link, Way.THERE))
    while not link.half_open():
        await asyncio.sleep(0.05)
    work.cancel()
    with pytest.raises((asyncio.CancelledError, OperationalError)):
        await work
    link.heal()
    await becomes(lambda: sessions_that_copy(servers), 0)


async def test_an_idle_connection_that_died_fails_nobody(distant: Database, link: Link) -> None:
    assert await one(distant) == 1
    link.swallow(BOTH_WAYS)
    link.heal()
    assert link.half_open() == 1
    async with asyncio.timeout(DEADLINE_SECONDS):
        assert await one(distant) == 1


async def test_who_needs_longer_says_so(distant: Database) -> None:
    async def sleep(milliseconds_allowed: int, seconds: float) -> None:
        async with distant.transaction() as conn:
            if milliseconds_allowed:
                await allow_statements(conn, milliseconds_allowed)
            await conn.execute(text("SELECT pg_sleep(:seconds)"), {"seconds": seconds})

    await sleep(60_000, 2 * A_MOMENT)
    with pytest.raises(OperationalError, match="nothing was heard"):
        await sleep(0, DEADLINE_SECONDS)
