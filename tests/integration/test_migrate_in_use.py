"""A migration of tables that are in use: it waits for nobody for long, and is tried again."""

import asyncio
from collections.abc import Iterator

import psycopg
import pytest
from sqlalchemy import make_url

from chassis import migrate as migrating
from chassis.errors import MigrationRefused
from tests.conftest import ROLE_PASSWORD, SERVICES, Servers

LAST_BUT_ONE = "0008"
"""The revision of attribution before the one that changes `click` and may be run again."""
UNDO_SINCE = """
    SET search_path = attribution;
    DROP TABLE retention, reconciliation, gap, supply;
    DROP INDEX participant_by_sponsor_and_key, dead_letter_parked, outbox_unpublished_by_subject;
    ALTER TABLE participant DROP COLUMN attributes_revision;
"""
"""Takes away what later revisions make, so that these may be run again too."""


@pytest.fixture
def url(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A database of its own, whose table of clicks is to be migrated once more."""
    monkeypatch.setattr(migrating, "LOCK_TIMEOUT_MS", 200)
    monkeypatch.setattr(migrating, "PAUSE_SECONDS", 0.1)
    name = "migrated_in_use"
    own = make_url(servers.postgres.url).set(database=name).render_as_string(hide_password=False)
    with psycopg.connect(servers.postgres.url, autocommit=True) as conn:
        conn.execute(f"CREATE DATABASE {name}".encode())
    migrating.migrate(own, SERVICES, ROLE_PASSWORD)
    with psycopg.connect(own) as conn:
        conn.execute(UNDO_SINCE.encode())
        conn.execute("UPDATE attribution.alembic_version SET version_num = %s", [LAST_BUT_ONE])
    yield own
    with psycopg.connect(servers.postgres.url, autocommit=True) as conn:
        conn.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


async def test_a_table_in_use_is_migrated_when_it_is_free(url: str) -> None:
    with psycopg.connect(url) as reader:
        reader.execute("SELECT count(*) FROM attribution.click")
        work = asyncio.create_task(asyncio.to_thread(migrating.migrate, url, SERVICES, ROLE_PASSWORD))
        done, _ = await asyncio.wait([work], timeout=1.5)
        assert not done
        reader.commit()
        lines = await work
    assert lines[0] == f"attribution: migrated from {LAST_BUT_ONE} to {migrating.head_revision('attribution')}"


async def test_a_table_that_is_never_free_ends_it_with_nothing_changed(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrating, "ATTEMPTS", 2)
    with psycopg.connect(url) as reader:
        reader.execute("SELECT count(*) FROM attribution.click")
        with pytest.raises(MigrationRefused, match="the tables are in use: 2 tries"):
            await asyncio.to_thread(migrating.migrate, url, SERVICES, ROLE_PASSWORD)
    with psycopg.connect(url) as conn:
        found = conn.execute("SELECT version_num FROM attribution.alembic_version").fetchone()
    assert found == (LAST_BUT_ONE,)
