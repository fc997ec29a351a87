"""As many things that fail as a job looks at together keep nothing behind them from its turn."""

from datetime import timedelta

import pytest

from chassis.clock import ManualClock
from services.rewards.commands import contests, expiry, spending
from services.rewards.store import contests as contest_store
from services.rewards.store import expiry as expiry_store
from services.rewards.store import wallets as wallet_store
from tests.flow import becomes
from tests.integration.rewards.conftest import NOON, Ledger, Published, message, recorded, reversed_
from tests.integration.rewards.paying_out import SAID_PAID, Treasury, payout_plan
from tests.integration.rewards.test_contests import AFTER, END, PRIZES, moved_clock, order  # noqa: F401 - a fixture
from tests.integration.rewards.test_contests import contests as contest_plan
from tests.integration.rewards.test_expiry import LIFE, expiring_plan, later  # noqa: F401 - a fixture


async def test_failing_contests_keep_none_behind_them(
    ledger: Ledger,
    published: Published,
    moved_clock: ManualClock,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broken = [await published(contest_plan(*PRIZES)) for _ in range(3)]
    program = await published(contest_plan(*PRIZES))
    for each in (*broken, program):
        await ledger.settle(message(order(each, "a1", "anna")))
    ranking = contest_store.ranking

    async def rank(conn: object, program_id: str, *more: object) -> object:
        if program_id in broken:
            raise SystemError("cannot be ranked")
        return await ranking(conn, program_id, *more)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(contest_store, "ranking", rank)
        patched.setattr(contests, "CONTESTS_A_ROUND", 1)
        moved_clock.set(END + AFTER)
        await becomes(lambda: ledger.available(program, "anna"), [10_010])
        assert await ledger.available(broken[0], "anna") == [10]
    for each in broken:  # nothing is forgotten: they are closed once they can be
        await becomes(lambda program=each: ledger.available(program, "anna"), [10_010])  # type: ignore[misc]


async def test_failing_scans_keep_none_behind_them(
    ledger: Ledger,
    published: Published,
    later: ManualClock,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    program = await published(expiring_plan())
    people = ["anna", "ben", "cid"]
    for each in people:
        await ledger.settle(message(recorded(program, f"of-{each}", 1_000, buyer=each)))
    flows, broken = expiry_store.flows, set[str]()

    async def flow(conn: object, program_id: str, participant_id: str, *more: object) -> object:
        if program_id == program and len(broken) < 2:
            broken.add(participant_id)
        if program_id == program and participant_id in broken:
            raise SystemError("cannot be scanned")
        return await flows(conn, program_id, participant_id, *more)  # type: ignore[arg-type]

    async def left() -> int:
        wallets = [await ledger.wallet(program, each) for each in people]
        return sum(any(available for _, available in each.values()) for each in wallets)

    assert await left() == 3
    with monkeypatch.context() as patched:
        patched.setattr(expiry_store, "flows", flow)
        patched.setattr(expiry, "WALLETS_A_ROUND", 1)
        later.set(NOON + LIFE + timedelta(days=1))
        for _ in range(8):
            try:
                while await expiry.expire(ledger.rewards.service.deps):
                    pass
            except SystemError:
                continue
        assert await left() == 2


async def test_failing_debtors_keep_none_behind_them(
    ledger: Ledger, published: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    debtors = [Treasury(ledger, await published(payout_plan())) for _ in range(3)]
    pockets, broken = (
        wallet_store.pockets,
        {each.program for each in sorted(debtors, key=lambda each: each.program)[:2]},
    )

    async def read(conn: object, program_id: str, *more: object) -> object:
        if program_id in broken:
            raise SystemError("cannot be repaid")
        return await pockets(conn, program_id, *more)  # type: ignore[arg-type]

    for each in debtors:
        await ledger.settle(message(recorded(each.program, "c1", 10_000)))
        await each.ask("p1", 1_000)
        await each.batch("b1")
        await each.act("Report", "p1", outcome=SAID_PAID)
        await ledger.settle(message(reversed_(each.program, "c1", "r1", 10_000, completes=True)))
    with monkeypatch.context() as patched:
        patched.setattr(wallet_store, "pockets", read)
        patched.setattr(spending, "DEBTORS_A_ROUND", 1)
        for each in debtors:
            await ledger.settle(message(recorded(each.program, "c2", 5_000)))
        (spared,) = [each for each in debtors if each.program not in broken]
        await becomes(spared.money, (0, 0, 0, 500))
    for each in debtors:
        await becomes(each.money, (0, 0, 0, 500))
