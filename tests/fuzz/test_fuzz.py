"""A short run of the calls that the contracts allow, and of many that they do not, against a stack of its own.

The long version is a command: `make fuzz`.
"""

import gzip
import json
from pathlib import Path

import psycopg

from chassis.embedded.state import free_port
from tests.conftest import Servers
from tests.e2e.stacks import up
from tests.fuzz.effects import Effects
from tests.fuzz.run import run

SEED = 1
CALLS = 1_500
CLIENTS = 4


async def test_nothing_that_is_sent_is_answered_by_a_defect_or_has_an_effect_where_it_is_refused(
    tmp_path: Path,
) -> None:
    record = tmp_path / "calls.jsonl.gz"
    with up(tmp_path / "state", "--metrics-port", str(free_port())) as stack:
        summary = await run(stack, SEED, CLIENTS, record, CALLS)
        stack.stop()
    # In so few calls, chance may leave a method without one that succeeds; in the long run each has some.
    assert [each for each in summary.wrong if not each.startswith("never OK")] == []
    assert summary.looked_at > 100
    assert sum(codes.get("OK", 0) for codes in summary.codes.values()) > CALLS // 5
    with gzip.open(record, "rt", encoding="utf-8") as lines:
        assert len([json.loads(line) for line in lines]) == summary.calls + summary.visits
    assert summary.pages["redirect 302"] > 0
    assert summary.pages["metrics 200"] > 0


async def test_what_was_written_is_told_from_what_was_rolled_back(servers: Servers) -> None:
    effects = await Effects.open(servers.postgres.url, servers.nats.url)
    async with await psycopg.AsyncConnection.connect(servers.postgres.url) as conn:

        async def write(statement: bytes) -> int:
            """The number of the transaction that writes: services of other tests may write beside it."""
            await conn.execute(statement)
            row = await (await conn.execute(b"SELECT pg_current_xact_id()::text::bigint")).fetchone()
            assert row is not None
            return int(row[0])

        statement = b"INSERT INTO attribution.retention VALUES ('fuzz', now(), now())"
        rolled_back = await write(statement)
        await conn.rollback()
        assert rolled_back not in await effects.committed()
        added = await write(statement)
        await conn.commit()
        assert added in await effects.committed()
        (row,) = await effects.written([added])
        assert row.startswith("attribution.retention (fuzz,")
        removed = await write(b"DELETE FROM attribution.retention WHERE life = 'fuzz'")
    assert removed in await effects.committed(), "what is removed leaves no row and is an effect all the same"
    await effects.close()
