"""A reward that a person rejects gives back its headroom in caps and budgets, and leaves what is counted; a rebuild
follows it in its order."""

import asyncio
import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import grpc
import psycopg
import pytest
from upline.rewards.v1 import events_pb2, payout_pb2, payout_pb2_grpc, plan_pb2, reward_pb2

from chassis.clock import ManualClock
from chassis.pacing import Beside
from chassis.times import to_timestamp
from services.rewards.commands import ahead
from tests.conftest import Servers
from tests.errors import reason_of
from tests.integration.rewards.conftest import NOON, Ledger, Published, message, recorded, reversed_
from tests.integration.rewards.counted import cap, counter, plan, rule, tier, tiers
from tests.integration.rewards.test_counting import assert_rebuilt, rich, tallies_of, trade
from tests.integration.rewards.test_rebuild import rebuilt
from tests.integration.rewards.test_waiting import approve, held, moved_clock, reject, release_all
from tests.running import DEADLINE_SECONDS

__all__ = ["moved_clock"]

SAID = ("NOTHING_WAITS", "APPROVED", "REJECTED")
DAY = timedelta(days=1)
BY_PERSON = plan_pb2.Hold(approval=True)


@pytest.fixture
def beside(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The work that is done beside the event loop for rejections, as if every conversion took long."""
    done: list[str] = []

    def noted(run: Callable[..., Any]) -> Callable[..., Any]:
        async def run_noted(self: Beside, work: Callable[..., Any], *inputs: Any) -> Any:
            if (name := getattr(work, "__name__", "")) in {"ask_ahead", "release_headroom"}:
                done.append(name)
            return await run(self, work, *inputs)

        return run_noted

    for each in ("run", "run_without_rests"):
        monkeypatch.setattr(Beside, each, noted(getattr(Beside, each)))
    monkeypatch.setattr(ahead, "takes_long", lambda *_: True)
    return done


def limited() -> plan_pb2.Plan:
    """10 % to the sponsor, at most 1,000 to all by the rule and 1,500 by the plan; a person approves. Every second
    order brings 50."""
    bonus = tiers("orders", plan_pb2.TIER_MODE_BONUS, tier(2, amount_minor=50))
    return plan(
        rule("tenth", caps=[cap(plan_pb2.CAP_SCOPE_PROGRAM, 1_000)], hold=BY_PERSON),
        rule("bonus", "", tiers=bonus, hold=BY_PERSON),
        counters=[counter("orders")],
        budgets=[plan_pb2.Budget(budget_id="all", asset="USD", amount_minor=1_500)],
    )


async def test_what_is_rejected_gives_its_headroom_to_the_next(
    ledger: Ledger, published: Published, moved_clock: ManualClock, servers: Servers
) -> None:
    program = await published(limited())
    await ledger.settle(message(recorded(program, "c1", 8_000), recorded(program, "c2", 8_000)))
    assert await ledger.wallet(program, "maria") == {"USD": (800 + 200 + 50, 0)}
    assert await tallies_of(ledger, program) == {
        ("budget:all", "", ""): 1_050,
        ("cap:tenth:program:lifetime", "", ""): 1_000,
        ("bonus:bonus:2", "maria", ""): 1,
        ("counter:orders", "maria", ""): 2,
    }
    await ledger.settle(message(reversed_(program, "c1", "r1", 1_000)))
    for _ in range(2):
        await reject(ledger, program, "c1")
        await reject(ledger, program, "c2")
    # The orders happened, and the bonus was due: neither is forgotten.
    counted = {("bonus:bonus:2", "maria", ""): 1, ("counter:orders", "maria", ""): 2}
    assert await tallies_of(ledger, program) == counted
    await ledger.settle(message(recorded(program, "c3", 20_000)))
    assert await ledger.wallet(program, "maria") == {"USD": (1_000, 0)}
    # A refund of rejected rewards gives no headroom twice.
    await ledger.settle(message(reversed_(program, "c1", "r2", 2_000, minutes_later=2)))
    await ledger.settle(message(reversed_(program, "c2", "r3", 8_000, completes=True, minutes_later=3)))
    assert await tallies_of(ledger, program) == {
        ("budget:all", "", ""): 1_000,
        ("cap:tenth:program:lifetime", "", ""): 1_000,
        ("counter:orders", "maria", ""): 2,
        ("forfeit:bonus:2", "maria", ""): 1,
    }
    assert (await ledger.audit(program)).balanced
    await assert_rebuilt(servers, program)


async def test_everybody_is_told_why(
    ledger: Ledger, published: Published, moved_clock: ManualClock, servers: Servers
) -> None:
    """The participants by an event; support by the explanations of the reward and of the conversion."""
    made = plan(rule("tenth", hold=BY_PERSON), rule("free", "1"))
    program = await published(made)
    await ledger.settle(message(recorded(program, "c1", 1_000), reversed_(program, "c1", "r1", 300)))
    before = await ledger.explain(program, "c1")
    rewards = await reject(ledger, program, "c1", "not a company")
    async with await psycopg.AsyncConnection.connect(servers.postgres.url) as conn:
        rows = await (await conn.execute("SELECT payload FROM rewards.outbox ORDER BY outbox_id")).fetchall()
    told = [
        event
        for (payload,) in rows
        for event in events_pb2.RewardEventBatch.FromString(payload).events
        if event.program_id == program and event.change == events_pb2.REWARD_CHANGE_REJECTED
    ]
    assert [(each.reason, [one.amount_minor for one in each.earnings]) for each in told] == [("not a company", [70])]
    for locale, words in (("en", "a person rejected it (not a company)"), ("ru", "отказано (not a company)")):
        request = reward_pb2.ExplainRewardRequest(program_id=program, reward_id=rewards[0].reward_id, locale=locale)
        one = await ledger.reader.ExplainReward(request, timeout=DEADLINE_SECONDS)
        assert one.derivation.outcome == reward_pb2.OUTCOME_PAID
        assert (one.current.outcome, one.current.amount_minor) == (reward_pb2.OUTCOME_REJECTED, 0)
        assert words in one.current.sentence
        assert [(each.reversal_id, each.delta_minor, each.rejection_reason) for each in one.revisions] == [
            ("r1", -30, ""), ("", -70, "not a company"),
        ]  # fmt: skip
        whole = await ledger.explain(program, "c1", locale)
        assert [each.outcome for each in whole.derivations] == [reward_pb2.OUTCOME_REJECTED, reward_pb2.OUTCOME_PAID]
        assert words in whole.derivations[0].sentence
    assert before.sentence == "Version 1 of the plan pays 0.77 USD for c1."
    assert (await ledger.explain(program, "c1")).sentence == "Version 1 of the plan pays 0.07 USD for c1."


async def test_nothing_is_asked_where_nothing_is_rejected(
    ledger: Ledger, published: Published, moved_clock: ManualClock, beside: list[str]
) -> None:
    program = await published(limited())
    nothing = recorded(program, "nothing", 1_000, event_type="visit")
    await ledger.settle(message(nothing, recorded(program, "c1", 1_000), recorded(program, "c2", 1_000)))
    await approve(ledger, program, "c2")
    for conversion, said in (("nothing", "NOTHING_WAITS"), ("c2", "APPROVED")):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await reject(ledger, program, conversion)
        assert reason_of(caught.value) == said
    for wanted in ((program, "nowhere"), ("nowhere", "c1")):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await reject(ledger, *wanted)
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert beside == []
    for _ in range(2):
        await reject(ledger, program, "c1")
    assert beside == ["ask_ahead", "release_headroom"]


async def test_nothing_is_asked_where_nothing_is_counted(
    ledger: Ledger, published: Published, moved_clock: ManualClock, beside: list[str]
) -> None:
    program = await published(plan(rule("tenth", hold=BY_PERSON)))
    await ledger.settle(message(recorded(program, "c1", 1_000)))
    (reward,) = await reject(ledger, program, "c1")
    assert reward.state == reward_pb2.REWARD_STATE_REJECTED
    assert beside == []


async def test_what_was_taken_back_before_it_was_rejected_stays_taken_back(
    ledger: Ledger, published: Published, moved_clock: ManualClock
) -> None:
    program = await published(plan(rule("tenth", hold=BY_PERSON)))
    await ledger.settle(message(recorded(program, "c1", 1_000), reversed_(program, "c1", "r1", 1_000, completes=True)))
    (reward,) = await reject(ledger, program, "c1", "not a company")
    assert (reward.state, reward.rejection_reason) == (reward_pb2.REWARD_STATE_REVERSED, "")


async def test_reversals_and_rejections_are_summed_apart(
    ledger: Ledger, published: Published, moved_clock: ManualClock
) -> None:
    program = await published(plan(rule("tenth", hold=BY_PERSON), rule("free", "1")))
    await ledger.settle(message(recorded(program, "c1", 1_000), reversed_(program, "c1", "r1", 300)))
    await reject(ledger, program, "c1")
    await ledger.settle(message(reversed_(program, "c1", "r2", 700, completes=True, minutes_later=2)))
    request = reward_pb2.GetProgramTotalsRequest(program_id=program)
    [usd] = (await ledger.reader.GetProgramTotals(request, timeout=DEADLINE_SECONDS)).assets
    assert (usd.accrued_minor, usd.reversed_minor, usd.rejected_minor) == (110, 30 + 3 + 7, 70)
    period = payout_pb2.GetSettlementReportRequest(
        program_id=program, start_time=to_timestamp(NOON - DAY), end_time=to_timestamp(NOON + DAY)
    )
    payouts = payout_pb2_grpc.PayoutServiceStub(ledger.rewards.channel)
    [report] = (await payouts.GetSettlementReport(period, timeout=DEADLINE_SECONDS)).assets
    kinds = {each.kind: each.amount_minor for each in report.kinds}
    assert kinds == {"accrual": 110, "reversal": 40, "rejection": 70}


@pytest.mark.parametrize("counting", [False, True])
async def test_a_rebuild_follows_a_rejection_in_its_order(
    ledger: Ledger, published: Published, moved_clock: ManualClock, servers: Servers, counting: bool
) -> None:
    """Not by the clock: what was recorded before may be settled after it, and the other way round."""
    program = await published(limited() if counting else held(approval=True))
    await ledger.settle(
        message(reversed_(program, "c1", "early", 500, minutes_later=9), recorded(program, "c1", 5_000))
    )
    await ledger.settle(message(reversed_(program, "c1", "before", 1_000, minutes_later=9_000)))
    await reject(ledger, program, "c1")
    await ledger.settle(message(reversed_(program, "c1", "after", 1_000), recorded(program, "c2", 5_000)))
    result = await rebuilt(servers, program)
    assert result.differences == []
    assert (result.conversions, result.reversals) == (2, 3)
    assert result.revisions == 3 if counting else 9
    assert (await ledger.audit(program)).balanced
    turn = "UPDATE rewards.hold_wait SET position = -position WHERE program_id = %s AND approval = 3"
    async with await psycopg.AsyncConnection.connect(servers.postgres.url, autocommit=True) as conn:
        await conn.execute(turn, [program])  # as if it had come before all refunds but the early one
        different = (await rebuilt(servers, program)).differences
        await conn.execute(turn, [program])
    assert ("reward_revision", "c1") in {(each.table, each.conversion_id) for each in different}


async def test_words_orders_and_refunds_at_once_leave_no_headroom_taken(
    ledger: Ledger, published: Published, moved_clock: ManualClock, servers: Servers
) -> None:
    made = rich()
    for each in made.rules[::2]:
        each.hold.approval = True
    program = await published(made)
    events = trade(program, seed=7, count=60)
    chance = random.Random(7)

    async def word(name: str) -> None:
        say = reject if chance.random() < 0.6 else approve
        try:
            await say(ledger, program, name)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED:  # so many at once were too many for the machine
                await asyncio.sleep(0.1)
                await word(name)
            elif error.code() is not grpc.StatusCode.NOT_FOUND and reason_of(error) not in SAID:
                raise

    orders = [each for each in events if each.HasField("recorded")]
    names = [each.recorded.conversion.draft.conversion_id for each in orders]
    await ledger.settle(message(*orders[:40]))
    rest = [each for each in events if each not in orders[:40]]
    chance.shuffle(rest)
    parts = [ledger.settle(message(*rest[start : start + 5])) for start in range(0, len(rest), 5)]
    await asyncio.gather(*parts, *map(word, names))
    await asyncio.gather(*map(word, names[40:]))
    await release_all(ledger)
    found = await tallies_of(ledger, program)
    assert all(value > 0 for value in found.values())
    async with await psycopg.AsyncConnection.connect(servers.postgres.url) as conn:
        cursor = await conn.execute(
            """SELECT count(*) FILTER (WHERE reversal_id = ''), coalesce(sum(delta_minor), 0)
                FROM rewards.reward_revision
                WHERE reward_id IN (SELECT reward_id FROM rewards.reward WHERE program_id = %s)""",
            [program],
        )
        rejected, lost_minor = await cursor.fetchone() or (0, 0)
        cursor = await conn.execute("SELECT sum(amount_minor) FROM rewards.reward WHERE program_id = %s", [program])
        (accrued,) = await cursor.fetchone() or (0,)
    assert rejected
    used = sum(value for (name, _, _), value in found.items() if name == "budget:all")
    assert used == accrued + lost_minor
    assert (await ledger.audit(program)).balanced
    await assert_rebuilt(servers, program)
