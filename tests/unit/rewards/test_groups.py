"""Groups: the best for each beneficiary, compared by what it is worth."""

from upline.type.v1 import asset_pb2

from services.rewards.domain.decide.decision import Outcome
from tests.unit.rewards.plans import conversion, fixed, outcomes, paid, percent, plan, points, rule, upline, usd


def test_the_best_is_paid_whatever_its_unit() -> None:
    # 500 cents are 5.00; 50 % of 4.00 are 2.00.
    subject = plan(rule("cents", amount=fixed(500), group="g"), rule("percent", amount=percent("50"), group="g"))
    assert paid(subject, conversion(400)) == [("cents", "maria", 500)]
    assert paid(subject, conversion(10_000)) == [("percent", "maria", 5_000)]
    assert outcomes(subject, conversion(400)) == [Outcome.PAID, Outcome.OUTBID]


def test_points_are_compared_by_their_worth() -> None:
    assets = [usd(), points(per_unit="10")]  # 10 points a dollar: 95 are worth 9.50
    subject = plan(rule("money", group="g"), rule("points", amount=fixed(95), asset="points", group="g"), assets=assets)
    assert paid(subject, conversion(10_000)) == [("money", "maria", 1_000)]
    assert paid(subject, conversion(9_000)) == [("points", "maria", 95)]


def test_the_first_of_equals_is_paid() -> None:
    subject = plan(rule("a", group="g"), rule("b", group="g"))
    assert paid(subject, conversion()) == [("a", "maria", 1_000)]


def test_each_beneficiary_gets_his_own_best_and_others_add_up() -> None:
    subject = plan(
        rule("flat", to=upline(1, 2), amount=fixed(700), group="g"),
        rule("first", to=upline(1, 1), group="g"),
        rule("alone", to=upline(2, 2), amount=fixed(1)),
        rule("other", to=upline(1, 1), amount=fixed(2), group="h"),
    )
    assert paid(subject, conversion()) == [
        ("flat", "olga", 700), ("first", "maria", 1_000), ("alone", "olga", 1), ("other", "maria", 2),
    ]  # fmt: skip


def test_a_refund_changes_no_winner() -> None:
    subject = plan(rule("cents", amount=fixed(500), group="g"), rule("percent", group="g"))
    assert paid(subject, conversion(10_000)) == [("percent", "maria", 1_000)]
    assert paid(subject, conversion(10_000, remaining_minor=1_000)) == [("percent", "maria", 100)]


def test_gifts_compete_with_the_same_gift_only() -> None:
    mug = asset_pb2.Asset(code="mug", kind=asset_pb2.ASSET_KIND_GIFT, gift_sku="mug-1")
    two = plan(
        rule("one", amount=fixed(1), asset="mug", group="g"),
        rule("two", amount=fixed(2), asset="mug", group="g"),
        assets=[mug],
    )
    assert paid(two, conversion()) == [("two", "maria", 2)]
