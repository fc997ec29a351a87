"""Whole courses of facts through plans that count: limits hold, refunds and refusals leave nothing, what is independent
may come in any order."""

import random
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st
from upline.rewards.v1 import plan_pb2

from services.rewards.domain.conversion import Conversion, Reversal
from services.rewards.domain.plan.plan import Plan
from services.rewards.domain.settle.clawback import Revision
from services.rewards.domain.settle.holds import Rejection
from services.rewards.domain.settle.replay import Replay
from services.rewards.domain.tally.snapshot import from_json
from services.rewards.domain.tally.tallies import TallyKey
from services.rewards.wire.plans import read_plan
from tests.unit.rewards.plans import MOMENT, buyer, conversion, percent, points, rule, upline, usd

PEOPLE = tuple("abcdef")
KEPT_FOR_EVER = ("seen:", "forfeit:")
"""The tallies that a refund does not take back: how often something was recorded, and that a bonus was lost."""
LIFETIME, DAY = plan_pb2.PERIOD_LIFETIME, plan_pb2.PERIOD_DAY


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Plans of up to four rules that count in every way there is."""
    counters = [
        plan_pb2.Counter(
            counter_id=f"c{index}",
            on=["order"],
            of=draw(st.sampled_from([buyer(), upline(1, 2)])),
            measure=measure,
            period=draw(st.sampled_from([LIFETIME, DAY])),
        )
        for index, measure in enumerate(
            [plan_pb2.MEASURE_CONVERSIONS, plan_pb2.MEASURE_VOLUME, plan_pb2.MEASURE_REFEREES]
        )
    ]
    made = plan_pb2.Plan(assets=[usd(), points()], counters=counters, rounding=draw(st.integers(1, 3)))
    for index in range(draw(st.integers(1, 4))):
        made.rules.append(draw(rules(index)))
    for index in range(draw(st.integers(0, 2))):
        made.budgets.add(
            budget_id=f"b{index}",
            asset=draw(st.sampled_from(["USD", "points"])),
            amount_minor=draw(st.integers(1, 3_000)),
            period=draw(st.sampled_from([LIFETIME, DAY])),
            overflow=draw(st.integers(0, 2)),
        )
    return read_plan("shop", 1, "USD", made, None)


@st.composite
def rules(draw: st.DrawFn, index: int) -> plan_pb2.Rule:
    """One rule."""
    to = draw(st.sampled_from([buyer(), upline(1, 1), upline(1, 3)]))
    made = rule(
        f"r{index}",
        to=to,
        asset=draw(st.sampled_from(["USD", "points"])),
        amount=percent(draw(st.sampled_from(["10", "33.3", "0.7"]))),
    )
    if draw(st.booleans()):
        made.amount.fixed.amount_minor = draw(st.integers(1, 300))
    kind = draw(st.sampled_from(["", "next", "marginal", "bonus", "first", "nth"]))
    if kind == "bonus":
        made.ClearField("amount")
        _tiers(draw, made, plan_pb2.TIER_MODE_BONUS, draw(st.integers(0, 2)))
    elif kind == "next" and made.amount.WhichOneof("how") == "percent":
        _tiers(draw, made, plan_pb2.TIER_MODE_NEXT, draw(st.integers(0, 2)))
    elif kind == "marginal" and made.amount.WhichOneof("how") == "percent":
        _tiers(draw, made, plan_pb2.TIER_MODE_MARGINAL, 1)
    elif kind in ("first", "nth"):
        setattr(made.occurrence, kind, draw(st.integers(1, 3)))
    for _ in range(draw(st.integers(0, 2))):
        scope = draw(st.integers(1, 4))
        made.caps.add(
            scope=scope, amount_minor=draw(st.integers(1, 500)), overflow=draw(st.integers(0, 2)),
            period=draw(st.sampled_from([LIFETIME, DAY])) if scope != plan_pb2.CAP_SCOPE_REWARD else 0,
        )  # fmt: skip
    if to.WhichOneof("who") == "upline" and draw(st.booleans()):
        made.share.percent = draw(st.sampled_from(["50", "33.333333", "100"]))
    if kind != "bonus":
        made.group = draw(st.sampled_from(["", "", "g"]))
    if draw(st.booleans()):
        made.hold.approval = True
    return made


def _tiers(draw: st.DrawFn, made: plan_pb2.Rule, mode: int, counter: int) -> None:
    made.tiers.counter, made.tiers.mode = f"c{counter}", mode
    unit = 1_000 if counter == 1 else 1
    for number in range(draw(st.integers(1, 3))):
        step = made.tiers.tiers.add(bound=(2 * number + 1) * unit)
        if mode == plan_pb2.TIER_MODE_BONUS:
            step.amount_minor = 100 * (number + 1)
        else:
            step.percent = str(20 + 10 * number)


@dataclass(frozen=True)
class Told:
    """A conversion, or a refund of one, or that a person rejects what waits for approval of one."""

    conversion: Conversion
    reversal: Reversal | None = None
    is_rejection: bool = False

    @property
    def is_new(self) -> bool:
        """Whether it is the conversion itself."""
        return self.reversal is None and not self.is_rejection


@st.composite
def histories(draw: st.DrawFn, *, whole: bool = False) -> list[Told]:
    """Orders and refunds and refusals behind them, mixed; `whole`: nothing is left of any order in the end."""
    chance = random.Random(draw(st.integers(0, 10**6)))
    lanes: list[list[Told]] = []
    for number in range(draw(st.integers(1, 12))):
        people = chance.sample(PEOPLE, chance.randint(1, 4))
        moment = MOMENT + timedelta(hours=chance.choice([0, 1, 30]))
        made = conversion(
            chance.choice([0, 1, 999, 2_500]),
            conversion_id=f"o{number}",
            buyer_id=people[0],
            upline=tuple(people[1:]),
            occurred_at=moment,
            record_time=moment,
        )
        lane, left = [Told(made)], made.amount_minor
        parts = chance.randint(0, 3)
        for part in range(parts):
            last = whole and part == parts - 1
            taken = left if last or chance.random() < 0.3 else chance.randint(0, left)
            if (taken == 0 and made.amount_minor) or (left == 0 and part):
                continue
            left -= taken
            lane.append(
                Told(
                    made,
                    Reversal(
                        "shop",
                        f"r{number}-{part}",
                        made.conversion_id,
                        taken,
                        left == 0,
                        moment + timedelta(minutes=part + 1),
                    ),
                )
            )
        if whole and (left or len(lane) == 1):
            lane.append(
                Told(
                    made, Reversal("shop", f"w{number}", made.conversion_id, left, True, moment + timedelta(minutes=9))
                )
            )
        if chance.random() < 0.4:
            lane.insert(chance.randint(1, len(lane)), Told(made, is_rejection=True))
        lanes.append(lane)
    mixed = []
    while lanes:
        lane = chance.choice(lanes)
        mixed.append(lane.pop(0))
        lanes = [each for each in lanes if each]
    return mixed


class Books:
    """The sums of rewards, by everything that matters."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.replay = Replay()
        self.net: Counter[str] = Counter()
        self.owners: dict[str, tuple[str, str]] = {}
        """(participant, asset) of rewards."""

    def take(self, told: Told) -> None:
        """Settles one fact."""
        if told.is_rejection:
            self._revise(self.replay.reject(told.conversion, self._rejection(told.conversion)))
        elif told.reversal is None:
            accrual, snapshot = self.replay.decide(self.plan, told.conversion, 0, to_be_revised=True)
            assert snapshot is None or from_json(snapshot.to_json()) == snapshot
            for each in accrual.rewards:
                assert each.reward_id not in self.owners
                self.net[each.reward_id] = each.amount_minor
                self.owners[each.reward_id] = (each.beneficiary_id, each.asset)
        else:
            self._revise(self.replay.take_back(told.conversion, told.reversal, 0))

    def _rejection(self, order: Conversion) -> Rejection:
        rule_ids = tuple(each.rule_id for each in self.plan.rules if each.hold and each.hold.approval)
        return Rejection("shop", order.conversion_id, rule_ids, order.record_time + timedelta(minutes=5))

    def _revise(self, revisions: Iterable[Revision]) -> None:
        for revision in revisions:
            self.net[revision.reward.reward_id] += revision.delta_minor
            assert self.net[revision.reward.reward_id] >= 0

    def wallets(self) -> dict[tuple[str, str], int]:
        """The balances of everybody."""
        sums: Counter[tuple[str, str]] = Counter()
        for reward_id, minor in self.net.items():
            sums[self.owners[reward_id]] += minor
        return {key: minor for key, minor in sums.items() if minor}

    def tallies(self) -> dict[TallyKey, int]:
        """The counted tallies."""
        return {key: value for key, value in self.replay.tallies.changes.items() if value}


@given(plans(), histories())
def test_no_limit_is_ever_exceeded_and_none_leaks(plan: Plan, history: list[Told]) -> None:
    books = Books(plan)
    for told in history:
        books.take(told)
        for key, used in books.tallies().items():
            assert used >= 0, key
            kind, _, rest = key[0].partition(":")
            if kind == "budget":
                assert used <= next(each.amount_minor for each in plan.budgets if each.budget_id == rest)
            elif kind == "cap":
                limits = [each for made in plan.rules for each in made.caps if each.name == key[0]]
                assert used <= limits[0].amount_minor
    for budget in plan.budgets:
        used = sum(value for key, value in books.tallies().items() if key[0] == budget.name)
        assert used == sum(minor for (_, asset), minor in books.wallets().items() if asset == budget.asset)


@given(plans(), histories(whole=True))
def test_refunds_of_everything_leave_nothing(plan: Plan, history: list[Told]) -> None:
    books = Books(plan)
    for told in history:
        books.take(told)
    assert books.wallets() == {}
    assert [key for key in books.tallies() if not key[0].startswith(KEPT_FOR_EVER)] == []


@given(plans(), histories(), st.randoms(use_true_random=False))
def test_refunds_and_refusals_may_come_in_any_order(plan: Plan, history: list[Told], chance: random.Random) -> None:
    orders = [each for each in history if each.is_new]
    refunds = [each for each in history if not each.is_new]
    ends = []
    for _ in range(2):
        books = Books(plan)
        for told in (*orders, *refunds):
            books.take(told)
        ends.append((books.wallets(), books.tallies()))
        chance.shuffle(refunds)
    assert ends[0] == ends[1]


@given(plans(), histories(), st.randoms(use_true_random=False))
def test_strangers_do_not_matter_to_one_another(plan: Plan, history: list[Told], chance: random.Random) -> None:
    """Without limits that all share, the facts of people who have nothing to do with others come in any order."""
    shared = [each for each in plan.rules if any(cap.scope.value == "program" for cap in each.caps)]
    alone = replace(
        plan,
        budgets=(),
        rules=tuple(each for each in plan.rules if each not in shared),
    )
    worlds = [history, [_renamed(told) for told in history]]
    one_by_one, mixed = Books(alone), Books(alone)
    for told in (*worlds[0], *worlds[1]):
        one_by_one.take(told)
    while any(worlds):
        world = chance.choice([each for each in worlds if each])
        mixed.take(world.pop(0))
    assert one_by_one.wallets() == mixed.wallets()
    assert one_by_one.tallies() == mixed.tallies()


def _renamed(told: Told) -> Told:
    """A copy of the fact, about other people."""
    made = told.conversion
    other = replace(
        made,
        conversion_id=f"x{made.conversion_id}",
        buyer_id=made.buyer_id.upper(),
        upline=tuple(each.upper() for each in made.upline),
    )
    if told.reversal is None:
        return Told(other, is_rejection=told.is_rejection)
    reversal = replace(told.reversal, reversal_id=f"x{told.reversal.reversal_id}", conversion_id=other.conversion_id)
    return Told(other, reversal)


@given(plans(), histories())
def test_counters_are_what_is_left(plan: Plan, history: list[Told]) -> None:
    """Counted anew from what is left of the orders, they are the same."""
    books = Books(plan)
    left: dict[str, int] = {}
    gone: set[str] = set()
    orders = {each.conversion.conversion_id: each.conversion for each in history}
    for told in history:
        books.take(told)
        name = told.conversion.conversion_id
        if told.is_new:
            left[name] = told.conversion.amount_minor
        elif told.reversal is not None:
            left[name] -= told.reversal.amount_minor
            if told.reversal.completes:
                gone.add(name)
    expected: defaultdict[tuple[str, str, str], set[str] | int] = defaultdict(int)
    heads: defaultdict[tuple[str, str, str], set[str]] = defaultdict(set)
    for name, minor in left.items():
        order = orders[name]
        if name in gone:
            continue
        for made in plan.counters.values():
            day = order.occurred_at.date().isoformat() if made.period.value == "day" else ""
            for person in made.of.people(order, ""):
                key = (f"counter:{made.counter_id}", person, day)
                if made.measure.value == "referees":
                    heads[key].add(order.buyer_id)
                else:
                    expected[key] += minor if made.measure.value == "volume" else 1
    wanted = {key: value for key, value in expected.items() if value} | {key: len(each) for key, each in heads.items()}
    assert {key: value for key, value in books.tallies().items() if key[0].startswith("counter:")} == wanted


@given(plans(), histories(), st.randoms(use_true_random=False))
def test_a_refusal_gives_back_the_room_and_leaves_what_is_counted(
    plan: Plan, history: list[Told], chance: random.Random
) -> None:
    """Caps and budgets are used by what is left of rewards only; all else is as if nobody had said no."""
    books, nobody_said_no = Books(plan), Books(plan)
    order = chance.choice(history).conversion
    told = Told(order, is_rejection=True)
    facts = [each for each in history if each.conversion is order and not each.is_rejection]
    facts.insert(chance.randint(1, len(facts)), told)
    for each in facts:
        books.take(each)
        if each is not told:
            nobody_said_no.take(each)
    refused = {each.rule_id for each in plan.rules if each.hold and each.hold.approval}
    for reward_id, (_, _) in books.owners.items():
        rule = plan.rules[int(reward_id[28:30], 16)]
        expected = 0 if rule.rule_id in refused else nobody_said_no.net[reward_id]
        assert books.net[reward_id] == expected
    room = ("cap:", "budget:")
    for key in books.tallies().keys() | nobody_said_no.tallies().keys():
        if not key[0].startswith(room):
            assert books.tallies().get(key, 0) == nobody_said_no.tallies().get(key, 0)
        else:
            assert 0 <= books.tallies().get(key, 0) <= nobody_said_no.tallies().get(key, 0)
        if key[0].startswith("cap:") and key[0].split(":")[1] in refused:
            assert books.tallies().get(key, 0) == 0
