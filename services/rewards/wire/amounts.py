"""The amount of one rule: from the contract to one exact amount per level."""

from collections.abc import Sequence
from fractions import Fraction

from upline.rewards.v1 import plan_pb2

from services.rewards.domain.ledger import MAX_AMOUNT_MINOR
from services.rewards.domain.plan.amounts import Base, LevelAmount, Table, TableRow
from services.rewards.domain.plan.asset import Asset, AssetKind
from services.rewards.domain.plan.plan import MAX_ASSET_MINOR_PER_BASE_MINOR
from services.rewards.wire.plan_context import PlanContext

MAX_PERCENT = 1_000
MAX_EARNINGS_PERCENT = 100
MAX_RATIO = 10
BASES = {
    plan_pb2.AMOUNT_BASE_UNSPECIFIED: Base.ORDER,
    plan_pb2.AMOUNT_BASE_ORDER: Base.ORDER,
    plan_pb2.AMOUNT_BASE_MARGIN: Base.MARGIN,
    plan_pb2.AMOUNT_BASE_LINES: Base.LINES,
    plan_pb2.AMOUNT_BASE_EARNINGS: Base.EARNINGS,
}


class AmountReader:
    """Reads the amount of one rule."""

    def __init__(self, plan: PlanContext, rule: plan_pb2.Rule, path: str, asset: Asset, levels: Sequence[int]) -> None:
        self._plan = plan
        self._rule = rule
        self._path = path
        self._asset = asset
        self._levels = levels
        self.base = Base.ORDER
        self.table: Table | None = None
        self.how = rule.amount.WhichOneof("how") or ""

    def read(self) -> list[LevelAmount]:
        """What each level gets, also where it is nothing; of a table, how many times what its lines pay."""
        amount = self._rule.amount
        if self.how == "fixed":
            return [self.fixed(level, amount.fixed.amount_minor, "amount.fixed.amount_minor") for level in self._levels]
        if self.how == "percent":
            self.base = BASES[amount.percent.of]
            field = "amount.percent.percent"
            return [
                self.percentage(level, self.percent(amount.percent.percent, field), field) for level in self._levels
            ]
        if self.how == "per_level":
            return self._per_level(amount.per_level)
        if self.how == "geometric":
            return self._geometric(amount.geometric)
        self._table(amount.table)
        return [LevelAmount(level, 1, 1, None) for level in self._levels]

    def percent(self, text: str, field: str, *, or_none: bool = False) -> Fraction:
        """An exact percentage of more than 0 (0 too, with `or_none`)."""
        value = Fraction(text)
        limit = MAX_EARNINGS_PERCENT if self.base is Base.EARNINGS else MAX_PERCENT
        told = f"must be {'0' if or_none else 'more than 0'} and at most {limit}; it is {text}"
        if not (value or or_none):
            self._wrong(field, told)
        elif value > limit:
            self._forbid(field, told)
        return value

    def percentage(self, level: int, percent: Fraction, field: str) -> LevelAmount:
        """A level's share of the base."""
        share = percent / 100 * self._scale(field)
        if share > MAX_ASSET_MINOR_PER_BASE_MINOR:
            self._forbid(
                field,
                f"pays {float(share):g} minor units for each one of the base; at most {MAX_ASSET_MINOR_PER_BASE_MINOR}",
            )
        return LevelAmount(level, share.numerator, share.denominator, percent)

    def fixed(self, level: int, amount_minor: Fraction | int, field: str) -> LevelAmount:
        """A level's fixed amount."""
        if amount_minor > MAX_AMOUNT_MINOR:
            self._forbid(field, f"is {float(amount_minor):g} minor units at level {level}; at most {MAX_AMOUNT_MINOR}")
        exact = Fraction(amount_minor)
        return LevelAmount(level, exact.numerator, exact.denominator, None)

    def scaled(self, level: LevelAmount, factor: Fraction, field: str) -> LevelAmount:
        """A level's amount times a factor."""
        if level.percent is not None:
            return self.percentage(level.level, level.percent * factor, field)
        if self.table is not None:
            self._check_table(self.table, factor, field)
            return LevelAmount(level.level, factor.numerator, factor.denominator, None)
        return self.fixed(level.level, Fraction(level.numerator, level.denominator) * factor, field)

    def _wrong(self, field: str, description: str) -> None:
        self._plan.problems.wrong(f"{self._path}.{field}", f"rule {self._rule.rule_id!r}: {description}")

    def _forbid(self, field: str, description: str) -> None:
        self._plan.problems.forbid(f"{self._path}.{field}", f"rule {self._rule.rule_id!r}: {description}")

    def _scale(self, field: str) -> Fraction:
        """Asset minor units for one minor unit of the base."""
        if self.base is Base.EARNINGS:  # each reward that is part of it has a rate of its own
            return Fraction(1)
        rate = self._plan.rate(self._asset)
        if rate is not None:
            return rate
        if self._asset.kind is AssetKind.MONEY:
            why = "nothing converts currencies"
        else:
            why = f"one {self._asset.kind.value} has no worth in it"
        self._wrong(field, f"a percentage of {self._plan.currency_code} cannot be paid in {self._asset.code}: {why}")
        return Fraction(0)

    def _per_level(self, amount: plan_pb2.PerLevelAmount) -> list[LevelAmount]:
        if bool(amount.percents) == bool(amount.amounts_minor):
            self._wrong("amount.per_level", "give either percents or amounts_minor")
            return []
        field = "amount.per_level.percents" if amount.percents else "amount.per_level.amounts_minor"
        given = len(amount.percents) or len(amount.amounts_minor)
        if given != len(self._levels):
            self._wrong(field, f"{len(self._levels)} levels are paid, but {given} amounts are given")
        if amount.amounts_minor:
            return [
                self.fixed(level, each, f"{field}[{index}]")
                for index, (level, each) in enumerate(zip(self._levels, amount.amounts_minor, strict=False))
            ]
        self.base = BASES[amount.of]
        read = []
        for index, (level, text) in enumerate(zip(self._levels, amount.percents, strict=False)):
            where = f"{field}[{index}]"
            read.append(self.percentage(level, self.percent(text, where, or_none=True), where))
        return read

    def _geometric(self, amount: plan_pb2.GeometricAmount) -> list[LevelAmount]:
        ratio = Fraction(amount.ratio)
        if not ratio:
            self._wrong("amount.geometric.ratio", "must be more than 0")
            return []
        if ratio > MAX_RATIO:
            self._forbid("amount.geometric.ratio", f"must be at most {MAX_RATIO}")
        steps = [(level, ratio**step) for step, level in enumerate(self._levels)]
        if amount.WhichOneof("first") == "amount_minor":
            return [
                self.fixed(level, amount.amount_minor * factor, "amount.geometric.ratio") for level, factor in steps
            ]
        self.base = BASES[amount.of]
        first = self.percent(amount.percent, "amount.geometric.percent")
        return [self.percentage(level, first * factor, "amount.geometric.percent") for level, factor in steps]

    def _table(self, amount: plan_pb2.TableAmount) -> None:
        self.base = Base.LINES
        rows: dict[str, TableRow] = {}
        for index, each in enumerate(amount.rows):
            field = f"amount.table.rows[{index}]"
            if not each.value:
                self._forbid(f"{field}.value", "is missing; what stands in no row is paid by `otherwise`")
            elif each.value in rows:
                self._forbid(f"{field}.value", f"{each.value!r} stands in two rows")
            rows[each.value] = self._row(each, field)
        otherwise = None
        if amount.HasField("otherwise"):
            if amount.otherwise.value:
                self._forbid("amount.table.otherwise.value", "must be empty: it is for what stands in no row")
            otherwise = self._row(amount.otherwise, "amount.table.otherwise")
        self.table = Table(amount.by, rows, otherwise)
        self._check_table(self.table, Fraction(1), "amount.table")

    def _row(self, row: plan_pb2.TableRow, field: str) -> TableRow:
        if row.WhichOneof("pays") == "percent":
            share = self.percentage(0, self.percent(row.percent, f"{field}.percent"), f"{field}.percent")
            return TableRow(Fraction(share.numerator, share.denominator), share.percent)
        return TableRow(Fraction(row.amount_minor), None)

    def _check_table(self, table: Table, factor: Fraction, field: str) -> None:
        rows = [*table.rows.values(), *([table.otherwise] if table.otherwise else [])]
        fixed = max((row.share for row in rows if row.percent is None), default=Fraction(0)) * factor
        share = max((row.share for row in rows if row.percent is not None), default=Fraction(0)) * factor
        if fixed > MAX_AMOUNT_MINOR:
            self._forbid(field, f"pays {float(fixed):g} minor units for a line; at most {MAX_AMOUNT_MINOR}")
        if share > MAX_ASSET_MINOR_PER_BASE_MINOR:
            self._forbid(
                field,
                f"pays {float(share):g} minor units for each one of a line; at most {MAX_ASSET_MINOR_PER_BASE_MINOR}",
            )
