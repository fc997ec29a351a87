"""Amounts, dates and plurals as a language writes them (CLDR, through Babel)."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, tzinfo
from decimal import Decimal
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from babel import Locale
from babel.dates import format_date, format_time
from babel.lists import format_list
from babel.numbers import format_currency, format_decimal, get_currency_precision
from iso4217 import Currency

from services.notify.domain.cause import Asset

CACHED = 4_096
"""The most texts that are kept: Babel takes some 100 µs for an amount or a day, and a page of an inbox repeats few of
them many times."""
_CLDR_ORDER = ("zero", "one", "two", "few", "many", "other")

_ASSET_NAMES: dict[str, dict[str, tuple[str, ...]]] = {
    "en": {
        "points": ("point", "points"),
        "bonus": ("bonus", "bonuses"),
        "coins": ("coin", "coins"),
        "tokens": ("token", "tokens"),
        "credit": ("credit", "credits"),
        "coupon": ("coupon", "coupons"),
        "voucher": ("voucher", "vouchers"),
        "gift": ("gift", "gifts"),
        "days": ("day", "days"),
    },
    "ru": {
        "points": ("балл", "балла", "баллов"),
        "bonus": ("бонус", "бонуса", "бонусов"),
        "coins": ("монета", "монеты", "монет"),
        "tokens": ("жетон", "жетона", "жетонов"),
        "credit": ("кредит", "кредита", "кредитов"),
        "coupon": ("купон", "купона", "купонов"),
        "voucher": ("ваучер", "ваучера", "ваучеров"),
        "gift": ("подарок", "подарка", "подарков"),
        "days": ("день", "дня", "дней"),
    },
}
"""The names of assets whose code is an English word that people know; any other is named by its program, or by its
code."""


def quantity(asset: Asset, amount_minor: int) -> Decimal:
    """The amount in whole units, exact."""
    digits = (Currency(asset.code).exponent or 0) if asset.is_money else asset.minor_digits
    return Decimal(amount_minor).scaleb(-digits)


@lru_cache(maxsize=CACHED)
def amount_text(asset: Asset, amount_minor: int, locale: str, own_forms: tuple[str, ...] = ()) -> str:
    """The amount as people write it: `$3.17`, `3,17 ₽`, `21 балл`. `own_forms` are the program's names of the asset;
    empty if it has none."""
    value = quantity(asset, amount_minor)
    if asset.is_money:
        # CLDR drops the minor unit of some currencies that still count it (ISO 4217); money is never rounded here.
        same = get_currency_precision(asset.code) == -int(value.as_tuple().exponent)
        return format_currency(value, asset.code, locale=locale, currency_digits=same, decimal_quantization=same)
    number = format_decimal(value, locale=locale, decimal_quantization=False)
    forms = own_forms or _ASSET_NAMES[locale].get(asset.code)
    return f"{number} {plural(value, forms, locale) if forms else asset.code}"


def list_text(parts: Sequence[str], locale: str) -> str:
    """The parts as one phrase: `a, b and c`."""
    return parts[0] if len(parts) == 1 else format_list(list(parts), locale=locale)


def zone_of(name: str) -> tzinfo:
    """The time zone of that name; UTC if there is none."""
    if not name:
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        # It was in the database when it was stored. An older one must not hide an inbox.
        return UTC


def day_text(moment: datetime, locale: str, zone: tzinfo) -> str:
    """The day: `March 5, 2026`, `5 марта 2026 г.`."""
    return _day_text(_local(moment, zone).date(), locale)


def time_text(moment: datetime, locale: str, zone: tzinfo) -> str:
    """The day and the hour: `March 5, 2026, 3:00 PM`, `5 марта 2026 г., 15:00`."""
    local = _local(moment, zone)
    return f"{_day_text(local.date(), locale)}, {_hour_text(local.hour, local.minute, locale)}"


def _local(moment: datetime, zone: tzinfo) -> datetime:
    """The moment in a time zone; in UTC where the calendar of Python ends between the two."""
    try:
        return moment.astimezone(zone)
    except OverflowError:
        return moment.astimezone(UTC)


@lru_cache(maxsize=CACHED)
def _day_text(day: date, locale: str) -> str:
    return format_date(day, format="long", locale=locale)


@lru_cache(maxsize=CACHED)
def _hour_text(hour: int, minute: int, locale: str) -> str:
    return format_time(time(hour, minute), format="short", locale=locale)


def plural(number: Decimal | int, forms: Sequence[str], locale: str) -> str:
    """The form that goes with the number, by CLDR's plural rules. `forms` are in CLDR's order: one, other in English;
    one, few, many in Russian.

    Raises ValueError if there are too few or too many forms.
    """
    rule = Locale.parse(locale).plural_form
    # The form of fractions may be left out where it is spelt as the one of few (`1,5 балла`).
    tags = [tag for tag in _CLDR_ORDER if tag in rule.tags or (tag == "other" and "few" not in rule.tags)]
    if len(forms) != len(tags):
        raise ValueError(f"plural takes {len(tags)} forms in {locale!r} ({', '.join(tags)}), not {len(forms)}")
    exact = Decimal(number)
    # Trailing zeros are not written, so they must not count: CLDR has another form for `2.00` than for `2`.
    tag = rule(int(exact) if exact == exact.to_integral_value() else exact.normalize())
    return forms[tags.index(tag if tag in tags else "few")]
