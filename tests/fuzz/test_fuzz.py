"""A short run of the calls that the contracts allow, and of many that they do not, against a stack of its own.

The long version is a command: `make fuzz`.
"""

import gzip
import json
from pathlib import Path

import psycopg

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
    with up(tmp_path / "state") as stack:
        summary = await run(stack, SEED, CLIENTS, record, CALLS)
        stack.stop()
    assert summary.wrong == []
    assert summary.looked_at > 100
    assert sum(codes.get("OK", 0) for codes in summary.codes.values()) > CALLS // 5
    with gzip.open(record, "rt", encoding="utf-8") as lines:
        assert len([json.loads(line) for line in lines]) == summary.calls


async def test_what_was_written_is_told_from_what_was_rolled_back(servers: Servers) -> None:
    effects = await Effects.open(servers.postgres.url, servers.nats.url)
    async with await psycopg.AsyncConnection.connect(servers.postgres.url) as conn:
        statement = b"INSERT INTO attribution.retention VALUES ('fuzz', now(), now())"
        await conn.execute(statement)
        await conn.rollback()
        assert await effects.committed() == []
        await conn.execute(statement)
        await conn.commit()
        (number,) = await effects.committed()
        (row,) = await effects.written([number])
        assert row.startswith("attribution.retention (fuzz,")
        await conn.execute(b"DELETE FROM attribution.retention WHERE life = 'fuzz'")
    assert len(await effects.committed()) == 1, "what is removed leaves no row and is an effect all the same"
    await effects.close()
