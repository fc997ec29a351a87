"""The main job: somebody buys, everyone above the buyer earns on the ledger and hears of it once."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from upline.attribution.v1 import conversion_pb2, participant_pb2
from upline.notify.v1 import notify_pb2
from upline.rewards.v1 import reward_pb2

from chassis.clock import ManualClock
from tests.e2e.conftest import OpenProgram
from tests.e2e.world import World
from tests.flow import becomes

PAGE = "https://coffee.example/menu"
EARNED = notify_pb2.NOTIFICATION_KIND_REWARD_EARNED
HELD = notify_pb2.NOTIFICATION_KIND_REWARD_HELD
RELEASED = notify_pb2.NOTIFICATION_KIND_REWARD_RELEASED
REVERSED = notify_pb2.NOTIFICATION_KIND_REWARD_REVERSED

Told = list[tuple[notify_pb2.NotificationKind.ValueType, str, int]]


async def enrol_family(world: World, *, record_sign_up: bool = False) -> None:
    """olga invites maria by a code, maria invites vera by a link."""
    await world.enrol("olga")
    maria = await world.enrol("maria", code=await world.code("olga"), record_sign_up=record_sign_up)
    token = await world.click("maria", PAGE)
    vera = await world.enrol("vera", click_token=token, record_sign_up=record_sign_up)
    assert (maria.binding.sponsor_id, maria.binding.source) == ("olga", participant_pb2.BIND_SOURCE_CODE)
    assert (vera.binding.sponsor_id, vera.binding.source) == ("maria", participant_pb2.BIND_SOURCE_CLICK)


async def told(world: World, participant_id: str) -> Told:
    """(kind, conversion, sum) of every entry, oldest first."""
    return [
        (each.kind, each.conversion_id, sum(amount.amount_minor for amount in each.amounts))
        for each in await world.inbox(participant_id)
    ]


@contextmanager
def later(clock: ManualClock, span: timedelta) -> Iterator[None]:
    """The services live `span` later inside."""
    before = clock.now()
    clock.set(before + span)
    try:
        yield
    finally:
        clock.set(before)


async def test_everyone_above_the_buyer_earns_and_is_told_once_in_his_language(opened: OpenProgram) -> None:
    world = await opened("uds.yaml")
    await enrol_family(world)
    await world.speaks("olga", "en")
    await world.calls("vera", "Вера")
    async with world.watching("maria") as watch:
        bought = await world.buy("order-1", "vera", 100_000)
        live = (await watch.message()).entry
    await world.drained()

    assert (bought.attribution.referrer_id, bought.attribution.reason) == (
        "maria",
        conversion_pb2.ATTRIBUTION_REASON_BOUND,
    )
    assert await world.wallets("vera", "maria", "olga") == [
        {"points": (0, 5_000)},
        {"points": (3_000, 0)},
        {"points": (1_000, 0)},
    ]
    assert await told(world, "vera") == [(EARNED, "order-1", 5_000)]
    assert await told(world, "maria") == [(HELD, "order-1", 3_000)]
    assert await told(world, "olga") == [(HELD, "order-1", 1_000)]

    (russian,), (english,) = await world.inbox("maria"), await world.inbox("olga")
    assert live == russian
    assert (russian.locale, russian.level, russian.buyer_id) == ("ru", 1, "vera")
    assert (english.locale, english.level, english.buyer_id) == ("en", 2, "vera")
    assert russian.title.startswith("Скоро: +30")
    assert english.title.startswith("Soon: +10")
    assert "Вера, 1-й уровень" in russian.body
    assert "a friend, level 2" in english.body
    assert await world.audit() == []


async def test_a_refund_in_two_parts_empties_every_wallet_and_everyone_is_told(opened: OpenProgram) -> None:
    world = await opened("uds.yaml")
    await enrol_family(world)
    await world.buy("order-1", "vera", 99_999)
    first = await world.refund("refund-1", "order-1", 33_333)
    await world.drained()
    assert (first.amount_minor, first.completes) == (33_333, False)
    # What is left is 666.66 roubles: 5, 3 and 1 % of it, half to even.
    assert await world.wallets("vera", "maria", "olga") == [
        {"points": (0, 3_333)},
        {"points": (2_000, 0)},
        {"points": (667, 0)},
    ]
    second = await world.refund("refund-2", "order-1")
    await world.drained()
    assert (second.amount_minor, second.completes) == (66_666, True)
    assert await world.wallets("vera", "maria", "olga") == [{"points": (0, 0)}] * 3
    assert await told(world, "vera") == [
        (EARNED, "order-1", 5_000),
        (REVERSED, "order-1", 1_667),
        (REVERSED, "order-1", 3_333),
    ]
    assert await told(world, "maria") == [
        (HELD, "order-1", 3_000),
        (REVERSED, "order-1", 1_000),
        (REVERSED, "order-1", 2_000),
    ]
    assert await told(world, "olga") == [
        (HELD, "order-1", 1_000),
        (REVERSED, "order-1", 333),
        (REVERSED, "order-1", 667),
    ]
    assert await world.audit() == []


async def test_a_refund_that_comes_before_its_order_waits_for_it(opened: OpenProgram) -> None:
    world = await opened("uds.yaml")
    await enrol_family(world)
    early = await world.refund("refund-1", "order-1", 40_000)
    assert early.pending
    await world.drained()
    assert await told(world, "vera") == []
    await world.buy("order-1", "vera", 100_000)
    await world.drained()
    assert await world.wallets("vera", "maria", "olga") == [
        {"points": (0, 3_000)},
        {"points": (1_800, 0)},
        {"points": (600, 0)},
    ]
    assert await told(world, "maria") == [(HELD, "order-1", 3_000), (REVERSED, "order-1", 1_200)]
    assert await world.audit() == []


async def test_a_sponsor_earns_when_somebody_signs_up_on_his_recommendation(opened: OpenProgram) -> None:
    world = await opened("uds.yaml")
    await enrol_family(world, record_sign_up=True)
    await world.drained()
    assert await world.wallets("vera", "maria", "olga") == [
        {"points": (0, 0)},
        {"points": (0, 10_000)},
        {"points": (0, 10_000)},
    ]
    assert await told(world, "vera") == []
    assert await told(world, "maria") == [(EARNED, "sign_up:vera", 10_000)]
    assert await told(world, "olga") == [(EARNED, "sign_up:maria", 10_000)]


async def test_every_reward_is_explained_to_the_last_unit(opened: OpenProgram) -> None:
    world = await opened("uds.yaml")
    await enrol_family(world)
    await world.buy("order-1", "vera", 31_750)
    await world.refund("refund-1", "order-1", 10_000)
    await world.drained()
    rewards = [each for person in ("vera", "maria", "olga") for each in await world.rewards_of(person)]
    assert [(each.rule_id, each.level, each.amount_minor, each.net_minor) for each in rewards] == [
        ("cashback", 0, 1_588, 1_088),  # 1,587.5 and 1,087.5, to the even neighbour
        ("upline", 1, 952, 652),  # 952.5 and 652.5
        ("upline", 2, 318, 218),  # 317.5 and 217.5
    ]
    for reward in rewards:
        english = await world.explain_reward(reward.reward_id)
        russian = await world.explain_reward(reward.reward_id, "ru")
        assert english.derivation.amount_minor == reward.amount_minor
        assert english.derivation.base_minor == 31_750
        assert english.current.amount_minor == reward.net_minor
        assert english.current.base_minor == 21_750
        assert [each.delta_minor for each in english.revisions] == [reward.net_minor - reward.amount_minor]
        assert english.derivation.sentence
        assert russian.derivation.sentence
        assert english.derivation.sentence != russian.derivation.sentence


async def test_an_order_without_an_upline_is_kept_and_explained(opened: OpenProgram) -> None:
    world = await opened("three-levels.yaml")
    bought = await world.buy("order-1", "nina", 50_000)
    await world.drained()
    assert (bought.attribution.referrer_id, bought.attribution.reason) == (
        "",
        conversion_pb2.ATTRIBUTION_REASON_NO_TOUCH,
    )
    explained = await world.explain_conversion("order-1")
    assert [each.outcome for each in explained.derivations] == [reward_pb2.OUTCOME_NO_ANCESTOR] * 3
    assert (explained.plan_version, explained.remaining_minor) == (1, 50_000)
    assert explained.sentence
    totals = await world.totals()
    assert (totals.conversion_count, totals.gross_minor) == (1, 50_000)
    assert await told(world, "nina") == []


async def test_a_buyer_bound_for_life_pays_his_upline_long_after_the_window(
    opened: OpenProgram, clock: ManualClock
) -> None:
    world = await opened("three-levels.yaml")
    await world.enrol("olga")
    await world.enrol("maria", code=await world.code("olga"))
    token = await world.click("maria", "https://shop.example/")
    late_token = await world.click("maria", "https://shop.example/")
    first = await world.buy("order-1", "vera", 10_000, click_token=token)
    assert first.attribution.reason == conversion_pb2.ATTRIBUTION_REASON_CLICK
    with later(clock, timedelta(days=31)):
        bound = await world.buy("order-2", "vera", 20_000)
        stranger = await world.buy("order-3", "nina", 40_000, click_token=late_token)
        await world.drained()
    assert (bound.attribution.referrer_id, bound.attribution.reason) == (
        "maria",
        conversion_pb2.ATTRIBUTION_REASON_BOUND,
    )
    assert (stranger.attribution.referrer_id, stranger.attribution.reason) == (
        "",
        conversion_pb2.ATTRIBUTION_REASON_WINDOW_PASSED,
    )
    assert await world.wallets("maria", "olga") == [{"USD": (0, 500 + 1_000)}, {"USD": (0, 200 + 400)}]


async def test_rewards_on_hold_are_released_when_the_time_for_returns_is_over(
    opened: OpenProgram, clock: ManualClock
) -> None:
    world = await opened("uds.yaml")
    await enrol_family(world)
    await world.buy("order-1", "vera", 100_000)
    await world.buy("order-2", "vera", 10_000)
    await world.refund("refund-2", "order-2")
    await world.drained()
    with later(clock, timedelta(days=14)):
        await becomes(lambda: world.wallets("maria", "olga"), [{"points": (0, 3_000)}, {"points": (0, 1_000)}])
        await world.drained()
        # Taken back after the release, from what is available.
        await world.refund("refund-1", "order-1", 50_000)
        await world.drained()
    assert await world.wallets("maria", "olga") == [{"points": (0, 1_500)}, {"points": (0, 500)}]
    assert await told(world, "maria") == [
        (HELD, "order-1", 3_000),
        (HELD, "order-2", 300),
        (REVERSED, "order-2", 300),
        (RELEASED, "order-1", 3_000),
        (REVERSED, "order-1", 1_500),
    ]
    assert await world.audit() == []


async def test_a_batch_of_orders_through_one_root_tells_him_of_each(opened: OpenProgram) -> None:
    world = await opened("three-levels.yaml")
    await world.enrol("root")
    wanted = {f"order-{n}": (1_000 + n) * 5 // 100 for n in range(1_000)}
    await world.enrol_all(
        [participant_pb2.ParticipantDraft(participant_id=f"b{n}", sponsor_id="root") for n in range(1_000)]
    )
    await world.record([world.order(f"order-{n}", f"b{n}", 1_000 + n) for n in range(1_000)])
    await world.drained()
    entries = await world.inbox("root")
    assert len(entries) == len(wanted)
    assert {each.conversion_id: each.amounts[0].amount_minor for each in entries} == wanted
    assert await world.wallet("root") == {"USD": (0, sum(wanted.values()))}
