"""Everything that is stored can be computed again from the events, row by row; whatever was changed by other hands is
found."""

from datetime import timedelta

import psycopg
import pytest
from sqlalchemy import text

from chassis.database import Database
from services.rewards.commands.rebuild import RebuildResult, rebuild
from tests.conftest import Servers
from tests.integration.rewards.conftest import NOON, Ledger, Published, message, recorded, reversed_, three_levels


async def rebuilt(servers: Servers, program: str) -> RebuildResult:
    """The program computed again."""
    done: list[int] = []
    return await rebuild(servers.postgres.url, program, lambda _total: done.append, jobs=1)


async def trade(ledger: Ledger, program: str) -> None:
    """Orders and refunds in an order of their own."""
    await ledger.settle(
        message(
            reversed_(program, "c3", "r-early", 100),
            *(recorded(program, f"c{number}", 1000 + number) for number in range(10)),
        )
    )
    await ledger.settle(message(reversed_(program, "c1", "r1", 500)))
    await ledger.settle(message(reversed_(program, "c1", "r2", 501, completes=True)))


async def test_what_is_stored_is_what_is_computed(ledger: Ledger, published: Published, servers: Servers) -> None:
    program = await published(three_levels(timedelta(days=3650)))
    await trade(ledger, program)
    result = await rebuilt(servers, program)
    assert result.differences == []
    assert (result.programs, result.conversions, result.reversals, result.rewards) == (1, 10, 3, 30)
    assert result.revisions == 9


@pytest.mark.parametrize("conversion_first", [True, False])
async def test_refunds_are_computed_in_the_order_in_which_they_were_settled(
    ledger: Ledger, published: Published, servers: Servers, conversion_first: bool
) -> None:
    program = await published(three_levels())
    order = message(recorded(program, "c1", 1000))
    # Of 5 % rounded down, 10 of 1,000 take back 1, and 10 of 990 take back nothing.
    later = message(reversed_(program, "c1", "r-later", 10, minutes_later=2))
    earlier = message(reversed_(program, "c1", "r-earlier", 10))
    for each in (order, later, earlier) if conversion_first else (later, earlier, order):
        await ledger.settle(each)
    result = await rebuilt(servers, program)
    assert result.differences == []
    assert result.revisions > 0


@pytest.mark.parametrize(
    ("damage", "table", "conversion"),
    [
        ("UPDATE rewards.reward SET amount_minor = amount_minor + 1 WHERE program_id = %(p)s AND conversion_id = 'c2' "
         "AND level = 1", "reward", "c2"),
        ("UPDATE rewards.reward SET hold_until = NULL WHERE program_id = %(p)s AND conversion_id = 'c2' AND level = 3",
         "reward", "c2"),
        ("DELETE FROM rewards.reward WHERE program_id = %(p)s AND conversion_id = 'c2' AND level = 2", "reward", "c2"),
        ("INSERT INTO rewards.reward SELECT (r).* FROM (SELECT jsonb_populate_record(r, '{\"beneficiary_id\": "
         "\"mallory\"}') AS r FROM rewards.reward AS r WHERE program_id = %(p)s AND conversion_id = 'c2' AND level = "
         "2) AS t",
         "reward", "c2"),
        ("UPDATE rewards.reward_revision SET delta_minor = delta_minor - 1 WHERE reversal_id = 'r1' AND reward_id = "
         "(SELECT reward_id FROM rewards.reward WHERE program_id = %(p)s AND conversion_id = 'c1' AND level = 1)",
         "reward_revision", "c1"),
        ("UPDATE rewards.conversion SET snapshot = '[]' WHERE program_id = %(p)s AND conversion_id = 'c5'",
         "conversion", "c5"),
        ("DELETE FROM rewards.reversal WHERE program_id = %(p)s AND reversal_id = 'r-early'", "reward_revision", "c3"),
    ],
)  # fmt: skip
async def test_damage_is_found(
    ledger: Ledger, published: Published, servers: Servers, damage: str, table: str, conversion: str
) -> None:
    program = await published(three_levels(timedelta(days=3650)))
    await trade(ledger, program)
    async with await psycopg.AsyncConnection.connect(
        servers.postgres.url, autocommit=True, cursor_factory=psycopg.AsyncClientCursor
    ) as conn:
        await conn.execute(damage.encode(), {"p": program})
        try:
            found = (await rebuilt(servers, program)).differences
            assert {(each.table, each.conversion_id) for each in found} == {(table, conversion)}
        finally:
            for name in ("transfer", "reward", "balance", "balance_delta", "hold", "conversion", "reversal"):
                await conn.execute(f"DELETE FROM rewards.{name} WHERE program_id = %(p)s".encode(), {"p": program})


async def test_nothing_is_left_behind(ledger: Ledger, published: Published, servers: Servers) -> None:
    program = await published(three_levels())
    await ledger.settle(message(recorded(program, "c1", 1000, record_time=NOON)))
    await rebuilt(servers, program)
    async with await psycopg.AsyncConnection.connect(servers.postgres.url) as conn:
        rows = await (await conn.execute("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'rebuild%'")).fetchall()
    assert rows == []


async def test_the_version_before_rebuilds_beside_tables_of_this_one(servers: Servers) -> None:
    """While an upgrade takes place its scores are copies of today's tables, and it names only the columns that it
    knows."""
    owner = Database(servers.postgres.url, "rewards")
    columns = "program_id, contest_id, participant_id, score, reach_time"
    try:
        async with owner.transaction() as conn:
            await conn.execute(
                text("CREATE TEMPORARY TABLE scratch (LIKE contest_score INCLUDING INDEXES) ON COMMIT DROP")
            )
            await conn.execute(text(f"INSERT INTO scratch ({columns}) VALUES ('p', 'c', 'vera', 1, now())"))
            found = (await conn.execute(text(f"SELECT {columns} FROM scratch"))).all()
    finally:
        await owner.close()
    assert [(each.participant_id, each.score) for each in found] == [("vera", 1)]
