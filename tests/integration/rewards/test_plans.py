"""Publishing plans."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

import grpc
import pytest
from upline.rewards.v1 import plan_pb2, wallet_pb2

from chassis.clock import ManualClock
from chassis.times import to_timestamp
from tests.errors import violated_fields
from tests.integration.rewards.conftest import Ledger, Published, message, recorded, three_levels
from tests.running import DEADLINE_SECONDS
from tests.unit.rewards.plans import counter


async def test_the_same_plan_is_not_published_twice(ledger: Ledger, published: Published) -> None:
    program = await published(three_levels())
    assert (await ledger.publish(program, three_levels())).version == 1
    changed = three_levels()
    changed.rounding = plan_pb2.ROUNDING_MODE_HALF_UP
    assert (await ledger.publish(program, changed)).version == 2
    answer = await ledger.plans.ListPlans(plan_pb2.ListPlansRequest(program_id=program, page_size=1), timeout=10)
    assert [each.version for each in answer.plan_versions] == [2]
    rest = await ledger.plans.ListPlans(
        plan_pb2.ListPlansRequest(program_id=program, page_size=1, page_token=answer.next_page_token), timeout=10
    )
    assert [each.version for each in rest.plan_versions] == [1]
    assert not rest.next_page_token


async def test_a_tier_is_published_under_either_name_and_answered_under_both(
    ledger: Ledger, published: Published
) -> None:
    by_bound = three_levels()
    by_bound.counters.append(counter("sales", plan_pb2.MEASURE_CONVERSIONS))
    tier = plan_pb2.Tier(bound=3, factor="2")
    by_bound.rules[0].tiers.CopyFrom(plan_pb2.Tiers(counter="sales", mode=plan_pb2.TIER_MODE_NEXT, tiers=[tier]))
    program = await published(by_bound)
    answer = await ledger.plans.GetPlan(plan_pb2.GetPlanRequest(program_id=program), timeout=10)
    (told,) = answer.plan_version.plan.rules[0].tiers.tiers
    assert (told.bound, getattr(told, "from")) == (3, 3)
    assert (await ledger.publish(program, answer.plan_version.plan)).version == 1
    by_from = three_levels()
    by_from.CopyFrom(by_bound)
    (old,) = by_from.rules[0].tiers.tiers
    old.ClearField("bound")
    setattr(old, "from", 3)
    assert (await ledger.publish(program, by_from)).version == 1


async def test_a_request_id_is_answered_once(ledger: Ledger, new_program_id: Callable[[str], str]) -> None:
    program = new_program_id("plans")
    first = await ledger.publish(program, three_levels(), request_id=f"{program}-once")
    again = await ledger.publish(program, three_levels(), request_id=f"{program}-once")
    assert first == again
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await ledger.publish(program, three_levels(timedelta(days=1)), request_id=f"{program}-once")
    assert caught.value.code() is grpc.StatusCode.ALREADY_EXISTS


async def test_a_conversion_is_paid_by_the_version_of_its_time(
    ledger: Ledger, published: Published, clock: ManualClock
) -> None:
    program = await published(three_levels())
    richer = three_levels()
    richer.rules[0].amount.per_level.percents[:] = ["50", "20", "10"]
    later = clock.now() + timedelta(days=1)
    await ledger.publish(program, richer, effective_time=to_timestamp(later))
    await ledger.settle(
        message(
            recorded(program, "before", 1000, occurred_at=later - timedelta(microseconds=1), record_time=later),
            recorded(program, "after", 1000, occurred_at=later, record_time=later),
        )
    )
    assert await ledger.available(program, "maria") == [50 + 500]


async def test_a_clock_that_is_ahead_gets_no_terms_of_the_future(
    ledger: Ledger, published: Published, clock: ManualClock
) -> None:
    program = await published(three_levels())
    richer = three_levels()
    richer.rules[0].amount.per_level.percents[:] = ["50", "20", "10"]
    later = clock.now() + timedelta(days=1)
    await ledger.publish(program, richer, effective_time=to_timestamp(later))
    just_before = later - timedelta(microseconds=1)
    # Recorded before the version takes effect, and settled after it: by when it happens to be settled nothing may be
    # decided.
    await ledger.settle(
        message(
            recorded(program, "ahead", 1000, occurred_at=later + timedelta(minutes=5), record_time=just_before),
            recorded(program, "late", 1000, occurred_at=just_before, record_time=later + timedelta(days=1)),
        )
    )
    assert await ledger.available(program, "maria") == [50 + 50]


async def test_versions_may_not_overlap(ledger: Ledger, published: Published, clock: ManualClock) -> None:
    program = await published(three_levels())
    later = clock.now() + timedelta(days=2)
    await ledger.publish(program, three_levels(timedelta(days=1)), effective_time=to_timestamp(later))
    for moment, reason in [
        (clock.now() + timedelta(days=1), "takes effect"),
        (later, "takes effect"),
        (clock.now() - timedelta(days=1), "in the past"),
    ]:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await ledger.publish(program, three_levels(timedelta(days=3)), effective_time=to_timestamp(moment))
        assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
        assert reason in (caught.value.details() or "")
        assert violated_fields(caught.value) == ["effective_time"]


async def test_publishers_at_once_make_one_version_each(ledger: Ledger, published: Published) -> None:
    program = await published(three_levels())
    plans = [three_levels(timedelta(days=days)) for days in range(1, 9)]
    versions = await asyncio.gather(*(ledger.publish(program, each) for each in plans), return_exceptions=True)
    numbers = sorted(each.version for each in versions if isinstance(each, plan_pb2.PlanVersion))
    # The test's clock stands still, so only one of them can take effect now; the others are refused as overlapping.
    assert numbers == [2]


async def test_a_bad_plan_names_its_fields_and_changes_nothing(ledger: Ledger, published: Published) -> None:
    program = await published(three_levels())
    bad = three_levels()
    bad.rules[0].asset = "EUR"
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await ledger.publish(program, bad)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert violated_fields(caught.value) == ["plan.rules[0].asset"]
    assert (
        len((await ledger.plans.ListPlans(plan_pb2.ListPlansRequest(program_id=program), timeout=10)).plan_versions)
        == 1
    )


async def test_contract_rules_are_told_by_field(ledger: Ledger) -> None:
    bad = three_levels()
    bad.rules[0].rule_id = "Not An Id"
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await ledger.publish("Not A Program", bad, currency_code="usd")
    assert violated_fields(caught.value) == ["program_id", "plan.rules[0].rule_id", "currency_code"]


async def test_the_currency_cannot_change(ledger: Ledger, published: Published) -> None:
    program = await published(three_levels())
    points_only = three_levels()
    points_only.assets[0].code, points_only.rules[0].asset = "EUR", "EUR"
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await ledger.publish(program, points_only, currency_code="EUR")
    assert violated_fields(caught.value) == ["currency_code"]


async def test_an_unknown_program_is_not_found(ledger: Ledger) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await ledger.wallets.GetWallet(
            wallet_pb2.GetWalletRequest(program_id="nowhere", participant_id="x"), timeout=DEADLINE_SECONDS
        )
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_a_call_without_a_deadline_is_refused(ledger: Ledger) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await ledger.wallets.GetWallet(wallet_pb2.GetWalletRequest(program_id="p", participant_id="x"))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "deadline" in (caught.value.details() or "")


async def test_a_page_token_of_another_query_is_refused(ledger: Ledger, published: Published) -> None:
    program = await published(three_levels())
    await ledger.settle(message(*(recorded(program, f"c{number}", 1000) for number in range(5))))
    request = wallet_pb2.ListTransfersRequest(program_id=program, participant_id="maria", page_size=2)
    seen = []
    while True:
        page = await ledger.wallets.ListTransfers(request, timeout=DEADLINE_SECONDS)
        seen += [each.transfer_id for each in page.transfers]
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert len(seen) == len(set(seen)) == 5
    request.participant_id = "olga"
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await ledger.wallets.ListTransfers(request, timeout=DEADLINE_SECONDS)
    assert violated_fields(caught.value) == ["page_token"]


async def test_who_publishes_is_told_what_is_suspicious_and_what_it_costs(
    ledger: Ledger, new_program_id: Callable[[str], str]
) -> None:
    plan = three_levels()
    plan.rules[0].amount.per_level.percents[:] = ["50", "40", "20"]
    check = plan_pb2.ValidatePlanRequest(plan=plan, currency_code="USD")
    answer = await ledger.plans.ValidatePlan(check, timeout=DEADLINE_SECONDS)
    assert [(each.code, each.field) for each in answer.warnings] == [("PAYS_MORE_THAN_THE_ORDER", "plan.rules")]
    assert [(each.event_type, each.order_percent) for each in answer.worst_cases] == [("order", "110")]
    request = plan_pb2.PublishPlanRequest(
        request_id=new_program_id("r"), program_id=new_program_id("plans"), plan=plan, currency_code="USD"
    )
    published = await ledger.plans.PublishPlan(request, timeout=DEADLINE_SECONDS)
    assert published.warnings == answer.warnings
    assert published.plan_version.version == 1
