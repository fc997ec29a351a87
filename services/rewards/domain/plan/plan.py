"""A plan as it decides: every rule reduced to an exact amount per level."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, tzinfo
from fractions import Fraction
from typing import NamedTuple

from services.rewards.domain.details import MAX_LINES, Line
from services.rewards.domain.ledger import MAX_AMOUNT_MINOR
from services.rewards.domain.plan.allotments import Part
from services.rewards.domain.plan.amounts import Base, LevelAmount, Table
from services.rewards.domain.plan.asset import Asset
from services.rewards.domain.plan.audience import BUYER_LEVEL, Audience, Role
from services.rewards.domain.plan.condition import Condition, counters_in
from services.rewards.domain.plan.contests import Contest
from services.rewards.domain.plan.counters import Counter, Measure
from services.rewards.domain.plan.hold import Hold
from services.rewards.domain.plan.limits import Budget, Cap, CapScope
from services.rewards.domain.plan.occurrence import Occurrence
from services.rewards.domain.plan.qualification import Qualification, Unqualified
from services.rewards.domain.plan.rounding import Rounder, Rounding, rounder
from services.rewards.domain.plan.shares import RewardShare
from services.rewards.domain.plan.terms import NO_TERMS, Terms
from services.rewards.domain.plan.tiers import Tiers

MAX_LEVEL = 64
"""The most levels of an upline that an event carries."""
MAX_ASSET_MINOR_PER_BASE_MINOR = 10_000
"""The most that a percentage pays for one minor unit of its base, whatever the asset is worth."""
MAX_SURE_BASE_MINOR = MAX_AMOUNT_MINOR // MAX_ASSET_MINOR_PER_BASE_MINOR
"""A base (a billion in a currency of cents) up to which no percentage of any plan is more than a reward can be."""
MAX_CONVERSION_STEPS = 10_000_000
"""The most steps that deciding one conversion takes: some 0.3 s, in which nothing else is decided. 200 rules for 64
levels with a condition on each person's attributes stay below it. No plan is published that may take more; of a stored
one that may, rules that a conversion's steps do not reach for pay nothing."""
LEVEL_STEPS = 50
"""To decide a level of a rule takes as long as so many steps of conditions."""
MAX_QUICK_STEPS = 100_000
"""The most steps of a conversion that is decided among others: some 3 ms. It may have 2,000 rewards. What takes more is
decided apart, so that nobody waits for it."""
_LARGEST_TEXT = "\U0001f600" * 256
_LARGEST_LINE = Line(
    _LARGEST_TEXT, _LARGEST_TEXT, _LARGEST_TEXT, 0, {f"{number}{_LARGEST_TEXT}": _LARGEST_TEXT for number in range(20)}
)
_LINES = {0: (), **{2**power: (_LARGEST_LINE,) * 2**power for power in range(10)}}
"""The lines of orders that are priced, by their number: the largest that the contracts allow."""

__all__ = ["BUYER_LEVEL", "Base", "LevelAmount", "Plan", "Rule"]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: on these events, these levels get this much."""

    rule_id: str
    ordinal: int
    """The place of the rule in the plan, which is a part of reward ids."""
    event_types: frozenset[str]
    levels: tuple[LevelAmount, ...]
    """The levels that are paid; with tiers of mode BONUS, each has an amount of 0."""
    base: Base
    asset: Asset
    hold: Hold | None
    """The conditions for its rewards to become available; None where they are at once."""
    to: Audience = Audience(Role.UPLINE)  # noqa: RUF009  a tuple: immutable
    when: Condition | None = None
    lines: Condition | None = None
    """The condition for a line to count; None for all lines."""
    table: Table | None = None
    """Amounts by line; the amount of a level is a multiple of their sum."""
    part: Part | None = None
    """The rule's share of an allotment, if it has one; the levels have the exact amounts."""
    occurrence: Occurrence | None = None
    qualification: Qualification | None = None
    tiers: Tiers | None = None
    caps: tuple[Cap, ...] = ()
    share: RewardShare | None = None
    group: str = ""
    earnings_of: frozenset[str] = frozenset()
    least_left_percent: Fraction | None = None
    """The percentage of the conversion that must be left for the rule to pay anything; None where any part will do."""
    unit_worth: Fraction = Fraction(1)
    """Minor units of the program's currency for one minor unit of the asset; 1 for assets that have no worth in it."""
    budgets: tuple[Budget, ...] = ()
    """The budgets that its rewards use up, which the plan finds among its own."""
    limits: tuple[Cap | Budget, ...] = field(init=False)
    """The limits of its rewards besides those of all rewards: its caps in their order, then budgets."""
    is_plain: bool = field(init=False)
    """Whether the rule only pays each level of the upline, or the buyer, a part of the order or margin, or a fixed
    amount."""
    counter_ids: tuple[str, ...] = field(init=False)
    """The counters, of the people whom it may pay, that the rule asks for."""

    def __post_init__(self) -> None:
        features = (
            self.when, self.lines, self.table, self.part, self.occurrence, self.qualification, self.tiers, self.caps,
            self.share, self.group, self.least_left_percent is not None, self.to.who is Role.LINK_OWNER,
            self.base in (Base.LINES, Base.EARNINGS), self._is_huge,
        )  # fmt: skip
        object.__setattr__(self, "is_plain", not any(features))
        object.__setattr__(self, "limits", (*self.caps, *self.budgets))
        conditions = (self.when, self.qualification.when if self.qualification else None)
        counter_ids = {name for each in conditions if each is not None for name in counters_in(each)}
        counter_ids |= {self.tiers.counter_id} if self.tiers else set()
        object.__setattr__(self, "counter_ids", tuple(sorted(counter_ids)))

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """Its conditions."""
        stated = (self.when, self.lines, self.qualification.when if self.qualification else None)
        return tuple(each for each in stated if each is not None)

    def steps(self, extent: "Extent", steps_of: Callable[[Condition], int]) -> int:
        """The most steps that the rule takes for a conversion of this extent. `steps_of`: those of one evaluation."""
        paid = passed = max(min(len(self.levels), extent.levels), 1)
        qualification = self.qualification
        if qualification is not None and qualification.otherwise is Unqualified.COMPRESS:
            passed = extent.levels
        once, above_each = 0, LEVEL_STEPS * paid
        for condition, people in ((self.when, paid), (qualification.when if qualification else None, passed)):
            if condition is not None and condition.asks_for_people:
                above_each += people * steps_of(condition)
            elif condition is not None:
                once += steps_of(condition)
        if self.lines is not None:
            once += extent.lines * steps_of(self.lines)
        sources = sum(extent.paid_by_rule.get(each, 0) for each in self.earnings_of)
        return once + above_each * (sources if self.base is Base.EARNINGS else 1)

    @property
    def _is_huge(self) -> bool:
        """Whether the rule states an amount that no reward may have; plans could before that was forbidden."""
        return any(each.percent is None and each.numerator > MAX_AMOUNT_MINOR for each in self.levels)

    @property
    def waits(self) -> bool:
        """Whether the rule's hold needs more than time."""
        return self.hold is not None and self.hold.waits

    def minor_per_minor_of(self, source: "Rule") -> Fraction:
        """Minor units of the rule's asset for one minor unit of the asset of another rule."""
        return Fraction(1) if source.asset.code == self.asset.code else source.unit_worth / self.unit_worth

    @property
    def counts(self) -> bool:
        """Whether the rule reads or changes tallies of its own."""
        by_number = self.occurrence is not None and (self.occurrence.first or self.occurrence.nth)
        return bool(by_number or self.tiers or any(each.scope is not CapScope.REWARD for each in self.caps))


class Extent(NamedTuple):
    """The size of a conversion, as far as it makes deciding long."""

    levels: int
    """Of its upline."""
    lines: int
    paid_by_rule: Mapping[str, int]
    """How many levels each rule pays, of which others may take a part."""


@dataclass(frozen=True, slots=True)
class EventRules:
    """The rules of a plan for one event type, and their properties: found out once, not for every conversion."""

    rules: tuple[Rule, ...]
    """The rules that the event type triggers, in the plan's order."""
    direct: tuple[Rule, ...]
    """The rules that take a part of the conversion."""
    indirect: tuple[Rule, ...]
    """The rules whose base is EARNINGS."""
    occurrences: tuple[tuple[Rule, Occurrence], ...]
    """The rules that pay only some of a buyer's conversions, with the choice of these."""
    counters: tuple[Counter, ...]
    """The counters that a conversion may change."""
    is_plain: bool
    """Whether every rule is decided level by level, without regard to anything else."""
    has_groups: bool
    has_shares: bool
    counts_heads: bool
    """Whether one of the counters is of REFEREES."""

    def extent(self, levels: int, lines: int) -> Extent:
        """The size of a conversion with so many levels above the buyer and so many lines."""
        return Extent(levels, lines, {each.rule_id: min(len(each.levels), max(levels, 1)) for each in self.direct})

    def prices(self, extent: Extent, steps_of: Callable[[Condition], int]) -> list[tuple[Counter | Rule, int]]:
        """The most steps that each counter and each rule takes for a conversion of this extent, in the plan's order."""
        counted = [(each, steps_of(each.when)) for each in self.counters if each.when is not None]
        return [*counted, *((each, each.steps(extent, steps_of)) for each in self.rules)]


@dataclass(frozen=True, slots=True)
class Plan:
    """One version of a program's plan."""

    program_id: str
    version: int
    currency_code: str
    rounding: Rounding
    assets: tuple[Asset, ...]
    rules: tuple[Rule, ...]
    effective_time: datetime | None
    """The first moment at which the version pays; None for since always."""
    terms: Terms = NO_TERMS
    zone: tzinfo = UTC
    """The time zone of periods and hours."""
    counters: Mapping[str, Counter] = field(default_factory=dict)
    budgets: tuple[Budget, ...] = ()
    contests: tuple[Contest, ...] = ()
    round: Rounder = field(init=False, compare=False, repr=False)
    """The function of its rounding."""
    is_stateful: bool = field(init=False)
    """Whether the plan counts anything from conversion to conversion."""
    _costly: dict[str, bool] = field(init=False, compare=False, repr=False, default_factory=dict)
    _quick: dict[str, bool] = field(init=False, compare=False, repr=False, default_factory=dict)
    _quick_extents: dict[tuple[str, int, int], bool] = field(
        init=False, compare=False, repr=False, default_factory=dict
    )
    _event_rules: dict[str, EventRules] = field(init=False, compare=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        counts = bool(self.counters or self.budgets or any(rule.counts for rule in self.rules))
        object.__setattr__(self, "is_stateful", counts)
        object.__setattr__(self, "round", rounder(self.rounding))
        object.__setattr__(self, "rules", tuple(self._with_budgets(each) for each in self.rules))

    def event_rules(self, event_type: str) -> EventRules:
        """The rules for an event type."""
        return self._event_rules.get(event_type) or self._select_rules(event_type)

    def prices(self, event_type: str) -> list[tuple[Counter | Rule, int]]:
        """The most steps that each counter and each rule takes for the largest conversion of a type."""
        event_rules = self.event_rules(event_type)
        return event_rules.prices(event_rules.extent(MAX_LEVEL, MAX_LINES), lambda condition: condition.steps({}))

    def is_costly(self, event_type: str) -> bool:
        """Whether a conversion of a type may take more steps than one has: no plan is published any more that does."""
        if event_type not in self._costly:
            self._costly[event_type] = sum(steps for _, steps in self.prices(event_type)) > MAX_CONVERSION_STEPS
        return self._costly[event_type]

    def is_quick(self, event_type: str) -> bool:
        """Whether every conversion of a type is decided quickly, however large it is."""
        if event_type not in self._quick:
            self._quick[event_type] = sum(steps for _, steps in self.prices(event_type)) <= MAX_QUICK_STEPS
        return self._quick[event_type]

    def is_quick_for(self, event_type: str, levels: int, lines: int) -> bool:
        """Whether a conversion with so many levels above the buyer and so many lines is decided quickly."""
        rounded = min((count for count in _LINES if count >= lines), default=max(_LINES))
        key = event_type, levels, rounded
        if key not in self._quick_extents:
            event_rules, values = self.event_rules(event_type), {"lines": _LINES[rounded]}
            prices = event_rules.prices(
                event_rules.extent(levels, rounded),
                lambda condition: condition.steps(values if "lines" in condition.names else {}),
            )
            self._quick_extents[key] = sum(steps for _, steps in prices) <= MAX_QUICK_STEPS
        return self._quick_extents[key]

    def _select_rules(self, event_type: str) -> EventRules:
        rules = tuple(each for each in self.rules if event_type in each.event_types)
        counters = tuple(each for each in self.counters.values() if event_type in each.event_types)
        event_rules = self._event_rules[event_type] = EventRules(
            rules,
            direct=tuple(each for each in rules if each.base is not Base.EARNINGS),
            indirect=tuple(each for each in rules if each.base is Base.EARNINGS),
            occurrences=tuple((each, each.occurrence) for each in rules if each.occurrence is not None),
            counters=counters,
            is_plain=not self.budgets and all(each.is_plain for each in rules),
            has_groups=any(each.group for each in rules),
            has_shares=any(each.share is not None for each in rules),
            counts_heads=any(each.measure is Measure.REFEREES for each in counters),
        )
        return event_rules

    def _with_budgets(self, rule: Rule) -> Rule:
        budgets = tuple(each for each in self.budgets if each.concerns(rule.rule_id, rule.asset.code))
        return rule if rule.budgets == budgets else replace(rule, budgets=budgets)

    @property
    def has_order(self) -> bool:
        """Whether it matters in which order facts are settled, because the plan counts something or a person may reject
        rewards between two refunds."""
        return self.is_stateful or any(rule.hold is not None and rule.hold.approval for rule in self.rules)

    @property
    def waits(self) -> bool:
        """Whether any hold of the plan needs more than time."""
        return any(rule.waits for rule in self.rules)
