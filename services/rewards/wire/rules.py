"""Rules: from the contract to the plan, with every mistake named by rule and field."""

from collections.abc import Mapping
from fractions import Fraction

from upline.rewards.v1 import plan_pb2

from services.rewards.domain.plan.allotments import Part
from services.rewards.domain.plan.amounts import Base, LevelAmount
from services.rewards.domain.plan.audience import Audience, Role
from services.rewards.domain.plan.condition import Condition
from services.rewards.domain.plan.hold import Hold
from services.rewards.domain.plan.limits import Cap, CapScope
from services.rewards.domain.plan.occurrence import Occurrence
from services.rewards.domain.plan.plan import Rule
from services.rewards.domain.plan.qualification import Qualification, Unqualified
from services.rewards.domain.plan.shares import RewardShare
from services.rewards.domain.tally import tallies
from services.rewards.wire.allotments import SharedAllotment
from services.rewards.wire.amounts import AmountReader
from services.rewards.wire.audiences import read_audience
from services.rewards.wire.plan_context import OVERFLOWS, PERIODS, STANDS_IN, PlanContext
from services.rewards.wire.tiers import TierReader
from services.rewards.wire.variables import Scope

MAX_HOLD_DAYS = 3_660
MAX_BINDING_DAYS = 36_600
_NO_MORE = "it is a split, never more money"
_MOST_LEFT = "it is a part of the conversion's amount, of which never more is left"
_UNQUALIFIED = {
    plan_pb2.UNQUALIFIED_UNSPECIFIED: Unqualified.SKIP,
    plan_pb2.UNQUALIFIED_SKIP: Unqualified.SKIP,
    plan_pb2.UNQUALIFIED_COMPRESS: Unqualified.COMPRESS,
}
_SCOPES = {
    plan_pb2.CAP_SCOPE_REWARD: CapScope.REWARD,
    plan_pb2.CAP_SCOPE_BENEFICIARY: CapScope.BENEFICIARY,
    plan_pb2.CAP_SCOPE_REFEREE: CapScope.REFEREE,
    plan_pb2.CAP_SCOPE_PROGRAM: CapScope.PROGRAM,
}


class RuleReader:
    """Reads one rule and notes its mistakes."""

    def __init__(
        self, plan: PlanContext, message: plan_pb2.Rule, ordinal: int, allotments: Mapping[str, SharedAllotment]
    ) -> None:
        self._plan = plan
        self._allotments = allotments
        self._message = message
        self._ordinal = ordinal
        self._path = f"plan.rules[{ordinal}]"

    def read(self) -> Rule:
        """The rule; it is of use only if no mistake was noted."""
        message = self._message
        asset = self._plan.asset(message.asset, f"{self._path}.asset", f"rule {message.rule_id!r}") or STANDS_IN
        to = read_audience(message.to, f"{self._path}.to", self._plan.problems)
        paid = range(to.first_level, to.last_level + 1)
        amounts = AmountReader(self._plan, message, self._path, asset, paid, self._allotments)
        levels = self._levels(amounts, to)
        tiers = TierReader(self._plan, message, self._path, amounts, levels).read()
        self._check_base(amounts, to)
        return Rule(
            rule_id=message.rule_id,
            ordinal=self._ordinal,
            event_types=frozenset(message.on),
            levels=tuple(levels),
            base=amounts.base,
            asset=asset,
            hold=self._hold(),
            to=to,
            when=self._when(),
            lines=amounts.shared.lines if amounts.shared else self._condition(message.lines, Scope.LINE, "lines"),
            table=amounts.table,
            part=self._part_of(amounts.shared, to, levels) if amounts.shared else None,
            occurrence=self._occurrence(),
            qualification=self._qualification(to),
            tiers=tiers,
            caps=self._caps(),
            share=self._share(to),
            group=message.group,
            earnings_of=frozenset(message.earnings_of),
            least_left_percent=self._part(message.least_left_percent or "0", "least_left_percent", _MOST_LEFT) or None,
            unit_worth=1 / (self._plan.rate(asset) or Fraction(1)),
        )

    def _wrong(self, field: str, description: str) -> None:
        self._plan.problems.wrong(f"{self._path}.{field}", f"rule {self._message.rule_id!r}: {description}")

    def _forbid(self, field: str, description: str) -> None:
        self._plan.problems.forbid(f"{self._path}.{field}", f"rule {self._message.rule_id!r}: {description}")

    def _condition(self, text: str, scope: Scope, field: str) -> Condition | None:
        return self._plan.condition(text, scope, f"{self._path}.{field}", f"rule {self._message.rule_id!r}")

    def _when(self) -> Condition | None:
        """The rule's condition. With an occurrence it is on the conversion alone: it says which ones are counted."""
        counted = self._message.HasField("occurrence")
        return self._condition(self._message.when, Scope.CONVERSION if counted else Scope.PERSON, "when")

    def _levels(self, amounts: AmountReader, to: Audience) -> list[LevelAmount]:
        """The levels that are paid."""
        is_bonus = self._message.HasField("tiers") and self._message.tiers.mode == plan_pb2.TIER_MODE_BONUS
        if is_bonus:
            if amounts.how:
                self._forbid("amount", "is stated by the tiers: those of mode BONUS have amounts of their own")
            return [LevelAmount(level, 0, 1, None) for level in range(to.first_level, to.last_level + 1)]
        if not amounts.how:
            self._wrong("amount", "is missing: how much does it pay?")
            return []
        read = amounts.read()
        levels = [each for each in read if each.numerator]
        if not levels and amounts.how in ("per_level", "allot") and read:
            self._wrong("amount", "pays nothing at any level")
        return levels

    def _part_of(self, shared: SharedAllotment, to: Audience, levels: list[LevelAmount]) -> Part:
        numbers = [shared.parts[self._ordinal, each.level - to.first_level] for each in levels]
        return Part(shared.allotment, tuple(numbers))

    def _check_base(self, amounts: AmountReader, to: Audience) -> None:
        message = self._message
        if message.lines and amounts.shared is not None:
            self._forbid("lines", "is stated by the allotment: write it there")
        elif message.lines and amounts.base is not Base.LINES:
            self._forbid("lines", "is for the base LINES and for tables only")
        if amounts.base is not Base.EARNINGS:
            if message.earnings_of:
                self._forbid("earnings_of", "is for the base EARNINGS only")
            return
        if not message.earnings_of:
            self._forbid("earnings_of", "is missing: whose rewards are the base?")
        if to.who is not Role.UPLINE:
            self._forbid("to", "must be levels of the upline with the base EARNINGS")
        if message.group:
            self._forbid("group", "is not for the base EARNINGS, which is decided after groups")

    def _hold(self) -> Hold | None:
        if not self._message.HasField("hold"):
            return None
        stated = self._message.hold
        if stated.HasField("duration"):
            duration = self._plan.span(stated.duration, f"{self._path}.hold.duration", MAX_HOLD_DAYS)
            return Hold(duration, stated.until_event, stated.approval)
        if not stated.until_event and not stated.approval:
            self._forbid("hold", "says nothing: give a duration, an event or approval")
        return Hold(None, stated.until_event, stated.approval)

    def _occurrence(self) -> Occurrence | None:
        if not self._message.HasField("occurrence"):
            return None
        message = self._message.occurrence
        within = None
        if message.HasField("within_of_binding"):
            path = f"{self._path}.occurrence.within_of_binding"
            within = self._plan.span(message.within_of_binding, path, MAX_BINDING_DAYS)
        elif not message.WhichOneof("which"):
            self._forbid("occurrence", "says nothing: give first, nth or within_of_binding")
        if message.before_binding and within is None:
            self._forbid("occurrence.before_binding", "is for within_of_binding only: give that too, or leave it out")
        return Occurrence(
            message.first, message.nth, within, message.before_binding == plan_pb2.BEFORE_BINDING_EXCLUDED
        )

    def _qualification(self, to: Audience) -> Qualification | None:
        if not self._message.HasField("qualification"):
            return None
        if to.who is not Role.UPLINE:
            self._forbid("qualification", "is for levels of the upline only; use `when`")
        message = self._message.qualification
        condition = self._condition(message.when, Scope.PERSON, "qualification.when")
        return None if condition is None else Qualification(condition, _UNQUALIFIED[message.otherwise])

    def _caps(self) -> tuple[Cap, ...]:
        caps: list[Cap] = []
        for index, each in enumerate(self._message.caps):
            scope, period = _SCOPES[each.scope], PERIODS[each.period]
            if scope is CapScope.REWARD and each.period:
                self._forbid(f"caps[{index}].period", "is not for the scope REWARD: each reward is capped by itself")
            alike = sum((other.scope, other.period) == (scope, period) for other in caps)
            name = tallies.cap(self._message.rule_id, scope.value, period.value, alike)
            caps.append(Cap(scope, each.amount_minor, period, OVERFLOWS[each.overflow], name))
        return tuple(caps)

    def _share(self, to: Audience) -> RewardShare | None:
        if not self._message.HasField("share"):
            return None
        if to.who is Role.BUYER:
            self._forbid("share", "is of rewards to the upline or the link owner: this one is the buyer's already")
        message = self._message.share
        if message.WhichOneof("part") == "percent":
            percent = self._part(message.percent, "share.percent")
            if percent == 0:
                self._forbid("share.percent", "must be more than 0")
            return RewardShare(percent, percent, percent, is_chosen=False)
        chosen = message.chosen
        least, most, default = (
            self._part(getattr(chosen, name), f"share.chosen.{name}")
            for name in ("min_percent", "max_percent", "default_percent")
        )
        if not least <= default <= most:
            self._forbid("share.chosen", "must be in order: min_percent, default_percent, max_percent")
        return RewardShare(default, least, most, is_chosen=True)

    def _part(self, text: str, field: str, why: str = _NO_MORE) -> Fraction:
        """A percentage of a whole."""
        value = Fraction(text)
        if value > 100:
            self._wrong(field, f"must be at most 100: {why}; it is {text}")
            return Fraction(100)
        return value
