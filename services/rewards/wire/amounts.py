"""The amount of one rule: from the contract to one exact amount per level."""

from collections.abc import Mapping, Sequence
from fractions import Fraction

from upline.rewards.v1 import plan_pb2

from services.rewards.domain.ledger import MAX_AMOUNT_MINOR
from services.rewards.domain.plan.amounts import Base, LevelAmount, Table, TableRow
from services.rewards.domain.plan.asset import Asset
from services.rewards.domain.plan.plan import MAX_ASSET_MINOR_PER_BASE_MINOR
from services.rewards.wire.allotments import SharedAllotment
from services.rewards.wire.plan_context import PlanContext
from services.rewards.wire.rates import BASES, Rates

MAX_RATIO = 10


class AmountReader(Rates):
    """Reads the amount of one rule."""

    def __init__(
        self,
        plan: PlanContext,
        rule: plan_pb2.Rule,
        path: str,
        asset: Asset,
        levels: Sequence[int],
        allotments: Mapping[str, SharedAllotment],
    ) -> None:
        super().__init__(plan, f"rule {rule.rule_id!r}", path, asset)
        self._rule = rule
        self._levels = levels
        self._allotments = allotments
        self.table: Table | None = None
        self.shared: SharedAllotment | None = None
        """The allotment that it is a part of; None for an amount by itself."""
        self.how = rule.amount.WhichOneof("how") or ""

    def read(self) -> list[LevelAmount]:
        """The amount of each level, also where it is nothing. With a table it is a factor of the sum that lines pay."""
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
        if self.how == "allot":
            return self._allot(amount.allot)
        self._table(amount.table)
        return [LevelAmount(level, 1, 1, None) for level in self._levels]

    def scaled(self, level: LevelAmount, factor: Fraction, field: str) -> LevelAmount:
        """A level's amount times a factor."""
        if level.percent is not None:
            return self.percentage(level.level, level.percent * factor, field)
        if self.table is not None:
            self._check_table(self.table, factor, field)
            return LevelAmount(level.level, factor.numerator, factor.denominator, None)
        return self.fixed(level.level, Fraction(level.numerator, level.denominator) * factor, field)

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

    def _allot(self, amount: plan_pb2.AllotAmount) -> list[LevelAmount]:
        shared = self._allotments.get(amount.allotment)
        if shared is None:
            allotment_ids = ", ".join(self._allotments) or "none"
            self._wrong("amount.allot.allotment", f"names {amount.allotment!r}; the plan's allotments: {allotment_ids}")
            return []
        self.base, self.shared = shared.base, shared
        if self._rule.asset != shared.asset.code:
            self._wrong(
                "asset", f"is {self._rule.asset!r}, and {amount.allotment!r} is divided in {shared.asset.code!r}"
            )
        if len(amount.weights) != len(self._levels):
            weights = f"{len(amount.weights)} weights are given"
            self._wrong("amount.allot.weights", f"{len(self._levels)} levels are paid, but {weights}")
        return shared.amounts(self._levels, amount.weights)

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
