"""Plans: from the contract to what decides, with every mistake named by rule and field."""

from datetime import datetime
from fractions import Fraction

import iso4217
from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet
from upline.rewards.v1 import plan_pb2
from upline.type.v1 import asset_pb2

from chassis.errors import FieldViolation, invalid_fields
from chassis.times import to_timedelta
from services.rewards.domain.asset import Asset, AssetKind
from services.rewards.domain.plan import (
    BUYER_LEVEL,
    MAX_ASSET_MINOR_PER_BASE_MINOR,
    Base,
    LevelAmount,
    Plan,
    Rule,
)
from services.rewards.domain.rounding import Rounding
from services.rewards.wire.terms import read_terms

MAX_HOLD_DAYS = 3_660
MAX_PERCENT = 1_000
MAX_RATIO = 10

_NOT_PAID_YET = {
    "Plan": {"time_zone", "counters", "budgets", "contests"},
    "Rule": {
        "when", "lines", "occurrence", "qualification", "tiers", "caps", "share", "group", "earnings_of",
    },
    "Beneficiary": {"link_owner"},
    "Amount": {"table"},
    "Hold": {"until_event", "approval"},
    "PayoutTerms": {"gate"},
}  # fmt: skip
"""A field that is accepted and ignored would be money that is not paid."""
_ROUNDING = {
    plan_pb2.ROUNDING_MODE_UNSPECIFIED: Rounding.HALF_EVEN,
    plan_pb2.ROUNDING_MODE_HALF_EVEN: Rounding.HALF_EVEN,
    plan_pb2.ROUNDING_MODE_HALF_UP: Rounding.HALF_UP,
    plan_pb2.ROUNDING_MODE_DOWN: Rounding.DOWN,
}
_KINDS = {
    asset_pb2.ASSET_KIND_MONEY: AssetKind.MONEY,
    asset_pb2.ASSET_KIND_POINTS: AssetKind.POINTS,
    asset_pb2.ASSET_KIND_CREDIT: AssetKind.CREDIT,
    asset_pb2.ASSET_KIND_COUPON: AssetKind.COUPON,
    asset_pb2.ASSET_KIND_GIFT: AssetKind.GIFT,
    asset_pb2.ASSET_KIND_SERVICE_DAYS: AssetKind.SERVICE_DAYS,
    asset_pb2.ASSET_KIND_VIRTUAL: AssetKind.VIRTUAL,
}
_KIND_NUMBERS = {kind: number for number, kind in _KINDS.items()}
_VALUED = frozenset({AssetKind.POINTS, AssetKind.VIRTUAL})
_BASE = {
    plan_pb2.AMOUNT_BASE_UNSPECIFIED: Base.ORDER,
    plan_pb2.AMOUNT_BASE_ORDER: Base.ORDER,
    plan_pb2.AMOUNT_BASE_MARGIN: Base.MARGIN,
}


def currency_digits(code: str) -> int:
    """The minor unit of a currency by ISO 4217; KeyError for a code that is none, or that has no minor unit (gold, …)."""
    currency = iso4217.Currency(code) if code in _CURRENCY_CODES else None
    if currency is None or currency.exponent is None:
        raise KeyError(code)
    digits: int = currency.exponent
    return digits


_CURRENCY_CODES = {each.code for each in iso4217.Currency}


def read_plan(
    program_id: str, version: int, currency_code: str, message: plan_pb2.Plan, effective_time: datetime | None
) -> Plan:
    """The plan as it decides. INVALID_ARGUMENT with every mistake in it."""
    return _PlanReader(currency_code).read(program_id, version, message, effective_time)


class _PlanReader:
    """Reads one plan and gathers what is wrong with it."""

    def __init__(self, currency_code: str) -> None:
        self._currency_code = currency_code
        self._violations: list[FieldViolation] = []
        try:
            self._currency_digits = currency_digits(currency_code)
        except KeyError:
            self._currency_digits = 2
            self._wrong("currency_code", f"{currency_code} is not an ISO 4217 currency")

    def read(self, program_id: str, version: int, message: plan_pb2.Plan, effective_time: datetime | None) -> Plan:
        self._refuse_unknown(message, "plan")
        assets = self._assets(message)
        rules = []
        seen: dict[str, int] = {}
        for index, each in enumerate(message.rules):
            path = f"plan.rules[{index}]"
            if each.rule_id in seen:
                self._wrong(f"{path}.rule_id", f"{each.rule_id!r} is the id of rules[{seen[each.rule_id]}] already")
            seen.setdefault(each.rule_id, index)
            rule = self._rule(each, index, path, assets)
            if rule is not None:
                rules.append(rule)
        terms = read_terms(message, assets, self._currency_code, self._currency_digits, self._wrong)
        if self._violations:
            raise invalid_fields(self._violations, "INVALID_PLAN")
        return Plan(
            program_id,
            version,
            self._currency_code,
            _ROUNDING[message.rounding],
            tuple(assets.values()),
            tuple(rules),
            effective_time,
            terms=terms,
        )

    def _wrong(self, path: str, description: str) -> None:
        self._violations.append(FieldViolation(path, description))

    def _refuse_unknown(self, message: Message, path: str) -> None:
        """A field that this server does not know would be money it does not pay."""
        unknown_fields = UnknownFieldSet(message)
        for unknown in (unknown_fields[index] for index in range(len(unknown_fields))):
            self._wrong(path, f"has field number {unknown.field_number}, which this server does not know")
        for field, value in message.ListFields():
            if field.name in _NOT_PAID_YET.get(message.DESCRIPTOR.name, ()):
                self._wrong(f"{path}.{field.name}", "is part of the contract, but this server does not pay by it yet")
            if field.message_type is None:
                continue
            if field.is_repeated:
                for index, item in enumerate(value):
                    self._refuse_unknown(item, f"{path}.{field.name}[{index}]")
            else:
                self._refuse_unknown(value, f"{path}.{field.name}")

    def _assets(self, message: plan_pb2.Plan) -> dict[str, Asset]:
        assets: dict[str, Asset] = {}
        for index, each in enumerate(message.assets):
            path = f"plan.assets[{index}]"
            if each.code in assets:
                self._wrong(f"{path}.code", f"{each.code!r} is named twice")
            kind = _KINDS[each.kind]
            if kind is AssetKind.MONEY:
                asset = self._money(each, path)
            else:
                rate = Fraction(each.per_currency_unit or "1")
                if rate == 0:
                    self._wrong(f"{path}.per_currency_unit", "must be more than 0")
                    rate = Fraction(1)
                if each.per_currency_unit and kind not in _VALUED:
                    self._wrong(f"{path}.per_currency_unit", "is of points and virtual currencies only")
                if each.code.isupper():
                    self._wrong(f"{path}.code", f"upper case is for currencies; {kind.value} takes a lower-case name")
                asset = Asset(each.code, kind, self._digits(each, kind, path), rate)
            assets[each.code] = asset
        return assets

    def _digits(self, message: asset_pb2.Asset, kind: AssetKind, path: str) -> int:
        if kind in _VALUED:
            return message.minor_digits
        digits = self._currency_digits if kind is AssetKind.CREDIT else 0
        if message.minor_digits not in (0, digits):
            self._wrong(f"{path}.minor_digits", f"{kind.value} has {digits}; leave it out")
        return digits

    def _money(self, message: asset_pb2.Asset, path: str) -> Asset:
        digits = self._currency_digits
        try:
            digits = currency_digits(message.code)
        except KeyError:
            self._wrong(f"{path}.code", f"{message.code} is not an ISO 4217 currency")
        return Asset(message.code, AssetKind.MONEY, digits, Fraction(1))

    def _rule(self, message: plan_pb2.Rule, ordinal: int, path: str, assets: dict[str, Asset]) -> Rule | None:
        asset = assets.get(message.asset)
        if asset is None:
            known = ", ".join(assets) or "none"
            self._wrong(
                f"{path}.asset", f"rule {message.rule_id!r} pays in {message.asset!r}; the plan's assets: {known}"
            )
            return None
        if not message.HasField("amount"):
            self._wrong(f"{path}.amount", f"rule {message.rule_id!r} does not say how much it pays")
            return None
        if message.to.WhichOneof("who") == "link_owner":  # refused above
            return None
        level_numbers = self._level_numbers(message.to, path)
        amounts = _AmountReader(self, message, path, asset, len(level_numbers))
        levels = tuple(
            LevelAmount(level, exact.numerator, exact.denominator, percent)
            for level, (exact, percent) in zip(level_numbers, amounts.read(), strict=False)
            if exact > 0
        )
        hold = None
        if message.HasField("hold") and not message.hold.HasField("duration"):
            self._wrong(f"{path}.hold.duration", "is missing")
        elif message.HasField("hold"):
            try:
                hold = to_timedelta(message.hold.duration)
            except ValueError as error:
                self._wrong(f"{path}.hold.duration", str(error))
            if hold is not None and not 0 < hold.total_seconds() <= MAX_HOLD_DAYS * 86_400:
                self._wrong(f"{path}.hold.duration", f"must be more than 0 and at most {MAX_HOLD_DAYS} days")
        if not levels and not self._violations:
            self._wrong(f"{path}.amount", f"rule {message.rule_id!r} pays nothing at any level")
        return Rule(message.rule_id, ordinal, frozenset(message.on), levels, amounts.base, asset, hold)

    def _level_numbers(self, to: plan_pb2.Beneficiary, path: str) -> list[int]:
        if to.WhichOneof("who") == "buyer":
            return [BUYER_LEVEL]
        if to.upline.to_level < to.upline.from_level:
            self._wrong(f"{path}.to.upline.to_level", f"must not be below from_level ({to.upline.from_level})")
        return list(range(to.upline.from_level, to.upline.to_level + 1))

    def percent(self, text: str, path: str) -> Fraction:
        """An exact percentage; 0 where it is wrong."""
        value = Fraction(text)
        if value > MAX_PERCENT:
            self._wrong(path, f"{text} % is above {MAX_PERCENT} %")
            return Fraction(0)
        return value

    def wrong(self, path: str, description: str) -> None:
        """Notes a mistake."""
        self._wrong(path, description)

    def scale(self, asset: Asset, path: str) -> Fraction:
        """Asset minor units for one minor unit of the base."""
        if asset.kind is AssetKind.MONEY and asset.code != self._currency_code:
            self._wrong(
                path,
                f"a percentage of {self._currency_code} cannot be paid in {asset.code}: nothing converts currencies",
            )
            return Fraction(0)
        return asset.minor_per_currency_minor(self._currency_digits)


class _AmountReader:
    """Reads the amount of one rule into one exact amount per level."""

    def __init__(self, plan: _PlanReader, rule: plan_pb2.Rule, path: str, asset: Asset, level_count: int) -> None:
        self._plan = plan
        self._rule = rule
        self._path = f"{path}.amount"
        self._asset = asset
        self._level_count = level_count
        self.base = Base.ORDER

    def read(self) -> list[tuple[Fraction, Fraction | None]]:
        """(exact amount or share of the base, percentage or None) by level."""
        how = self._rule.amount.WhichOneof("how")
        if how == "fixed":
            return [(Fraction(self._rule.amount.fixed.amount_minor), None)] * self._level_count
        if how == "percent":
            percent = self._percent(self._rule.amount.percent.percent, "percent.percent")
            self.base = self._base_of(self._rule.amount.percent.of)
            return [self._share(percent, "percent.percent")] * self._level_count
        if how == "per_level":
            return self._per_level(self._rule.amount.per_level)
        return self._geometric(self._rule.amount.geometric)

    def _base_of(self, given: plan_pb2.AmountBase.ValueType) -> Base:
        if given not in _BASE:
            self._plan.wrong(f"{self._path}.of", "is part of the contract, but this server does not pay by it yet")
        return _BASE.get(given, Base.ORDER)

    def _percent(self, text: str, field: str) -> Fraction:
        value = self._plan.percent(text, f"{self._path}.{field}")
        if value == 0:
            self._plan.wrong(
                f"{self._path}.{field}", f"rule {self._rule.rule_id!r}: must be more than 0 and at most {MAX_PERCENT}"
            )
        return value

    def _share(self, percent: Fraction, field: str) -> tuple[Fraction, Fraction | None]:
        share = percent / 100 * self._plan.scale(self._asset, f"{self._path}.{field}")
        if share > MAX_ASSET_MINOR_PER_BASE_MINOR:
            self._plan.wrong(
                f"{self._path}.{field}",
                f"pays {float(share):g} minor units for each one of the base; at most {MAX_ASSET_MINOR_PER_BASE_MINOR}",
            )
        return share, percent

    def _per_level(self, amount: plan_pb2.PerLevelAmount) -> list[tuple[Fraction, Fraction | None]]:
        field = "percents" if amount.percents else "amounts_minor"
        if bool(amount.percents) == bool(amount.amounts_minor):
            self._plan.wrong(
                f"{self._path}.per_level", f"rule {self._rule.rule_id!r}: give either percents or amounts_minor"
            )
            return []
        given = len(amount.percents) or len(amount.amounts_minor)
        if given != self._level_count:
            self._plan.wrong(
                f"{self._path}.per_level.{field}",
                f"rule {self._rule.rule_id!r} pays {self._level_count} levels, but {given} amounts are given",
            )
        if amount.percents:
            self.base = self._base_of(amount.of)
            shares = []
            for index, text in enumerate(amount.percents):
                path = f"per_level.percents[{index}]"
                shares.append(self._share(self._plan.percent(text, f"{self._path}.{path}"), path))
            return shares
        return [(Fraction(each), None) for each in amount.amounts_minor]

    def _geometric(self, amount: plan_pb2.GeometricAmount) -> list[tuple[Fraction, Fraction | None]]:
        ratio = Fraction(amount.ratio)
        if not 0 < ratio <= MAX_RATIO:
            self._plan.wrong(f"{self._path}.geometric.ratio", f"must be more than 0 and at most {MAX_RATIO}")
            return []
        factors = [ratio**step for step in range(self._level_count)]
        if amount.WhichOneof("first") == "amount_minor":
            amounts = [Fraction(amount.amount_minor) * factor for factor in factors]
            if max(amounts, default=Fraction(0)) >= 2**63:
                self._plan.wrong(f"{self._path}.geometric.ratio", "grows beyond a 64-bit amount")
            return [(each, None) for each in amounts]
        self.base = self._base_of(amount.of)
        first = self._percent(amount.percent, "geometric.percent")
        return [self._share(first * factor, "geometric.percent") for factor in factors]


def asset_message(asset: Asset) -> asset_pb2.Asset:
    """The asset for events."""
    return asset_pb2.Asset(code=asset.code, kind=_KIND_NUMBERS[asset.kind], minor_digits=asset.digits)
