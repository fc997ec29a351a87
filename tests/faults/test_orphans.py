"""PostgreSQL is killed while one of its processes computes: that one does not notice, and must not keep the next from
starting."""

import threading
import time
from pathlib import Path

import psycopg
import pytest

from chassis.embedded.postgres import Postgres
from chassis.embedded.state import StateDirectory
from tests.running import DEADLINE_SECONDS

COMPUTE = """
DO $$ DECLARE began timestamptz := clock_timestamp(); BEGIN
    WHILE clock_timestamp() < began + interval '30 seconds' LOOP END LOOP;
END $$
"""
"""Longer than the stack tries to start a server again."""


def test_postgres_starts_again_beside_a_process_that_did_not_notice(tmp_path: Path) -> None:
    state = StateDirectory(tmp_path)
    postgres = Postgres(state)
    postgres.start()
    busy = psycopg.connect(postgres.url, autocommit=True)
    computing = threading.Thread(target=compute, args=[busy])
    try:
        with psycopg.connect(postgres.url, autocommit=True) as conn:
            conn.execute("CREATE TABLE kept (number bigint)")
            conn.execute("INSERT INTO kept VALUES (1)")
            computing.start()
            await_active(conn, COMPUTE)
        postgres.kill()
        postgres.start()
        with psycopg.connect(postgres.url) as conn:
            assert conn.execute("SELECT number FROM kept").fetchone() == (1,)
    finally:
        postgres.stop()
        computing.join()
        busy.close()
        state.close()


def compute(conn: psycopg.Connection[tuple[object, ...]]) -> None:
    """Keeps a server process busy until somebody kills it."""
    with pytest.raises(psycopg.OperationalError):
        conn.execute(COMPUTE)


def await_active(conn: psycopg.Connection[tuple[object, ...]], query: str) -> None:
    """Returns when the server works on the query."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    statement = "SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND query = %s"
    while conn.execute(statement, [query]).fetchone() is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
