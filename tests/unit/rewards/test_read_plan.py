"""Every mistake in a plan is named by rule and field."""

from datetime import timedelta

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from upline.rewards.v1 import plan_pb2
from upline.type.v1 import asset_pb2

from chassis.errors import UplineError
from services.rewards.domain.ledger import MAX_AMOUNT_MINOR
from services.rewards.domain.plan.hold import Hold
from services.rewards.domain.plan.plan import MAX_ASSET_MINOR_PER_BASE_MINOR
from services.rewards.wire.plans import as_answered, as_stored, read_plan
from tests.unit.rewards.plans import buyer, counter, fixed, percent, plan, points, rule, tiers, upline, usd


def violations(
    *rules: plan_pb2.Rule, assets: list[asset_pb2.Asset] | None = None, currency: str = "USD"
) -> dict[str, str]:
    """field → description of what is wrong with a plan."""
    with pytest.raises(UplineError) as caught:
        read_plan("shop", 1, currency, plan_pb2.Plan(assets=assets or [usd(), points()], rules=rules), None)
    assert caught.value.reason == "INVALID_PLAN"
    return {each.field: each.description for each in caught.value.violations}


def per_level(**fields: object) -> plan_pb2.Amount:
    """An amount by level."""
    return plan_pb2.Amount(per_level=plan_pb2.PerLevelAmount(**fields))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        (rule(asset="gold"), "plan.rules[0].asset"),
        (rule(to=upline(3, 2)), "plan.rules[0].to.upline.to_level"),
        (rule(amount=percent("0")), "plan.rules[0].amount.percent.percent"),
        (rule(amount=percent("1000.1")), "plan.rules[0].amount.percent.percent"),
        (rule(amount=per_level()), "plan.rules[0].amount.per_level"),
        (rule(amount=per_level(percents=["1"], amounts_minor=[1])), "plan.rules[0].amount.per_level"),
        (rule(to=upline(1, 2), amount=per_level(percents=["1"])), "plan.rules[0].amount.per_level.percents"),
        (rule(amount=per_level(percents=["0"])), "plan.rules[0].amount"),
        (
            rule(amount=plan_pb2.Amount(geometric=plan_pb2.GeometricAmount(percent="1", ratio="0"))),
            "plan.rules[0].amount.geometric.ratio",
        ),
        (
            rule(
                to=upline(1, 64), amount=plan_pb2.Amount(geometric=plan_pb2.GeometricAmount(amount_minor=9, ratio="10"))
            ),
            "plan.rules[0].amount.geometric.ratio",
        ),
        (rule(hold=plan_pb2.Hold(duration=Duration(seconds=-5))), "plan.rules[0].hold.duration"),
        (rule(hold=plan_pb2.Hold(duration=Duration(seconds=3661 * 86_400))), "plan.rules[0].hold.duration"),
    ],
)
def test_a_mistake_in_a_rule_is_named(bad: plan_pb2.Rule, field: str) -> None:
    assert field in violations(bad)


def test_all_mistakes_are_told_at_once() -> None:
    assert set(violations(rule(asset="gold"), rule("b", amount=percent("0")), rule("b"))) == {
        "plan.rules[0].asset",
        "plan.rules[1].amount.percent.percent",
        "plan.rules[2].rule_id",
    }


def test_a_percentage_is_not_paid_in_another_currency() -> None:
    euro = asset_pb2.Asset(code="EUR", kind=asset_pb2.ASSET_KIND_MONEY)
    assert "plan.rules[0].amount.percent.percent" in violations(rule(asset="EUR"), assets=[euro])


def test_assets_are_checked() -> None:
    wrong = [
        asset_pb2.Asset(code="ZZZ", kind=asset_pb2.ASSET_KIND_MONEY),
        asset_pb2.Asset(code="PTS", kind=asset_pb2.ASSET_KIND_POINTS),
        points(per_unit="0"),
        points(),
        usd(),
    ]
    assert {
        "plan.assets[0].code",
        "plan.assets[1].code",
        "plan.assets[2].per_currency_unit",
        "plan.assets[3].code",
    } == set(violations(rule(), assets=wrong))


def test_an_unknown_currency_is_refused() -> None:
    assert "currency_code" in violations(rule(asset="points"), currency="QQQ")


def test_a_field_from_a_newer_contract_is_refused_not_ignored() -> None:
    message = plan_pb2.Plan(assets=[usd()], rules=[rule()])
    message.rules[0].MergeFromString(b"\xba\x06\x03cap")  # field 103
    with pytest.raises(UplineError) as caught:
        read_plan("shop", 1, "USD", message, None)
    assert caught.value.violations[0].field == "plan.rules[0]"
    assert "103" in caught.value.violations[0].description


def test_a_rate_that_could_leave_int64_is_refused() -> None:
    assets = [points(digits=6, per_unit="1000")]
    assert "plan.rules[0].amount.percent.percent" in violations(rule(asset="points"), assets=assets)


def test_a_hold_is_read() -> None:
    read = plan(rule(hold=plan_pb2.Hold(duration=Duration(seconds=86_400))))
    assert read.rules[0].hold == Hold(timedelta(days=1))


def test_a_plan_that_does_nothing_is_refused() -> None:
    assert "plan.rules" in violations(assets=[])


def test_a_contest_needs_no_rewards() -> None:
    friends = plan_pb2.Counter(counter_id="friends", on=["entry"], of=upline(1, 1), measure=plan_pb2.MEASURE_REFEREES)
    spring = plan_pb2.Contest(contest_id="spring", counter="friends")
    spring.start_time.FromJsonString("2026-03-01T00:00:00Z")
    spring.end_time.FromJsonString("2026-04-01T00:00:00Z")
    read = read_plan("shop", 1, "USD", plan_pb2.Plan(counters=[friends], contests=[spring]), None)
    assert (read.rules, [each.contest_id for each in read.contests]) == ((), ["spring"])


NEXT, MARGINAL, BONUS = plan_pb2.TIER_MODE_NEXT, plan_pb2.TIER_MODE_MARGINAL, plan_pb2.TIER_MODE_BONUS
EARNINGS = plan_pb2.AMOUNT_BASE_EARNINGS
REFEREES = plan_pb2.MEASURE_REFEREES
MUG = asset_pb2.Asset(code="mug", kind=asset_pb2.ASSET_KIND_GIFT, gift_sku="mug-1")


def mistakes(*rules: plan_pb2.Rule, **fields: object) -> dict[str, str]:
    """field → what is wrong with a plan that counts the sponsor's volume and referees."""
    return dict(all_mistakes(*rules, **fields))


def all_mistakes(*rules: plan_pb2.Rule, **fields: object) -> list[tuple[str, str]]:
    """Every mistake of a plan, as it is told."""
    counters = [counter(), counter("friends", REFEREES)]
    defaults = {"assets": [usd(), points(), MUG], "counters": counters, "rules": rules or [rule()]}
    with pytest.raises(UplineError) as caught:
        read_plan("shop", 1, "USD", plan_pb2.Plan(**(defaults | fields)), None)  # type: ignore[arg-type]
    return [(each.field, each.description) for each in caught.value.violations]


def prize(first: int, last: int, amount_minor: int = 5) -> plan_pb2.Prize:
    return plan_pb2.Prize(from_rank=first, to_rank=last, asset="USD", amount_minor=amount_minor)


def contest(**fields: object) -> plan_pb2.Contest:
    times = {"start_time": Timestamp(seconds=10), "end_time": Timestamp(seconds=20)}
    return plan_pb2.Contest(**({"contest_id": "spring", "counter": "volume"} | times | fields))  # type: ignore[arg-type]


def table(*rows: tuple[str, str], otherwise: str = "") -> plan_pb2.Amount:
    read = [plan_pb2.TableRow(value=value, percent=pays) for value, pays in rows]
    rest = plan_pb2.TableRow(value=otherwise, percent="1") if otherwise else None
    return plan_pb2.Amount(table=plan_pb2.TableAmount(by="sku", rows=read, otherwise=rest))


def lines_table(amount_minor: int) -> plan_pb2.Amount:
    return plan_pb2.Amount(table=plan_pb2.TableAmount(by="sku", otherwise=plan_pb2.TableRow(amount_minor=amount_minor)))


def chosen(least: str, default: str, most: str) -> plan_pb2.Share:
    return plan_pb2.Share(chosen=plan_pb2.ChosenShare(min_percent=least, default_percent=default, max_percent=most))


def factor(text: str) -> plan_pb2.Tiers:
    return plan_pb2.Tiers(counter="volume", mode=NEXT, tiers=[plan_pb2.Tier(bound=1, factor=text)])


def from_and_bound(old: int, bound: int | None) -> plan_pb2.Tier:
    tier = plan_pb2.Tier(percent="15", bound=bound)
    setattr(tier, "from", old)
    return tier


@pytest.mark.parametrize(("old", "bound"), [(5, None), (0, 5), (5, 5)])
def test_a_tier_says_its_bound_under_either_name(old: int, bound: int | None) -> None:
    stated = plan_pb2.Tiers(counter="volume", mode=NEXT, tiers=[from_and_bound(old, bound)])
    (read,) = plan(rule(tiers=stated), counters=[counter()]).rules
    assert read.tiers is not None
    assert read.tiers.bounds == (5,)


@pytest.mark.parametrize(
    ("tiers", "field", "told"),
    [
        ([(5, 6)], "tiers.tiers[0].bound", "is 6, and `from`, which means the same, is 5: give one of them"),
        ([(0, None)], "tiers.tiers[0].from", "must be given: the counter's value from which on the tier holds"),
        ([(0, 5), (0, 5)], "tiers.tiers[1].bound", "is 5; it must be above that of the tier before, 5"),
        ([(0, 5), (4, None)], "tiers.tiers[1].from", "is 4; it must be above that of the tier before, 5"),
    ],
)
def test_a_bound_that_is_missing_or_said_in_two_ways(
    tiers: list[tuple[int, int | None]], field: str, told: str
) -> None:
    stated = plan_pb2.Tiers(counter="volume", mode=NEXT, tiers=[from_and_bound(*each) for each in tiers])
    ((path, text),) = all_mistakes(rule(tiers=stated))
    assert path == f"plan.rules[0].{field}"
    assert told in text


def test_a_plan_is_stored_under_the_name_that_every_version_knows_and_answered_under_both() -> None:
    given = plan_pb2.Plan(rules=[rule(tiers=tiers("volume", NEXT, (5, "15"), (9, "20")))])
    by_old_name = plan_pb2.Plan.FromString(given.SerializeToString())
    for tier in by_old_name.rules[0].tiers.tiers:
        setattr(tier, "from", tier.bound)
        tier.ClearField("bound")
    assert as_stored(given) == by_old_name
    assert as_stored(by_old_name) == by_old_name
    answered = as_answered(by_old_name.SerializeToString())
    assert [(each.bound, getattr(each, "from")) for each in answered.rules[0].tiers.tiers] == [(5, 5), (9, 9)]
    assert as_stored(answered) == by_old_name


@pytest.mark.parametrize(
    ("bad", "field", "told"),
    [
        (rule(when="event.amount > 1"), "when", "rule 'r': line 1, column 6: 'event.amount' is not known"),
        (rule(when="counters.nothing > 1"), "when", "the plan has no counter 'nothing'"),
        (rule(when="level == 1", occurrence=plan_pb2.Occurrence(first=1)), "when", "the conversion and its buyer only"),
        (rule(lines="line.sku == 'x'"), "lines", "for the base LINES and for tables only"),
        (rule(occurrence=plan_pb2.Occurrence()), "occurrence", "says nothing"),
        (rule(occurrence=plan_pb2.Occurrence(within_of_binding=Duration())), "occurrence.within_of_binding",
         "more than 0"),
        (
            rule(occurrence=plan_pb2.Occurrence(first=1, before_binding=plan_pb2.BEFORE_BINDING_EXCLUDED)),
            "occurrence.before_binding",
            "is for within_of_binding only",
        ),
        (rule(to=buyer(), qualification=plan_pb2.Qualification(when="true")), "qualification",
         "levels of the upline only"),
        (rule(qualification=plan_pb2.Qualification(when="1")), "qualification.when", "is of type int, not bool"),
        (rule(tiers=tiers("sales", NEXT, (1, "5"))), "tiers.counter", "the plan's counters: volume, friends"),
        (rule(tiers=tiers("volume", NEXT, (5, "5"), (5, "6"))), "tiers.tiers[1].bound",
         "above that of the tier before"),
        (rule(tiers=tiers("friends", MARGINAL, (5, "5"))), "tiers.counter", "must measure VOLUME"),
        (rule(amount=fixed(5), tiers=tiers("volume", MARGINAL, (5, 6))), "tiers.mode", "must pay a percentage"),
        (rule(tiers=tiers("friends", BONUS, (5, 6))), "amount", "is stated by the tiers"),
        (rule(amount=None, tiers=tiers("friends", BONUS, (5, "6"))), "tiers.tiers[0].percent",
         "BONUS pays an amount_minor"),
        (rule(amount=None), "amount", "is missing"),
        (rule(tiers=tiers("volume", NEXT, (5, 6))), "tiers.tiers[0].amount_minor", "in place of a rule's fixed amount"),
        (rule(amount=fixed(5), tiers=tiers("volume", NEXT, (5, "6"))), "tiers.tiers[0].percent",
         "in place of a rule's percent"),
        (rule(tiers=factor("1000.5")), "tiers.tiers[0].factor", "at most 1000"),
        (rule(tiers=tiers("volume", NEXT, (5, "1001"))), "tiers.tiers[0].percent", "at most 1000"),
        (rule(caps=[plan_pb2.Cap(scope=1, amount_minor=5, period=2)]), "caps[0].period",
         "each reward is capped by itself"),
        (rule(to=buyer(), share=plan_pb2.Share(percent="5")), "share", "is the buyer's already"),
        (rule(share=plan_pb2.Share(percent="100.1")), "share.percent", "never more money"),
        (rule(least_left_percent="100.1"), "least_left_percent",
         "at most 100: it is a part of the conversion's amount"),
        (rule(share=plan_pb2.Share(percent="0")), "share.percent", "more than 0"),
        (rule(share=chosen("10", "5", "20")), "share.chosen", "must be in order"),
        (rule(earnings_of=["r"]), "earnings_of", "for the base EARNINGS only"),
        (rule(amount=percent("5", EARNINGS)), "earnings_of", "is missing"),
        (rule(amount=percent("101", EARNINGS), earnings_of=["x"]), "amount.percent.percent", "at most 100"),
        (rule(amount=percent("5", EARNINGS), earnings_of=["x"]), "earnings_of", "'x', which is no rule of the plan"),
        (rule(amount=percent("5", EARNINGS), earnings_of=["r"]), "earnings_of", "a loop"),
        (rule(to=buyer(), amount=percent("5", EARNINGS), earnings_of=["x"]), "to", "levels of the upline"),
        (rule(amount=percent("5", EARNINGS), earnings_of=["x"], group="g"), "group", "decided after groups"),
        (rule(amount=table(("a", "1"), ("a", "2"))), "amount.table.rows[1].value", "stands in two rows"),
        (rule(amount=table(("", "1"))), "amount.table.rows[0].value", "is missing"),
        (rule(amount=table(("a", "1"), otherwise="b")), "amount.table.otherwise.value", "must be empty"),
        (rule(asset="mug"), "amount.percent.percent", "one gift has no worth in it"),
        (rule(amount=fixed(MAX_AMOUNT_MINOR + 1)), "amount.fixed.amount_minor", "at most 1000000000000000"),
        (rule(amount=per_level(amounts_minor=[MAX_AMOUNT_MINOR + 1])), "amount.per_level.amounts_minor[0]", "at most"),
        (rule(amount=fixed(MAX_AMOUNT_MINOR), tiers=factor("1.1")), "tiers.tiers[0].factor", "at most"),
        (rule(amount=None, tiers=tiers("friends", BONUS, (1, MAX_AMOUNT_MINOR), (2, 1))), "tiers.tiers", "together"),
        (rule(amount=lines_table(MAX_AMOUNT_MINOR + 1)), "amount.table", "for a line; at most"),
        (rule(hold=plan_pb2.Hold()), "hold", "says nothing"),
    ],
)  # fmt: skip
def test_a_mistake_in_any_part_of_a_rule_is_named_with_its_rule(bad: plan_pb2.Rule, field: str, told: str) -> None:
    found = mistakes(bad)
    assert told in found[f"plan.rules[0].{field}"]


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        (rule(to=upline(1, 3), amount=per_level(percents=["5", "3", "1"]), tiers=tiers("volume", NEXT, (5, "6"))),
         "tiers.tiers[0].percent"),
        (rule(to=upline(1, 3), amount=None, tiers=tiers("friends", BONUS, (5, "6"))), "tiers.tiers[0].percent"),
        (rule(to=upline(1, 3), amount=percent("0")), "amount.percent.percent"),
        (rule(to=upline(1, 3), asset="mug"), "amount.percent.percent"),
    ],
)  # fmt: skip
def test_a_mistake_that_concerns_three_levels_is_told_once(bad: plan_pb2.Rule, field: str) -> None:
    assert [path for path, _ in all_mistakes(bad)] == [f"plan.rules[0].{field}"]


def allot(*weights: str, allotment: str = "pot") -> plan_pb2.Amount:
    return plan_pb2.Amount(allot=plan_pb2.AllotAmount(allotment=allotment, weights=weights))


def pot(**fields: object) -> plan_pb2.Allotment:
    whole = {} if "amount_minor" in fields else {"percent": "10"}
    return plan_pb2.Allotment(**({"allotment_id": "pot", "asset": "USD"} | whole | fields))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("bad", "allotments", "field", "told"),
    [
        (rule(amount=allot("1", allotment="pit")), [pot()], "rules[0].amount.allot.allotment",
         "the plan's allotments: pot"),
        (rule(amount=allot("1", "2")), [pot()], "rules[0].amount.allot.weights",
         "1 levels are paid, but 2 weights are given"),
        (rule(amount=allot("0")), [pot()], "rules[0].amount", "pays nothing at any level"),
        (rule(amount=allot("1"), asset="points"), [pot()], "rules[0].asset",
         "is 'points', and 'pot' is divided in 'USD'"),
        (rule(amount=allot("1"), tiers=factor("2")), [pot()], "rules[0].tiers", "are not for `allot`"),
        (rule(amount=allot("1"), lines="true"), [pot()], "rules[0].lines", "is stated by the allotment"),
        (rule(amount=allot("1"), on=["renewal"]), [pot()], "rules[1].on", "write the same events in both"),
        (rule(amount=allot("1")), [pot(), pot()], "allotments[1].allotment_id", "'pot' is divided already"),
        (rule(amount=allot("1")), [pot(), pot(allotment_id="pit")], "allotments[1]", "is divided by no rule"),
        (rule(amount=allot("1")), [pot(asset="gold")], "allotments[0].asset", "pays in 'gold'"),
        (rule(amount=allot("1")), [pot(asset="mug")], "allotments[0].percent", "one gift has no worth in it"),
        (rule(amount=allot("1")), [pot(percent="1001")], "allotments[0].percent", "at most 1000"),
        (rule(amount=allot("1")), [pot(amount_minor=MAX_AMOUNT_MINOR + 1)], "allotments[0].amount_minor",
         "at most 1000000000000000"),
        (rule(amount=allot("1")), [pot(of=EARNINGS)], "allotments[0].of", "ORDER, MARGIN or LINES"),
        (rule(amount=allot("1")), [pot(amount_minor=1, of=plan_pb2.AMOUNT_BASE_MARGIN)], "allotments[0].of",
         "for a percent only"),
        (rule(amount=allot("1")), [pot(lines="true")], "allotments[0].lines", "for the base LINES only"),
        (rule(amount=allot("1")), [pot(of=plan_pb2.AMOUNT_BASE_LINES, lines="level == 1")], "allotments[0].lines",
         "'level' is not known"),
        (rule(to=upline(1, 64), amount=allot(*["1"] * 64)), [pot()], "allotments[0]",
         "has 103 parts over all rules and levels; at most 100"),
    ],
)  # fmt: skip
def test_a_mistake_about_an_allotment_is_named(
    bad: plan_pb2.Rule, allotments: list[plan_pb2.Allotment], field: str, told: str
) -> None:
    other = rule("other", to=upline(1, 39), amount=allot(*["1"] * 39), asset=allotments[0].asset)
    if "asset" not in field or "rules" not in field:
        bad.asset = allotments[0].asset
    found = mistakes(bad, other, allotments=allotments)
    assert told in found[f"plan.{field}"]


def test_rules_that_nothing_compares_do_not_compete() -> None:
    found = mistakes(rule("a", group="g"), rule("b", asset="mug", amount=fixed(1), group="g"))
    assert "nothing says which is worth more" in found["plan.rules[1].group"]
    matching = rule("m", amount=percent("5", EARNINGS), earnings_of=["b"])
    found = mistakes(rule("b", asset="mug", amount=fixed(1)), matching)
    assert "nothing converts them" in found["plan.rules[1].earnings_of"]


@pytest.mark.parametrize(
    ("fields", "field", "told"),
    [
        ({"time_zone": "Mars/Olympus"}, "plan.time_zone", "is not a time zone"),
        ({"time_zone": "../etc/passwd"}, "plan.time_zone", "is not a time zone"),
        ({"time_zone": "America"}, "plan.time_zone", "is not a time zone"),
        ({"time_zone": "a" * 300}, "plan.time_zone", "is not a time zone"),
        ({"counters": [counter(), counter()]}, "plan.counters[1].counter_id", "is counted already"),
        ({"counters": [counter("in")]}, "plan.counters[0].counter_id", "a word of the language of conditions"),
        ({"counters": [counter(when="level == 1")]}, "plan.counters[0].when", "the conversion and its buyer only"),
        ({"counters": [counter(of=upline(3, 2))]}, "plan.counters[0].of.upline.to_level", "must not be below"),
        (
            {"budgets": [plan_pb2.Budget(budget_id="b", asset="gold", amount_minor=1)]},
            "plan.budgets[0].asset",
            "pays in 'gold'",
        ),
        (
            {"budgets": [plan_pb2.Budget(budget_id="b", asset="points", amount_minor=1, rules=["r", "s"])]},
            "plan.budgets[0].rules[0]",
            "'r' pays 'USD'",
        ),
        (
            {"budgets": [plan_pb2.Budget(budget_id="b", asset="points", amount_minor=1, rules=["r", "s"])]},
            "plan.budgets[0].rules[1]",
            "which is no rule of the plan",
        ),
        (
            {"budgets": [plan_pb2.Budget(budget_id="b", asset="USD", amount_minor=1)] * 2},
            "plan.budgets[1].budget_id",
            "is set already",
        ),
        ({"contests": [contest(counter="sales")]}, "plan.contests[0].counter", "names 'sales'"),
        ({"contests": [contest(end_time=Timestamp(seconds=5))]}, "plan.contests[0].end_time", "after start_time"),
        ({"contests": [contest(), contest()]}, "plan.contests[1].contest_id", "is held already"),
        ({"contests": [contest(prizes=[prize(2, 1)])]}, "plan.contests[0].prizes[0].to_rank", "not be below"),
        (
            {"contests": [contest(prizes=[prize(1, 2**31 - 1, amount_minor=10**9)])]},
            "plan.contests[0].prizes[0].amount_minor",
            "at most",
        ),
        ({"contests": [contest(prizes=[prize(1, 3), prize(3, 4)])]}, "plan.contests[0].prizes[1].from_rank", "already"),
        (
            {"payouts": [plan_pb2.PayoutTerms(asset="USD", gate="counters.volume")]},
            "plan.payouts[0].gate",
            "is of type int, not bool",
        ),
    ],
)
def test_a_mistake_in_what_rules_share_is_named(fields: dict[str, object], field: str, told: str) -> None:
    assert told in mistakes(**fields)[field]


def test_the_same_rank_may_win_two_things() -> None:
    both = contest(prizes=[prize(1, 1), plan_pb2.Prize(from_rank=1, to_rank=1, asset="points", amount_minor=5)])
    read = plan(rule(), counters=[counter()], contests=[both])
    assert [each.asset for each in read.contests[0].prizes] == ["USD", "points"]
    assert read.contests[0].min_score == 1


def test_a_plan_that_counts_is_stateful_and_one_that_does_not_is_plain() -> None:
    plain = plan(rule(), rule("b", to=buyer(), amount=fixed(5)))
    assert not plain.is_stateful
    assert plain.event_rules("order").is_plain
    conditional = plan(rule(when="event.hour > 3"))
    assert not conditional.is_stateful
    assert not conditional.event_rules("order").is_plain
    for feature in (
        {"occurrence": plan_pb2.Occurrence(first=1)},
        {"caps": [plan_pb2.Cap(scope=plan_pb2.CAP_SCOPE_PROGRAM, amount_minor=5)]},
    ):
        assert plan(rule(**feature)).is_stateful
    assert not plan(rule(caps=[plan_pb2.Cap(scope=plan_pb2.CAP_SCOPE_REWARD, amount_minor=5)])).is_stateful


def test_a_percentage_in_a_cheap_asset_has_a_bound() -> None:
    for per_unit, found in (
        (MAX_ASSET_MINOR_PER_BASE_MINOR, set()),
        (MAX_ASSET_MINOR_PER_BASE_MINOR + 1, {"plan.rules[0].amount.percent.percent"}),
    ):
        cheap = plan_pb2.Plan(assets=[points(2, str(per_unit))], rules=[rule(asset="points", amount=percent("100"))])
        told: set[str] = set()
        try:
            read_plan("shop", 1, "USD", cheap, None)
        except UplineError as error:
            told = {each.field for each in error.violations}
        assert told == found


def test_earnings_in_a_cheap_asset_have_a_bound() -> None:
    dear = asset_pb2.Asset(code="gold", kind=asset_pb2.ASSET_KIND_VIRTUAL, per_currency_unit="0.001")
    for per_unit, is_wrong in ((MAX_ASSET_MINOR_PER_BASE_MINOR // 100, False), (MAX_ASSET_MINOR_PER_BASE_MINOR, True)):
        cheap = points(0, str(per_unit))
        source = rule("source", asset="gold", to=buyer(), amount=percent("1"))
        matching = rule("matching", asset="points", amount=percent("10", EARNINGS), earnings_of=["source"])
        message = plan_pb2.Plan(assets=[dear, cheap], rules=[source, matching])
        if not is_wrong:
            assert read_plan("shop", 1, "USD", message, None).rules
            continue
        with pytest.raises(UplineError) as caught:
            read_plan("shop", 1, "USD", message, None)
        (told,) = caught.value.violations
        assert told.field == "plan.rules[1].earnings_of"
        assert "rule 'matching' pays 1e+06 minor units of 'points' for each one that 'source' pays" in told.description
