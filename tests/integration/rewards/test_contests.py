"""Contests: a live ranking, ties, prizes posted once, and nothing after that."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta

import grpc
import psycopg
import pytest
from sqlalchemy.ext.asyncio import AsyncConnection
from upline.attribution.v1 import events_pb2
from upline.rewards.v1 import contest_pb2, contest_pb2_grpc, plan_pb2, wallet_pb2
from upline.rewards.v1 import events_pb2 as reward_events_pb2

from chassis.clock import ManualClock
from services.rewards.commands.contests import close_due_contests
from services.rewards.store import contests as store
from tests.conftest import Servers
from tests.flow import becomes
from tests.integration.rewards.conftest import NOON, Ledger, Published, message, recorded, reversed_
from tests.integration.rewards.counted import contest, counter, plan, rule
from tests.running import DEADLINE_SECONDS

START, END = NOON, NOON + timedelta(days=10)
AFTER = timedelta(days=2)
PRIZES = [
    plan_pb2.Prize(from_rank=1, to_rank=1, asset="USD", amount_minor=10_000),
    plan_pb2.Prize(from_rank=2, to_rank=3, asset="USD", amount_minor=2_500),
]


@pytest.fixture
def moved_clock(clock: ManualClock) -> Iterator[ManualClock]:
    """A clock that goes back after the test."""
    before = clock.now()
    clock.set(START)
    yield clock
    clock.set(before)


def contests(*prizes: plan_pb2.Prize, measure: int = plan_pb2.MEASURE_CONVERSIONS, **fields: object) -> plan_pb2.Plan:
    """A contest of sponsors by their referees' orders, beside 1 % for each."""
    return plan(
        rule(percent="1"),
        counters=[counter("orders", measure)],
        contests=[contest("spring", "orders", START, END, AFTER, *prizes, **fields)],
    )


def order(
    program: str,
    name: str,
    sponsor: str,
    *,
    hours: float = 1,
    amount: int = 1_000,
    buyer: str = "vera",
    late: float = 0,
) -> events_pb2.ConversionEvent:
    """An order at so many hours after the start, recorded `late` hours after that."""
    moment = START + timedelta(hours=hours)
    return recorded(
        program,
        name,
        amount,
        buyer=buyer,
        upline=(sponsor,),
        occurred_at=moment,
        record_time=moment + timedelta(hours=late),
    )


async def board(ledger: Ledger, program: str, **fields: object) -> contest_pb2.GetLeaderboardResponse:
    """The ranking."""
    stub = contest_pb2_grpc.ContestServiceStub(ledger.rewards.channel)
    request = contest_pb2.GetLeaderboardRequest(program_id=program, contest_id="spring", **fields)  # type: ignore[arg-type]
    answer: contest_pb2.GetLeaderboardResponse = await stub.GetLeaderboard(request, timeout=DEADLINE_SECONDS)
    return answer


async def standings(ledger: Ledger, program: str) -> list[tuple[int, str, int]]:
    """(rank, participant, score)."""
    found = (await board(ledger, program)).standings
    return [(each.rank, each.participant_id, each.score) for each in found]


async def standing(ledger: Ledger, program: str, participant: str) -> tuple[int, int, int]:
    """(rank, points to the next, how many are ranked)."""
    stub = contest_pb2_grpc.ContestServiceStub(ledger.rewards.channel)
    request = contest_pb2.GetStandingRequest(program_id=program, contest_id="spring", participant_id=participant)
    answer = await stub.GetStanding(request, timeout=DEADLINE_SECONDS)
    return answer.standing.rank, answer.to_next_rank, answer.ranked_count


async def test_the_ranking_is_live_and_ties_go_to_who_was_first(
    ledger: Ledger, published: Published, moved_clock: ManualClock
) -> None:
    program = await published(contests())
    moved_clock.set(START - timedelta(seconds=1))
    assert (await board(ledger, program)).state == contest_pb2.CONTEST_STATE_SCHEDULED
    moved_clock.set(START)
    await ledger.settle(
        message(
            order(program, "a1", "anna", hours=5),
            order(program, "b1", "boris", hours=3),
            order(program, "c1", "carl", hours=3),
            order(program, "d1", "dora", hours=1),
            order(program, "d2", "dora", hours=6),
            # Neither before the start nor at the end.
            order(program, "e1", "emil", hours=-0.001),
            order(program, "e2", "emil", hours=240),
            # Its last microsecond counts, however late it is told.
            order(program, "f1", "fred", hours=239.999, late=30),
        )
    )
    assert await standings(ledger, program) == [
        (1, "dora", 2), (2, "boris", 1), (3, "carl", 1), (4, "anna", 1), (5, "fred", 1),
    ]  # fmt: skip
    assert (await board(ledger, program)).state == contest_pb2.CONTEST_STATE_RUNNING
    assert await standing(ledger, program, "dora") == (1, 0, 5)
    assert await standing(ledger, program, "boris") == (
        2,
        2,
        5,
    )  # with as many they would stay behind her: she was first
    assert await standing(ledger, program, "carl") == (3, 1, 5)
    assert await standing(ledger, program, "emil") == (0, 1, 5)
    await ledger.settle(message(reversed_(program, "d1", "rd", 1_000, completes=True)))
    assert (await standings(ledger, program))[:3] == [(1, "boris", 1), (2, "carl", 1), (3, "anna", 1)]


async def test_pages_are_one_ranking(ledger: Ledger, published: Published, moved_clock: ManualClock) -> None:
    program = await published(contests())
    await ledger.settle(message(*(order(program, f"c{each}", f"p{each % 7}", hours=each) for each in range(24))))
    whole = list((await board(ledger, program)).standings)
    assert [each.rank for each in whole] == list(range(1, 8))
    paged, token = [], ""
    while True:
        page = await board(ledger, program, page_size=2, page_token=token)
        paged += page.standings
        if not (token := page.next_page_token):
            break
    assert paged == whole


async def test_a_contest_that_cannot_be_settled_keeps_no_other_from_it(
    ledger: Ledger, published: Published, moved_clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, program = await published(contests(*PRIZES)), await published(contests(*PRIZES))
    for each in (broken, program):
        await ledger.settle(message(order(each, "a1", "anna")))
    moved_clock.set(END + AFTER)
    ranking = store.ranking

    async def rank(conn: AsyncConnection, program_id: str, *more: object) -> object:
        if program_id == broken:
            raise SystemError("cannot be ranked")
        return await ranking(conn, program_id, *more)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(store, "ranking", rank)
        with pytest.raises(SystemError):
            await close_due_contests(ledger.rewards.service.deps)
    assert await ledger.available(broken, "anna") == [10]
    assert await ledger.available(program, "anna") == [10_010]
    await becomes(lambda: ledger.available(broken, "anna"), [10_010])  # the service's job tries again by itself


async def prizes_told(servers: Servers, program: str) -> list[tuple[str, list[tuple[int, str, str, int]]]]:
    """(cause, [(rank, winner, asset, amount)]) of what was announced."""
    async with await psycopg.AsyncConnection.connect(servers.postgres.url) as conn:
        rows = await (await conn.execute("SELECT payload FROM rewards.outbox ORDER BY outbox_id")).fetchall()
    return [
        (event.event_id, [(each.rank, each.beneficiary_id, each.asset, each.amount_minor) for each in event.earnings])
        for (payload,) in rows
        for event in reward_events_pb2.RewardEventBatch.FromString(payload).events
        if event.program_id == program and event.change == reward_events_pb2.REWARD_CHANGE_PRIZE_WON
    ]


async def test_prizes_are_posted_once_when_the_time_has_come(
    ledger: Ledger, published: Published, moved_clock: ManualClock, servers: Servers
) -> None:
    program = await published(contests(*PRIZES))
    for person, count in (("anna", 4), ("boris", 3), ("carl", 2), ("dora", 1)):
        await ledger.settle(message(*(order(program, f"{person}{each}", person, hours=each) for each in range(count))))
    moved_clock.set(END)
    assert (await board(ledger, program)).state == contest_pb2.CONTEST_STATE_CLOSED
    moved_clock.set(END + AFTER - timedelta(microseconds=1))
    await settle_all(ledger)
    assert await ledger.available(program, "anna") == [40]
    # A refund in the time between still counts: carl is third no more.
    await ledger.settle(
        message(*(reversed_(program, f"carl{each}", f"r{each}", 1_000, completes=True) for each in range(2)))
    )
    moved_clock.set(END + AFTER)
    await asyncio.gather(*(settle_all(ledger) for _ in range(8)))
    assert await ledger.available(program, "anna", "boris", "carl", "dora") == [10_040, 2_530, 0, 2_510]
    assert await prizes_told(servers, program) == [
        (
            f"contest:{program}/spring",
            [(1, "anna", "USD", 10_000), (2, "boris", "USD", 2_500), (3, "dora", "USD", 2_500)],
        )
    ]
    prize = (await ledger.transfers(program, "boris"))[0]
    assert (prize.kind, prize.debit_account, prize.credit_account, prize.cause_id, prize.reward_id) == (
        wallet_pb2.TRANSFER_KIND_PRIZE, "issuance", "available:boris", f"contest:{program}/spring", "",
    )  # fmt: skip
    # What comes later is paid, but no longer counts.
    before = await board(ledger, program)
    assert before.state == contest_pb2.CONTEST_STATE_SETTLED
    await ledger.settle(
        message(
            order(program, "late", "dora", hours=2, late=24 * 20),
            reversed_(program, "anna0", "ra", 1_000, completes=True),
        )
    )
    await settle_all(ledger)
    assert await board(ledger, program) == before
    assert await ledger.available(program, "anna", "dora") == [10_030, 2_520]
    audit = await ledger.audit(program)
    assert audit.balanced, audit.findings


async def test_a_contest_for_honour_has_a_smallest_score(
    ledger: Ledger, published: Published, moved_clock: ManualClock, servers: Servers
) -> None:
    program = await published(contests(measure=plan_pb2.MEASURE_VOLUME, min_score=2_500))
    await ledger.settle(
        message(order(program, "a", "anna", amount=2_499), order(program, "b", "boris", amount=2_500, buyer="vlad"))
    )
    assert await standings(ledger, program) == [(1, "boris", 2_500)]
    assert await standing(ledger, program, "anna") == (0, 1, 1)
    moved_clock.set(END + AFTER)
    await settle_all(ledger)
    assert (await board(ledger, program)).state == contest_pb2.CONTEST_STATE_SETTLED
    assert await ledger.available(program, "boris") == [25]
    assert not await prizes_told(servers, program)


async def test_referees_are_counted_once_each(ledger: Ledger, published: Published, moved_clock: ManualClock) -> None:
    program = await published(contests(measure=plan_pb2.MEASURE_REFEREES))
    await ledger.settle(
        message(*(order(program, f"c{each}", "anna", buyer=f"b{each % 2}", hours=each) for each in range(4)))
    )
    assert await standings(ledger, program) == [(1, "anna", 2)]
    await ledger.settle(message(reversed_(program, "c0", "r0", 1_000, completes=True)))
    assert await standings(ledger, program) == [(1, "anna", 2)]
    await ledger.settle(message(reversed_(program, "c2", "r2", 1_000, completes=True)))
    assert await standings(ledger, program) == [(1, "anna", 1)]


async def test_the_newest_version_says_when_it_ends_and_what_is_won(
    ledger: Ledger, published: Published, moved_clock: ManualClock
) -> None:
    program = await published(contests(*PRIZES))
    await ledger.settle(message(order(program, "a", "anna")))
    longer = contests(plan_pb2.Prize(from_rank=1, to_rank=1, asset="USD", amount_minor=7))
    longer.contests[0].end_time.FromDatetime(END + timedelta(days=1))
    moved_clock.set(START + timedelta(days=3))
    await ledger.publish(program, longer)
    moved_clock.set(END + AFTER)
    await settle_all(ledger)
    assert await ledger.available(program, "anna") == [10]
    moved_clock.set(END + AFTER + timedelta(days=1))
    await settle_all(ledger)
    assert await ledger.available(program, "anna") == [17]


async def test_a_contest_that_no_plan_has_is_not_found(ledger: Ledger, published: Published) -> None:
    program = await published(plan(rule()))
    for call in (board(ledger, program), standing(ledger, program, "anna")):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def settle_all(ledger: Ledger) -> None:
    """Settles whatever is due."""
    while await close_due_contests(ledger.rewards.service.deps):
        pass
