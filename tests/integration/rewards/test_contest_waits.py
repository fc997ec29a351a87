"""A contest is not closed while facts wait that came in time, for a day at most."""

from collections.abc import Iterator, MutableMapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import structlog
from sqlalchemy import text
from structlog.testing import capture_logs
from upline.attribution.v1 import events_pb2
from upline.rewards.v1 import contest_pb2

from chassis.clock import ManualClock
from services.rewards.commands import contests as closing
from services.rewards.commands.contests import close_due_contests
from services.rewards.commands.deferred import defer
from services.rewards.store.audits import full
from services.rewards.store.audits.findings import OVERDUE
from services.rewards.store.contests import LONGEST_WAIT
from services.rewards.wire.events import ToldFact
from tests.flow import becomes
from tests.integration.rewards.conftest import Ledger, Published, message
from tests.integration.rewards.test_contests import PRIZES, board, contests, moved_clock, order
from tests.integration.rewards.test_deferred import Waiting, drain, waiting

__all__ = ["moved_clock", "waiting"]

LATER = timedelta(minutes=1)
CLOSED, SETTLED = contest_pb2.CONTEST_STATE_CLOSED, contest_pb2.CONTEST_STATE_SETTLED
Logs = list[MutableMapping[str, Any]]


@pytest.fixture
def logs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Logs]:
    """The lines that closing logs."""
    # A logger that was used before goes on with the configuration of then.
    monkeypatch.setattr(closing, "log", structlog.get_logger("test"))
    with capture_logs() as lines:
        yield lines


async def put(waiting: Waiting, program: str, *orders: events_pb2.ConversionEvent) -> None:
    """Has orders wait."""
    assert not await defer(waiting.deps, [ToldFact(program, each.event_id, message(each)) for each in orders])


async def begin(ledger: Ledger, waiting: Waiting, program: str) -> None:
    """Maria has an order that is settled; Petr's two come behind it, and wait."""
    await ledger.settle(message(order(program, "o1", "maria")))
    await put(waiting, program, *(order(program, f"o{number}", "petr", buyer=f"b{number}") for number in (2, 3)))


async def make_due(waiting: Waiting, program: str, ago: str = "0") -> None:
    """The contest was to be closed so long ago by the database's clock."""
    due = text("UPDATE contest_due SET due_time = clock_timestamp() - CAST(:ago AS interval) WHERE program_id = :of")
    async with waiting.deps.database.transaction() as conn:
        await conn.execute(due, {"ago": ago, "of": program})


async def come_due(waiting: Waiting, clock: ManualClock, program: str, ago: str = "0") -> None:
    """The contest's time has come, so long ago by the database's clock; the service looks at it."""
    await make_due(waiting, program, ago)
    clock.set(datetime.now(UTC) + LATER)
    await close_due_contests(waiting.deps)


async def audited(waiting: Waiting, program: str) -> list[str]:
    """The checks that do not hold as soon as a contest is overdue."""
    async with waiting.deps.database.transaction() as conn:
        found = await full.run(conn, program, datetime.now(UTC) + OVERDUE + LATER, [])
    return [each.check for each in found.findings if each.program_id == program]


def told(logs: Logs, program: str) -> list[int]:
    """The numbers of facts that the contest of a program was closed without."""
    return [each["facts"] for each in logs if each["event"].startswith("contest closed") and each["program"] == program]


async def test_a_contest_is_closed_behind_the_facts_that_came_in_time(
    ledger: Ledger, published: Published, waiting: Waiting, moved_clock: ManualClock, logs: Logs
) -> None:
    program = await published(contests(*PRIZES))
    await begin(ledger, waiting, program)
    await come_due(waiting, moved_clock, program)
    assert await ledger.available(program, "maria") == [10]
    assert await audited(waiting, program) == []
    await put(waiting, program, order(program, "o4", "vlad", buyer="b4"))  # it comes late, and holds nothing
    for _ in range(2):
        assert (await board(ledger, program)).state == CLOSED
        assert await waiting.worker.settle_next()
        await close_due_contests(waiting.deps)
    assert (await board(ledger, program)).state == SETTLED
    assert await ledger.available(program, "petr", "maria") == [10_020, 2_510]
    assert told(logs, program) == []
    await drain(waiting.worker)
    assert await ledger.available(program, "vlad") == [10]
    assert (await ledger.audit(program)).balanced


async def test_a_contest_waits_for_a_day_at_most(
    ledger: Ledger, published: Published, waiting: Waiting, moved_clock: ManualClock, logs: Logs
) -> None:
    program = await published(contests(*PRIZES))
    await begin(ledger, waiting, program)
    waiting.worker.pauses = (3_600.0,)
    waiting.faults |= {name: ValueError("it cannot be settled") for name in ("o2", "o3")}
    await drain(waiting.worker)
    assert [each.attempts for each in await waiting.rows(program)] == [1, 1]
    await come_due(waiting, moved_clock, program)
    assert (await board(ledger, program)).state == CLOSED
    days = f"{LONGEST_WAIT.days} days"

    async def told_later() -> list[int]:
        return told(logs, program)

    await waiting.update(f"create_time = create_time - interval '{days} 1 hour'", program)
    await come_due(waiting, moved_clock, program, days)
    await becomes(told_later, [2])
    assert (await board(ledger, program)).state == SETTLED
    assert await ledger.available(program, "maria") == [10_010]


async def test_an_audit_tells_of_a_contest_that_waits_for_nothing(
    published: Published, waiting: Waiting, moved_clock: ManualClock
) -> None:
    moved_clock.set(datetime.now(UTC) - LATER)  # so that nobody closes it
    program = await published(contests(*PRIZES))
    await make_due(waiting, program)
    await put(waiting, program, order(program, "o1", "maria"))
    assert await audited(waiting, program) == ["CONTEST_OVERDUE"]
