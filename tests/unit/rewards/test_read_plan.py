"""Every mistake in a plan is named by rule and field."""

from datetime import timedelta

import pytest
from google.protobuf.duration_pb2 import Duration
from upline.rewards.v1 import plan_pb2
from upline.type.v1 import asset_pb2

from chassis.errors import UplineError
from services.rewards.wire.plans import read_plan
from tests.unit.rewards.plans import percent, plan, points, rule, upline, usd


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
    assert read.rules[0].hold == timedelta(days=1)


def test_a_plan_that_does_nothing_is_refused() -> None:
    assert "plan.rules" in violations(assets=[])


def test_a_contest_needs_no_rewards() -> None:
    friends = plan_pb2.Counter(counter_id="friends", on=["entry"], of=upline(1, 1), measure=plan_pb2.MEASURE_REFEREES)
    spring = plan_pb2.Contest(contest_id="spring", counter="friends")
    spring.start_time.FromJsonString("2026-03-01T00:00:00Z")
    spring.end_time.FromJsonString("2026-04-01T00:00:00Z")
    read = read_plan("shop", 1, "USD", plan_pb2.Plan(counters=[friends], contests=[spring]), None)
    assert (read.rules, [each.contest_id for each in read.contests]) == ((), ["spring"])
