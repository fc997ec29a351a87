"""An audit reads what is new and a sample, and yet finds whatever is wrong within a stated number of audits."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import psycopg
import pytest
import pytest_asyncio
from upline.rewards.v1 import wallet_pb2

from chassis.clock import ManualClock
from chassis.database import Database, Work
from chassis.migrate import migrate
from chassis.sharing import Shared
from services.rewards import jobs
from services.rewards.__main__ import RewardsService
from services.rewards.commands.audit import audit_ledger, audit_when_due
from services.rewards.commands.deps import Deps
from services.rewards.store.audits import checkpoint, full, sample
from services.rewards.store.plans import PlanCache
from tests.conftest import ROLE_PASSWORD, SERVICES, Servers
from tests.errors import reason_of
from tests.flow import becomes
from tests.integration.rewards.conftest import (
    Ledger,
    Owner,
    Published,
    forget,
    message,
    recorded,
    reversed_,
    three_levels,
)
from tests.integration.rewards.spending import Spender, spending_plan
from tests.running import DEADLINE_SECONDS, running
from tests.spare import spare_servers

HELD = timedelta(days=3650)
OLD = datetime(2024, 2, 3, tzinfo=UTC)
"""In a month that is long over."""
FULL, INCREMENTAL = wallet_pb2.AUDIT_KIND_FULL, wallet_pb2.AUDIT_KIND_INCREMENTAL


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Servers of this module alone: its audits are of all programs, and it counts them."""
    with spare_servers(Path(tmp_path_factory.mktemp("audit"))) as spare:
        migrate(spare.postgres.url, SERVICES, ROLE_PASSWORD)
        yield spare


@pytest_asyncio.fixture(scope="module")
async def ledger(servers: Servers) -> AsyncIterator[Ledger]:
    """The rewards service on them, whose clock stands still: its job audits once, when it starts."""
    async with running(RewardsService(servers.settings("rewards"), ManualClock(datetime.now(UTC)))) as rewards:
        yield Ledger(rewards)


async def audit(ledger: Ledger, program: str = "", **fields: Any) -> wallet_pb2.AuditLedgerResponse:
    """An audit of all programs, or of one."""
    request = wallet_pb2.AuditLedgerRequest(program_id=program, **fields)
    return await ledger.wallets.AuditLedger(request, timeout=DEADLINE_SECONDS)


def found(answer: wallet_pb2.AuditLedgerResponse) -> set[str]:
    """The checks that do not hold."""
    return {each.check for each in answer.findings}


async def checkpointed(ledger: Ledger, owner: Owner) -> None:
    """Has everything in the checkpoint: the next audit finds nothing new, and no balance is changed any more."""

    async def waiting() -> object:
        cursor = await owner.execute(b"SELECT count(*) FROM rewards.balance_delta")
        return await cursor.fetchone()

    await becomes(waiting, (0,))
    await audit(ledger)
    answer = await audit(ledger)
    assert (answer.kind, found(answer)) == (INCREMENTAL, set())


@asynccontextmanager
async def planted(ledger: Ledger, owner: Owner, program: str, damage: str) -> AsyncIterator[None]:
    """Rows that are changed behind the service's back, and gone with the program afterwards."""
    await checkpointed(ledger, owner)
    try:
        for statement in damage.split(";"):
            await owner.execute(statement.encode(), {"p": program})
        yield
    finally:
        await forget(owner, program)
        for table in ("redemption", "payout"):
            await owner.execute(f"DELETE FROM rewards.{table} WHERE program_id = %(p)s".encode(), {"p": program})
        assert not found(await audit(ledger))


async def wallet_count(owner: Owner) -> int:
    """How many wallets there are to sample."""
    cursor = await owner.execute(
        b"SELECT count(DISTINCT (program_id, participant_id)) FROM rewards.audit_sum WHERE participant_id <> ''"
    )
    (row,) = await cursor.fetchall()
    count = row[0]
    assert isinstance(count, int)
    return count


async def long_ago(ledger: Ledger, published: Published) -> str:
    """A program with an order of a month that is long over, taken back in part, whose rewards are on hold."""
    program = await published(three_levels(HELD))
    await ledger.settle(
        message(recorded(program, "c1", 1_000, record_time=OLD), reversed_(program, "c1", "r1", 100)),
        message(recorded(program, "c2", 700, buyer="zoe", upline=("petr", "olga"))),
    )
    return program


@pytest.mark.parametrize(
    ("damage", "check"),
    [
        (
            "UPDATE rewards.balance SET amount_minor = amount_minor + 1 WHERE program_id = %(p)s AND place = 2"
            " AND participant_id = 'maria'",
            "BALANCE_DIFFERS",
        ),
        ("DELETE FROM rewards.balance WHERE program_id = %(p)s AND participant_id = 'olga'", "BALANCE_DIFFERS"),
        ("INSERT INTO rewards.balance_delta VALUES (%(p)s, 'maria', 3, 'USD', 7)", "BALANCE_DIFFERS"),
        (
            "UPDATE rewards.reward SET amount_minor = amount_minor + 1 WHERE program_id = %(p)s"
            " AND beneficiary_id = 'olga' AND conversion_id = 'c1'",
            "HOLD_DIFFERS",
        ),
        ("UPDATE rewards.transfer SET amount_minor = amount_minor + 1 WHERE program_id = %(p)s", "REWARD_DIFFERS"),
        (
            "DELETE FROM rewards.transfer WHERE program_id = %(p)s AND participant_id = 'maria'",
            "REWARD_DIFFERS",
        ),
        ("DELETE FROM rewards.reward WHERE program_id = %(p)s AND conversion_id = 'c1' AND level = 3", "HOLD_DIFFERS"),
        ("DELETE FROM rewards.hold WHERE program_id = %(p)s AND conversion_id = 'c1'", "HOLD_DIFFERS"),
        ("INSERT INTO rewards.reversal VALUES (%(p)s, 'r2', 'c1', 900, true, now(), 1)", "REVERSAL_DIFFERS"),
    ],
)
async def test_what_is_planted_in_the_past_is_found_within_a_round(
    ledger: Ledger,
    published: Published,
    owner: Owner,
    monkeypatch: pytest.MonkeyPatch,
    damage: str,
    check: str,
) -> None:
    program = await long_ago(ledger, published)
    monkeypatch.setattr(sample, "SAMPLE_MOVEMENTS", 1)  # one wallet at a time
    async with planted(ledger, owner, program, damage):
        kinds = []
        for _ in range(await wallet_count(owner)):
            answer = await audit(ledger)
            kinds.append(answer.kind)
            if answer.findings:
                break
        assert check in {each.check for each in answer.findings if each.program_id in (program, "?")}
        assert (set(kinds[:-1]) or {INCREMENTAL}, kinds[-1]) == ({INCREMENTAL}, FULL)


@pytest.mark.parametrize(
    ("damage", "check"),
    [
        ("UPDATE rewards.balance SET amount_minor = 5 WHERE program_id = %(p)s AND place = 1", "BALANCE_DIFFERS"),
        ("INSERT INTO rewards.balance VALUES (%(p)s, '', 7, 'USD', 7)", "BALANCE_DIFFERS"),
        (
            "INSERT INTO rewards.transfer (transfer_id, program_id, kind, participant_id, debit, credit, asset,"
            " amount_minor, cause_id) VALUES (gen_random_uuid(), %(p)s, 18, 'maria', 1, 3, 'USD', 5, 'prize');"
            "INSERT INTO rewards.balance_delta VALUES (%(p)s, 'maria', 3, 'USD', 5), (%(p)s, '', 1, 'USD', -4)",
            "BALANCE_DIFFERS",
        ),
        (
            "INSERT INTO rewards.transfer (transfer_id, program_id, kind, participant_id, debit, credit, asset,"
            " amount_minor, cause_id) VALUES (gen_random_uuid(), %(p)s, 3, 'maria', 1, 3, 'USD', 5, 'x');"
            "INSERT INTO rewards.balance_delta VALUES (%(p)s, 'maria', 3, 'USD', 5), (%(p)s, '', 1, 'USD', -5)",
            "ACCOUNTS_DIFFER",
        ),
        # A reward that was paid by nobody's plan, of a time that is long over.
        (
            "INSERT INTO rewards.reward VALUES ('018d0000-0000-8000-8000-000000000000', %(p)s, 'c9', 'upline', 'eve',"
            " 1, 'USD', 5, NULL, 1)",
            "BALANCE_DIFFERS",
        ),
        (
            "INSERT INTO rewards.reward_revision (reward_id, reversal_id, delta_minor, record_time)"
            " SELECT reward_id, 'r9', -1, now() FROM rewards.reward WHERE program_id = %(p)s AND level = 1",
            "REWARD_DIFFERS",
        ),
    ],
)
async def test_what_is_written_is_found_by_the_next_audit(
    ledger: Ledger,
    published: Published,
    owner: Owner,
    monkeypatch: pytest.MonkeyPatch,
    damage: str,
    check: str,
) -> None:
    program = await long_ago(ledger, published)
    monkeypatch.setattr(sample, "SAMPLE_ACCOUNTS", 0)
    async with planted(ledger, owner, program, damage):
        answer = await audit(ledger)
        assert check in found(answer)
        assert answer.kind == FULL


@pytest.mark.parametrize(
    ("damage", "check"),
    [
        ("UPDATE rewards.redemption SET captured_minor = 99 WHERE program_id = %(p)s", "REDEMPTION_DIFFERS"),
        ("UPDATE rewards.redemption SET state = 1 WHERE program_id = %(p)s", "RESERVE_DIFFERS"),
        ("DELETE FROM rewards.operation WHERE program_id = %(p)s AND kind = 12", "OPERATION_DIFFERS"),
    ],
)
async def test_wallets_that_were_used_are_computed_again(
    ledger: Ledger,
    published: Published,
    owner: Owner,
    monkeypatch: pytest.MonkeyPatch,
    damage: str,
    check: str,
) -> None:
    vera = Spender(ledger, await published(spending_plan()))
    monkeypatch.setattr(sample, "SAMPLE_ACCOUNTS", 0)
    await vera.earn(5_000)
    async with planted(ledger, owner, vera.program, "SELECT"):
        await vera.authorize("r1", 100)
        await vera.capture("r1", 100)
        await vera.purchase("same", "mug")
        await vera.exchange("same", 1_000)
        await vera.give("same", "maria", 100)
        answer = await audit(ledger)
        assert (found(answer), answer.kind, answer.recomputed_wallet_count) == (set(), INCREMENTAL, 2)
        await vera.give("again", "maria", 1)
        await owner.execute(damage.encode(), {"p": vera.program})
        assert found(await audit(ledger)) == {check}


async def test_a_transaction_that_commits_late_is_not_passed_over(
    ledger: Ledger, published: Published, owner: Owner, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sample, "SAMPLE_ACCOUNTS", 0)
    program = await published(three_levels())
    await checkpointed(ledger, owner)
    reward = b"""
        INSERT INTO rewards.reward VALUES (CAST(%(id)s AS uuid), %(p)s, 'c1', 'upline', 'late', 1, 'USD', 5, NULL, 1);
        INSERT INTO rewards.balance_delta VALUES (%(p)s, 'late', 3, 'USD', 5), (%(p)s, '', 1, 'USD', %(issued)s)
    """
    async with await psycopg.AsyncConnection.connect(
        servers.postgres.url, cursor_factory=psycopg.AsyncClientCursor
    ) as late:
        for number, issued in ((1, -5), (2, -4)):
            values = {"p": program, "id": f"018d0000-0000-8000-8000-{number:012}", "issued": issued}
            await late.execute(reward, values)
            # Meanwhile others write, commit and are audited: with higher numbers of transactions, and later ids.
            await ledger.settle(message(recorded(program, f"c{number + 1}", 1_000)))
            for _ in range(2):
                answer = await audit(ledger)
                assert (answer.kind, found(answer)) == (INCREMENTAL, set())
                assert answer.reward_count == 3  # what is beyond the horizon stays new
            await late.commit()
            answer = await audit(ledger)
            if number == 1:
                assert (answer.kind, found(answer), answer.reward_count) == (INCREMENTAL, set(), 4)
                assert (await audit(ledger)).reward_count == 0
            else:
                assert (answer.kind, found(answer)) == (FULL, {"BALANCE_DIFFERS"})
    await forget(owner, program)
    await checkpointed(ledger, owner)


async def test_what_is_wrong_is_told_until_it_is_repaired(ledger: Ledger, published: Published, owner: Owner) -> None:
    program = await long_ago(ledger, published)
    change = "UPDATE rewards.balance SET amount_minor = amount_minor + {} WHERE program_id = %(p)s AND place = 2"
    async with planted(ledger, owner, program, change.format(1)):
        for _ in range(3):
            answer = await audit(ledger)
            assert (answer.kind, found(answer)) == (FULL, {"BALANCE_DIFFERS", "HOLD_DIFFERS"})
            assert found(await audit(ledger, program)) == {"BALANCE_DIFFERS", "HOLD_DIFFERS"}
            await ledger.settle(message(recorded(program, "c3", 1_000)))
        await owner.execute(change.format(-1).encode(), {"p": program})
        answer = await audit(ledger)
        assert (answer.kind, found(answer)) == (FULL, set())
        answer = await audit(ledger)
        assert (answer.kind, found(answer)) == (INCREMENTAL, set())


async def test_everything_is_read_once_a_week(ledger: Ledger, owner: Owner) -> None:
    await checkpointed(ledger, owner)
    await owner.execute(
        b"UPDATE rewards.audit_checkpoint SET full_time = full_time - %(week)s", {"week": checkpoint.FULL_AFTER}
    )
    assert (await audit(ledger)).kind == FULL
    assert (await audit(ledger)).kind == INCREMENTAL
    assert (await audit(ledger, full=True)).kind == FULL


async def test_numbers_of_another_server_are_not_taken_for_news(
    ledger: Ledger, published: Published, owner: Owner, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sample, "SAMPLE_ACCOUNTS", 0)
    program = await published(three_levels())
    await ledger.settle(message(recorded(program, "c1", 1_000)))
    await checkpointed(ledger, owner)
    for table in ("reward", "transfer", "reward_revision"):  # as they are after a restore on a younger server
        await owner.execute(f"UPDATE rewards.{table} SET writer = writer + 1000000".encode())
    await owner.execute(b"UPDATE rewards.audit_checkpoint SET horizon = horizon + 1000000")
    migrate(servers.postgres.url, SERVICES, ROLE_PASSWORD)
    assert (await audit(ledger)).kind == FULL
    for number in (2, 3):
        await ledger.settle(message(recorded(program, f"c{number}", 1_000)))
        answer = await audit(ledger)
        assert (answer.kind, answer.reward_count, found(answer)) == (INCREMENTAL, 3, set())


@asynccontextmanager
async def other_process(ledger: Ledger, servers: Servers) -> AsyncIterator[Deps]:
    """The collaborators of the jobs of another process."""
    database = Database(servers.settings("rewards").database_url, "rewards", Work.JOBS)
    yield replace(ledger.rewards.service.deps, database=database, plans=PlanCache(), audits=Shared())
    await database.close()


async def test_of_two_processes_one_audits(
    ledger: Ledger, owner: Owner, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    await checkpointed(ledger, owner)
    made: list[object] = []
    forgotten: list[object] = []
    monkeypatch.setattr(jobs, "tell_audit", lambda *told: made.append(told))
    monkeypatch.setattr(jobs, "forget_findings", lambda: forgotten.append(None))

    async def due() -> None:
        await owner.execute(b"UPDATE rewards.audit_checkpoint SET due_time = now()")

    async with other_process(ledger, servers) as deps:
        one, other = jobs._Auditor(ledger.job_deps), jobs._Auditor(deps)
        for number in (1, 2):
            await due()
            await asyncio.gather(one(), other())
            await one()  # it is not due again
            await other()
            assert len(made) == number
        # What this one found is told by it until the other one has audited.
        await due()
        await one()
        await other()
        forgotten.clear()
        await one()
        assert not forgotten
        await due()
        await other()
        for _ in range(2):
            await one()
            assert len(forgotten) == 1


async def test_while_one_process_audits_all_others_are_told_and_settle(
    ledger: Ledger, published: Published, owner: Owner, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = await published(three_levels())
    await owner.execute(b"UPDATE rewards.audit_checkpoint SET due_time = '-infinity'")
    begun, go_on, run = asyncio.Event(), asyncio.Event(), full.run

    async def held(*inputs: Any) -> Any:
        begun.set()
        await go_on.wait()
        return await run(*inputs)

    monkeypatch.setattr(full, "run", held)
    async with other_process(ledger, servers) as other:
        under_way = asyncio.create_task(audit_ledger(other, "", reads_all=True))
        try:
            await begun.wait()
            assert (await audit_when_due(ledger.job_deps, jobs.AUDIT_INTERVAL)).audit is None
            refused = await asyncio.gather(
                *(audit(ledger, full=each) for each in (True, False)), return_exceptions=True
            )
            assert [isinstance(each, grpc.aio.AioRpcError) and reason_of(each) for each in refused] == [
                "AUDIT_UNDER_WAY"
            ] * 2
            await ledger.settle(message(recorded(program, "c1", 1_000)))
            assert await ledger.available(program, "maria") == [50]
        finally:
            go_on.set()
            assert (await under_way).is_clean
