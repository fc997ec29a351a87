"""The metrics of rewards, on real servers. What no test may leave behind is taken back with its transaction."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import grpc
import pytest
from prometheus_client import REGISTRY
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection
from upline.rewards.v1 import wallet_pb2

from chassis import measuring
from chassis.clock import ManualClock
from chassis.database import SHARES, Work
from services.rewards import measures
from services.rewards.commands.resting import Resting
from services.rewards.store import standing
from services.rewards.store.audits.findings import Audit, AuditFinding
from tests.flow import becomes
from tests.integration.rewards.conftest import Ledger, Published, three_levels
from tests.running import DEADLINE_SECONDS, Running

LONG_AGO = datetime(2001, 1, 1, tzinfo=UTC)
"""Before everything that other tests store."""
GET_WALLET = "upline.rewards.v1.WalletService.GetWallet"


def told(name: str, **labels: str) -> float:
    """The value of a metric; 0 where it was never told."""
    return REGISTRY.get_sample_value(name, labels) or 0.0


@asynccontextmanager
async def taken_back(rewards: Running) -> AsyncIterator[AsyncConnection]:
    """A transaction of the service that comes to nothing."""
    async with rewards.service.databases[Work.JOBS].engine.connect() as conn:
        yield conn
        await conn.rollback()


async def test_calls_are_counted_by_the_code_that_callers_are_told(ledger: Ledger, published: Published) -> None:
    program = await published(three_levels())
    request = wallet_pb2.GetWalletRequest(program_id=program, participant_id="maria")

    def counts() -> list[float]:
        codes = ("OK", "INVALID_ARGUMENT", "NOT_FOUND")
        return [told("upline_calls_total", method=GET_WALLET, code=code) for code in codes]

    before = counts()
    await ledger.wallets.GetWallet(request, timeout=DEADLINE_SECONDS)
    for wrong, timeout in ((request, None), (wallet_pb2.GetWalletRequest(program_id="none"), DEADLINE_SECONDS)):
        with pytest.raises(grpc.aio.AioRpcError):
            await ledger.wallets.GetWallet(wrong, timeout=timeout)
    assert [after - earlier for after, earlier in zip(counts(), before, strict=True)] == [1, 2, 0]


async def test_a_call_whose_caller_goes_away_is_counted(
    ledger: Ledger, rewards: Running, published: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = await published(three_levels())
    before = told("upline_calls_total", method=GET_WALLET, code="CANCELLED")

    async def counted() -> float:
        return told("upline_calls_total", method=GET_WALLET, code="CANCELLED") - before

    calls = rewards.service.databases[Work.CALLS]
    async with asyncio.timeout(DEADLINE_SECONDS):
        taken = [await calls.engine.connect() for _ in range(SHARES[Work.CALLS].connections)]
    try:
        waiting = ledger.wallets.GetWallet(
            wallet_pb2.GetWalletRequest(program_id=program, participant_id="maria"), timeout=DEADLINE_SECONDS
        )

        async def in_line() -> int:
            return calls.waiting  # the metric tells of the service that was started last, which may be another test's

        await becomes(in_line, 1)
        waiting.cancel()
        await becomes(counted, 1.0)
        await becomes(in_line, 0)
    finally:
        for each in taken:
            await each.close()
    assert told("upline_connections_limit", service="rewards", work="calls") == SHARES[Work.CALLS].connections


async def test_the_outbox_is_told_with_its_age(rewards: Running) -> None:
    async with taken_back(rewards) as conn:
        await conn.execute(
            text("""
            INSERT INTO outbox (subject, message_id, message_type, payload, create_time)
            SELECT 'test', 'test:' || n, 'test', '', now() - interval '1 hour' FROM generate_series(1, 7) AS n
            """)
        )
        found = await measuring.read_outbox(conn)
        assert found.number >= 7
        await measuring.outbox("rewards")(conn)
        assert told("upline_outbox_rows", service="rewards") == found.number
        assert told("upline_outbox_age_seconds", service="rewards") >= 3_600 - 60


async def test_dead_letters_are_told_by_consumer_until_they_are_gone(rewards: Running) -> None:
    tell = measuring.dead_letters("rewards")
    letters = {"service": "rewards", "consumer": "metrics_test"}
    async with taken_back(rewards) as conn:
        await conn.execute(
            text("""
            INSERT INTO dead_letter (consumer, message_id, subject, payload, error, park_time)
            VALUES ('metrics_test', 'a', 's', '', 'e', now() - interval '1 day'),
                ('metrics_test', 'b', 's', '', 'e', now()), ('metrics_test', 'counted', 's', '', 'e', NULL)
            """)
        )
        await tell(conn)
        assert told("upline_dead_letters", **letters) == 2
        assert told("upline_dead_letter_age_seconds", **letters) >= 86_400
        await conn.rollback()
        await tell(conn)
        assert REGISTRY.get_sample_value("upline_dead_letters", letters) is None


async def test_overdue_holds_are_told_by_program(rewards: Running) -> None:
    async with taken_back(rewards) as conn:
        for program, number in (("late", 3), ("later", 1)):
            await conn.execute(
                text("""
                INSERT INTO hold (program_id, conversion_id, due_time, record_time)
                SELECT :program, n::text, CAST(:due AS timestamptz), CAST(:due AS timestamptz)
                FROM generate_series(1, :number) AS n
                """),
                {"program": program, "due": LONG_AGO, "number": number},
            )
        await conn.execute(
            text("""
            INSERT INTO hold_wait (program_id, conversion_id, mark, rule_id, buyer_id, event_type, approval, earliest,
                occurred_at, decide_time)
            VALUES ('waits', 'approved', '9000-01-01Z', 'r', 'b', '', 2, :due, :due, :due),
                ('waits', 'pending', '9000-01-01Z', 'r', 'b', '', 1, :due, :due, NULL)
            """),
            {"due": LONG_AGO},
        )
        found = await standing.overdue_holds(conn, LONG_AGO + standing.HOLD_LATE + timedelta(seconds=5))
        assert {program: (each.number, each.age_seconds) for program, each in found.items()} == {
            "late": (3, 65),
            "later": (1, 65),
            "waits": (1, 65),
        }
        await measures._holds(rewards.service.deps)(conn)
        assert told("upline_overdue_holds", program="late") == 3
        assert told("upline_overdue_hold_age_seconds") > 86_400
        await conn.rollback()


async def test_waiting_payouts_are_told_by_state_and_program(rewards: Running, clock: ManualClock) -> None:
    async with taken_back(rewards) as conn:
        await conn.execute(
            text("""
            INSERT INTO payout (program_id, payout_id, participant_id, asset, amount_minor, fee_minor, method,
                destination, state, create_time, update_time)
            SELECT 'paying', 'p' || state, 'maria', 'USD', 100, 0, 'bank', 'x', state, :then, :then
            FROM generate_series(1, 8) AS state
            """),
            {"then": clock.now() - timedelta(days=400)},
        )
        await measures._payouts(rewards.service.deps)(conn)
        of_program = {
            sample.labels["state"]: sample.value
            for family in REGISTRY.collect()
            if family.name == "upline_payouts_waiting"
            for sample in family.samples
            if sample.labels["program"] == "paying"
        }
        assert of_program == dict.fromkeys(("requested", "approved", "sent", "failed"), 1.0)
        assert told("upline_payout_age_seconds", state="sent") == 400 * 86_400


async def test_what_is_read_goes_by_indexes(rewards: Running) -> None:
    names = {"now": LONG_AGO, "late": LONG_AGO}
    indexes = {
        measuring._OUTBOX: {"outbox_unpublished"},
        standing._OVERDUE_HOLDS: {"hold_due", "hold_wait_ready"},
        standing._WAITING_PAYOUTS: {"payout_open"},
    }
    async with taken_back(rewards) as conn:
        # The tables of tests are too small for indexes, unless there is no other way.
        await conn.exec_driver_sql("SET LOCAL enable_seqscan = off")
        await conn.exec_driver_sql("SET LOCAL enable_sort = off")
        for statement, wanted in indexes.items():
            said = text(f"EXPLAIN {statement.text}")
            needed = {name: names[name] for name in said._bindparams}
            plan = "\n".join((await conn.execute(said, needed)).scalars())
            assert {each for each in wanted if each not in plan} == set(), plan


async def test_resting_programs_and_kept_plans_are_told(rewards: Running, published: Published, ledger: Ledger) -> None:
    await published(three_levels())
    deps = rewards.service.deps
    now = asyncio.get_running_loop().time()
    resting: Resting[str] = deps.resting_programs
    resting.failed("tired", TimeoutError(), now)
    try:
        async with taken_back(rewards) as conn:
            await measures._memory(deps)(conn)
        assert told("upline_resting_programs", program="tired") == 1
    finally:
        resting.worked("tired")
    assert told("upline_plan_cache_entries", kind="outlines") >= 1
    assert told("upline_plan_cache_bytes", kind="outlines") > 0


async def test_an_audit_is_told_by_what_it_found() -> None:
    wrong = AuditFinding("BALANCE_WRONG", "program", "subject", "detail")
    measures.tell_audit(Audit(0, 0, 0, (wrong, wrong)), 1.5)
    assert told("upline_audit_findings", check="BALANCE_WRONG") == 2
    assert told("upline_audit_duration_seconds") == 1.5
    ended, clean = told("upline_audit_ended_timestamp_seconds"), told("upline_audit_clean_timestamp_seconds")
    assert clean < ended
    measures.tell_audit(Audit(0, 0, 0, ()), 1.5)
    assert REGISTRY.get_sample_value("upline_audit_findings", {"check": "BALANCE_WRONG"}) is None
    assert told("upline_audit_clean_timestamp_seconds") >= ended


async def test_one_statement_that_fails_keeps_no_other_from_being_told(rewards: Running) -> None:
    async def failing(conn: AsyncConnection) -> None:
        await conn.exec_driver_sql("SELECT * FROM no_such_table")

    reached = asyncio.Event()

    async def reaching(_conn: AsyncConnection) -> None:
        reached.set()

    work = asyncio.create_task(measuring.measure(rewards.service.databases[Work.JOBS], [failing, reaching]))
    async with asyncio.timeout(DEADLINE_SECONDS):
        await reached.wait()
    work.cancel()
