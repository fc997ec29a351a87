"""Holds that wait for more than time: for an event of the buyer's, for a person, for all of it."""

import asyncio
from collections.abc import Awaitable, Iterator
from datetime import timedelta

import grpc
import psycopg
import pytest
from upline.attribution.v1 import events_pb2
from upline.rewards.v1 import approval_pb2, approval_pb2_grpc, plan_pb2, reward_pb2, wallet_pb2

from chassis.clock import ManualClock
from chassis.times import to_datetime
from services.rewards.commands.expiry import expire
from services.rewards.commands.release import release_due_holds, release_ended_waits
from tests.conftest import Servers
from tests.integration.rewards.conftest import NOON, Ledger, Published, message, recorded, reversed_, three_levels
from tests.integration.rewards.test_rebuild import rebuilt
from tests.running import DEADLINE_SECONDS

MILLISECOND = timedelta(milliseconds=1)
HOUR = timedelta(hours=1)
WEEK = timedelta(days=7)
HELD, AVAILABLE = reward_pb2.REWARD_STATE_HELD, reward_pb2.REWARD_STATE_AVAILABLE
REJECTED = reward_pb2.REWARD_STATE_REJECTED
RELEASE = wallet_pb2.TRANSFER_KIND_RELEASE


@pytest.fixture
def moved_clock(clock: ManualClock) -> Iterator[ManualClock]:
    """A clock that goes back after the test."""
    before = clock.now()
    clock.set(NOON + HOUR)
    yield clock
    clock.set(before)


def held(hold: timedelta | None = None, **fields: object) -> plan_pb2.Plan:
    """Three levels, on hold as `fields` say."""
    plan = three_levels(hold)
    plan.rules[0].hold.MergeFrom(plan_pb2.Hold(**fields))
    return plan


def event(
    program: str,
    name: str,
    event_type: str = "confirmed",
    target: str = "",
    later: timedelta = HOUR,
    buyer: str = "vera",
    recorded_later: timedelta = HOUR,
) -> events_pb2.ConversionEvent:
    """An event of the buyer's, meant for one conversion or for all."""
    made = recorded(
        program,
        name,
        0,
        buyer=buyer,
        event_type=event_type,
        occurred_at=NOON + later,
        record_time=NOON + recorded_later,
    )
    if target:
        made.recorded.conversion.draft.attributes["conversion_id"] = target
    return made


async def release_all(ledger: Ledger) -> None:
    """Releases whatever is due."""
    while await release_ended_waits(ledger.job_deps) or await release_due_holds(ledger.job_deps):
        pass


def approvals(ledger: Ledger) -> approval_pb2_grpc.ApprovalServiceStub:
    return approval_pb2_grpc.ApprovalServiceStub(ledger.rewards.channel)


async def approve(ledger: Ledger, program: str, conversion: str) -> list[reward_pb2.Reward]:
    request = approval_pb2.ApproveRewardsRequest(program_id=program, conversion_id=conversion)
    return list((await approvals(ledger).ApproveRewards(request, timeout=DEADLINE_SECONDS)).rewards)


async def reject(ledger: Ledger, program: str, conversion: str, reason: str = "fake") -> list[reward_pb2.Reward]:
    request = approval_pb2.RejectRewardsRequest(program_id=program, conversion_id=conversion, reason=reason)
    return list((await approvals(ledger).RejectRewards(request, timeout=DEADLINE_SECONDS)).rewards)


async def pending(ledger: Ledger, program: str, page_size: int = 0) -> list[str]:
    found, token = [], ""
    while True:
        request = approval_pb2.ListPendingApprovalsRequest(program_id=program, page_size=page_size, page_token=token)
        page = await approvals(ledger).ListPendingApprovals(request, timeout=DEADLINE_SECONDS)
        found += [each.conversion_id for each in page.approvals]
        if not (token := page.next_page_token):
            return found


async def test_an_event_ends_the_hold_of_the_conversion_it_names(
    ledger: Ledger, published: Published, moved_clock: ManualClock
) -> None:
    program = await published(held(until_event="confirmed"))
    await ledger.settle(message(recorded(program, "c1", 1000), recorded(program, "c2", 2000)))
    await release_all(ledger)
    assert await ledger.wallet(program, "maria") == {"USD": (150, 0)}
    await ledger.settle(message(event(program, "other", target="c2", buyer="igor"), event(program, "e1", target="c1")))
    await release_all(ledger)
    assert await ledger.wallet(program, "maria") == {"USD": (100, 50)}
    views = (
        await ledger.reader.ListRewards(
            reward_pb2.ListRewardsRequest(program_id=program, beneficiary_id="maria"), timeout=DEADLINE_SECONDS
        )
    ).rewards
    told = {each.conversion_id: (each.state, each.until_event, each.HasField("hold_until")) for each in views}
    assert told == {"c1": (AVAILABLE, "", False), "c2": (HELD, "confirmed", False)}
    assert (await ledger.audit(program)).balanced


@pytest.mark.parametrize("event_first", [False, True])
async def test_an_event_without_a_name_ends_all_holds_before_it_whichever_is_settled_first(
    ledger: Ledger, published: Published, moved_clock: ManualClock, event_first: bool
) -> None:
    program = await published(held(until_event="confirmed"))
    moved_clock.set(NOON + 3 * HOUR)
    orders = message(
        recorded(program, "before", 1000),
        recorded(program, "same", 1000, occurred_at=NOON + HOUR, record_time=NOON + HOUR),
        recorded(program, "after", 1000, occurred_at=NOON + 2 * HOUR, record_time=NOON + 2 * HOUR),
    )
    payloads = [orders, message(event(program, "e1"))]
    for payload in reversed(payloads) if event_first else payloads:
        await ledger.settle(payload)
        await ledger.settle(payload)
    await release_all(ledger)
    assert await ledger.wallet(program, "maria") == {"USD": (50, 100)}


async def test_an_order_that_waits_for_the_next_order_is_not_that_order(
    ledger: Ledger, published: Published, moved_clock: ManualClock
) -> None:
    program = await published(held(until_event="order"))
    moved_clock.set(NOON + 3 * HOUR)
    await ledger.settle(message(recorded(program, "c1", 1000)))
    await release_all(ledger)
    assert await ledger.wallet(program, "maria") == {"USD": (50, 0)}
    await ledger.settle(message(recorded(program, "c2", 2000, occurred_at=NOON + HOUR, record_time=NOON + HOUR)))
    await release_all(ledger)
    assert await ledger.wallet(program, "maria") == {"USD": (100, 50)}


@pytest.mark.parametrize("event_first", [False, True])
async def test_what_is_reported_late_makes_nothing_available_in_the_past(
    ledger: Ledger, published: Published, moved_clock: ManualClock, event_first: bool
) -> None:
    plan = held(until_event="confirmed")
    plan.assets[0].expires_after.FromTimedelta(WEEK)
    program = await published(plan)
    moved_clock.set(NOON + 2 * WEEK)
    # It happened an hour after the order, and is known of two weeks later: by then, a week from when it happened is
    # over.
    payloads = [message(recorded(program, "c1", 1000)), message(event(program, "e1", recorded_later=2 * WEEK))]
    for payload in reversed(payloads) if event_first else payloads:
        await ledger.settle(payload)
    await release_all(ledger)
    released = next(each for each in await ledger.transfers(program, "maria") if each.kind == RELEASE)
    assert to_datetime(released.create_time) == NOON + 2 * WEEK
    for moment, available in ((3 * WEEK - MILLISECOND, 50), (3 * WEEK, 0)):
        moved_clock.set(NOON + moment)
        await expire(ledger.rewards.service.deps)
        assert await ledger.wallet(program, "maria") == {"USD": (0, available)}
    assert (await ledger.audit(program)).balanced


async def test_everything_that_is_stated_is_waited_for(
    ledger: Ledger, published: Published, moved_clock: ManualClock
) -> None:
    program = await published(held(WEEK, until_event="confirmed", approval=True))
    await ledger.settle(message(recorded(program, "c1", 1000)))
    moved_clock.set(NOON + WEEK - timedelta(microseconds=1))
    await ledger.settle(message(event(program, "e1")))
    assert [each.state for each in await approve(ledger, program, "c1")] == [HELD] * 3
    await release_all(ledger)
    assert await ledger.wallet(program, "maria") == {"USD": (50, 0)}
    moved_clock.set(NOON + WEEK)
    await release_all(ledger)
    assert await ledger.wallet(program, "maria") == {"USD": (0, 50)}
    assert [each.kind for each in await ledger.transfers(program, "maria")] == [2, 1]


async def test_rules_of_one_conversion_wait_for_different_things(
    ledger: Ledger, published: Published, moved_clock: ManualClock
) -> None:
    plan = held(until_event="confirmed")
    for name, hold in (("approved", plan_pb2.Hold(approval=True)), ("free", plan_pb2.Hold())):
        plan.rules.add().CopyFrom(plan.rules[0])
        plan.rules[-1].rule_id = name
        plan.rules[-1].hold.CopyFrom(hold)
    plan.rules[-1].ClearField("hold")
    program = await published(plan)
    await ledger.settle(message(recorded(program, "c1", 1000)))
    assert await ledger.wallet(program, "maria") == {"USD": (100, 50)}
    await approve(ledger, program, "c1")
    await release_all(ledger)
    assert await ledger.wallet(program, "maria") == {"USD": (50, 100)}
    await ledger.settle(message(event(program, "e1")))
    await release_all(ledger)
    assert await ledger.wallet(program, "maria") == {"USD": (0, 150)}
    assert (await ledger.audit(program)).balanced


async def test_no_approval_is_lost_between_pages_that_rewards_fill(
    ledger: Ledger, published: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = await published(held(approval=True))
    await ledger.settle(message(*(recorded(program, f"c{number}", 1000) for number in range(5))))
    monkeypatch.setattr(
        "services.rewards.queries.approvals.MAX_PAGE_BYTES", 64
    )  # less than the rewards of one conversion
    request = approval_pb2.ListPendingApprovalsRequest(program_id=program)
    page = await approvals(ledger).ListPendingApprovals(request, timeout=DEADLINE_SECONDS)
    assert [each.conversion_id for each in page.approvals] == ["c0"]
    assert page.next_page_token
    assert await pending(ledger, program) == [f"c{n}" for n in range(5)]


async def test_an_approval_is_given_once(ledger: Ledger, published: Published, moved_clock: ManualClock) -> None:
    program = await published(held(approval=True))
    orders = [recorded(program, f"c{number}", 1000) for number in range(5)]
    await ledger.settle(message(*orders, recorded(program, "other", 1000, event_type="visit")))
    assert await pending(ledger, program) == await pending(ledger, program, page_size=2) == [f"c{n}" for n in range(5)]
    for _ in range(2):
        rewards = await approve(ledger, program, "c1")
    assert not any(each.awaits_approval for each in rewards)
    assert await pending(ledger, program) == ["c0", "c2", "c3", "c4"]
    await release_all(ledger)
    assert [each.state for each in await approve(ledger, program, "c1")] == [AVAILABLE] * 3
    for call, reason in (
        (reject(ledger, program, "c1"), "APPROVED"),
        (approve(ledger, program, "other"), "NOTHING_WAITS"),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
        assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
        assert reason.encode() in dict(caught.value.trailing_metadata())["grpc-status-details-bin"]
    for wanted in ((program, "nothing"), ("nowhere", "c1")):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await approve(ledger, *wanted)
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_what_is_refused_is_gone_whatever_is_taken_back(
    ledger: Ledger, published: Published, moved_clock: ManualClock, servers: Servers
) -> None:
    program = await published(held(approval=True))
    await ledger.settle(message(recorded(program, "c1", 1000), reversed_(program, "c1", "r1", 300)))
    for reason in ("not a company", "on second thoughts"):
        rewards = await reject(ledger, program, "c1", reason)
    assert {(each.state, each.net_minor, each.rejection_reason) for each in rewards} == {(REJECTED, 0, "not a company")}
    assert await pending(ledger, program) == []
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await approve(ledger, program, "c1")
    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    await ledger.settle(message(reversed_(program, "c1", "r2", 700, completes=True, minutes_later=2)))
    await release_all(ledger)
    assert await ledger.wallet(program, "maria") == {"USD": (0, 0)}
    assert [each.kind for each in await ledger.transfers(program, "maria")] == [5, 3, 1]
    assert (await ledger.audit(program)).balanced
    assert (await rebuilt(servers, program)).differences == []


async def test_a_refund_takes_from_what_waits(
    ledger: Ledger, published: Published, moved_clock: ManualClock, servers: Servers
) -> None:
    program = await published(held(until_event="confirmed"))
    await ledger.settle(message(recorded(program, "c1", 1000), recorded(program, "c2", 1000)))
    await ledger.settle(
        message(reversed_(program, "c1", "r1", 400), reversed_(program, "c2", "r2", 1000, completes=True))
    )
    assert await ledger.wallet(program, "maria") == {"USD": (30, 0)}
    await ledger.settle(message(event(program, "e1")))
    await release_all(ledger)
    assert await ledger.wallet(program, "maria") == {"USD": (0, 30)}
    await ledger.settle(message(reversed_(program, "c1", "r3", 600, completes=True, minutes_later=90)))
    assert await ledger.wallet(program, "maria") == {"USD": (0, 0)}
    assert (await ledger.audit(program)).balanced
    assert (await rebuilt(servers, program)).differences == []


async def test_orders_events_refunds_and_words_at_once(
    ledger: Ledger, published: Published, moved_clock: ManualClock
) -> None:
    """Whichever of an order and its event is settled first, the other finds it."""
    program = await published(held(until_event="confirmed", approval=True))
    moved_clock.set(NOON + 2 * HOUR)
    names = [f"c{number}" for number in range(40)]
    buyers = {name: f"b{number % 7}" for number, name in enumerate(names)}

    async def is_approved(name: str) -> bool:
        try:
            await approve(ledger, program, name)
        except grpc.aio.AioRpcError as error:
            if error.code() not in {grpc.StatusCode.NOT_FOUND, grpc.StatusCode.UNAVAILABLE}:
                raise
            return False  # it is not there yet, or forty callers at once were too many: a caller repeats the call
        return True

    async def word(name: str) -> None:
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not await is_approved(name):
                await asyncio.sleep(0.01)

    work: list[Awaitable[None]] = []
    for name in names:  # beside one another, so that they meet
        work += [
            ledger.settle(message(recorded(program, name, 1000, buyer=buyers[name]))),
            ledger.settle(message(event(program, f"e-{name}", target=name, buyer=buyers[name]))),
            ledger.settle(message(reversed_(program, name, f"r-{name}", 100))),
            word(name),
        ]
    await asyncio.gather(*work, release_all(ledger), release_all(ledger))
    async with asyncio.timeout(DEADLINE_SECONDS):  # the service's own job may be at some of it
        while await ledger.wallet(program, "maria") != {"USD": (0, 40 * 45)}:
            await release_all(ledger)
    assert (await ledger.audit(program)).balanced


async def test_a_conversion_and_its_event_wait_for_one_another(
    ledger: Ledger, published: Published, moved_clock: ManualClock, servers: Servers
) -> None:
    """In two transactions at once, neither would see the other, and the reward would be held for ever."""
    program = await published(held(until_event="confirmed"))
    async with await psycopg.AsyncConnection.connect(servers.postgres.url) as conn:
        await conn.execute("SELECT pg_advisory_xact_lock(hashtextextended('tally:' || %s, 0))", [program])
        work = [
            asyncio.create_task(ledger.settle(message(each)))
            for each in (recorded(program, "c1", 1000), event(program, "e1"))
        ]
        async with asyncio.timeout(DEADLINE_SECONDS):
            while True:
                cursor = await conn.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
                if await cursor.fetchone() == (1,):  # the other waits in the process, for its turn
                    break
                assert not any(each.done() for each in work)
                await asyncio.sleep(0.01)
    await asyncio.gather(*work)
    async with asyncio.timeout(DEADLINE_SECONDS):
        while await ledger.wallet(program, "maria") != {"USD": (0, 50)}:
            await release_all(ledger)
