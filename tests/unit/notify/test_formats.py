"""Amounts, plurals and days as each language writes them."""

from datetime import UTC, datetime

import pytest

from services.notify.domain.cause import Asset
from services.notify.rendering.formats import amount_text, day_text, list_text, plural

POINTS = Asset("points", is_money=False, minor_digits=0)
FINE_POINTS = Asset("points", is_money=False, minor_digits=2)


@pytest.mark.parametrize(
    ("minor", "en", "ru"),
    [
        (1, "1 point", "1 балл"),
        (2, "2 points", "2 балла"),
        (5, "5 points", "5 баллов"),
        (11, "11 points", "11 баллов"),
        (21, "21 points", "21 балл"),
        (112, "112 points", "112 баллов"),
        (1_000_000, "1,000,000 points", "1\xa0000\xa0000 баллов"),
        (2**63 - 1, "9,223,372,036,854,775,807 points", "9\xa0223\xa0372\xa0036\xa0854\xa0775\xa0807 баллов"),
    ],
)
def test_points(minor: int, en: str, ru: str) -> None:
    assert amount_text(POINTS, minor, "en") == en
    assert amount_text(POINTS, minor, "ru") == ru


@pytest.mark.parametrize(("minor", "ru"), [(150, "1,5 балла"), (200, "2 балла"), (500, "5 баллов"), (1, "0,01 балла")])
def test_parts_of_points(minor: int, ru: str) -> None:
    assert amount_text(FINE_POINTS, minor, "ru") == ru


@pytest.mark.parametrize(
    ("code", "en", "ru"),
    [
        ("credit", "1 credit, 2 credits, 5 credits", "1 кредит, 2 кредита, 5 кредитов"),
        ("coupon", "1 coupon, 2 coupons, 5 coupons", "1 купон, 2 купона, 5 купонов"),
        ("days", "1 day, 2 days, 5 days", "1 день, 2 дня, 5 дней"),
        ("gift", "1 gift, 2 gifts, 5 gifts", "1 подарок, 2 подарка, 5 подарков"),
    ],
)
def test_assets_with_a_known_name(code: str, en: str, ru: str) -> None:
    asset = Asset(code, is_money=False, minor_digits=0)
    assert ", ".join(amount_text(asset, each, "en") for each in (1, 2, 5)) == en
    assert ", ".join(amount_text(asset, each, "ru") for each in (1, 2, 5)) == ru


def test_an_asset_without_a_known_name_is_named_by_its_code() -> None:
    assert amount_text(Asset("stars", is_money=False, minor_digits=0), 21, "ru") == "21 stars"


def test_what_the_program_calls_it_outranks_what_the_code_says() -> None:
    assert amount_text(POINTS, 21, "ru", ("звезда", "звезды", "звёзд")) == "21 звезда"
    assert amount_text(FINE_POINTS, 150, "en", ("star", "stars")) == "1.5 stars"
    money = Asset("USD", is_money=True, minor_digits=2)
    assert amount_text(money, 317, "en", ("buck", "bucks")) == "$3.17"


@pytest.mark.parametrize(
    ("code", "minor", "en", "ru"),
    [
        ("USD", 317, "$3.17", "3,17\xa0$"),
        ("RUB", 123450, "RUB1,234.50", "1\xa0234,50\xa0₽"),
        ("JPY", 500, "¥500", "500\xa0¥"),
        ("KWD", 1234, "KWD1.234", "1,234\xa0KWD"),
        ("RSD", 150, "RSD1.50", "1,50\xa0RSD"),
    ],
)
def test_money_is_never_rounded(code: str, minor: int, en: str, ru: str) -> None:
    asset = Asset(code, is_money=True, minor_digits=0)
    assert amount_text(asset, minor, "en").replace("\xa0", "") == en
    assert amount_text(asset, minor, "ru") == ru


def test_plural_takes_the_forms_of_the_language() -> None:
    assert [plural(n, ("friend", "friends"), "en") for n in (1, 2, 21)] == ["friend", "friends", "friends"]
    assert [plural(n, ("друг", "друга", "друзей"), "ru") for n in (1, 2, 5, 21)] == ["друг", "друга", "друзей", "друг"]
    with pytest.raises(ValueError, match="3 forms"):
        plural(1, ("a", "b"), "ru")


def test_lists_and_days() -> None:
    moment = datetime(2026, 3, 5, 23, 59, tzinfo=UTC)
    assert (list_text(["a", "b"], "en"), list_text(["a", "b"], "ru")) == ("a and b", "a и b")
    assert day_text(moment, "en", UTC) == "March 5, 2026"
    assert day_text(moment, "ru", UTC).startswith("5 марта 2026")
