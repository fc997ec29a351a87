"""The inputs of a decision: the conversion, its details, the tallies before it, and the verdicts of conditions on
them."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import cached_property, lru_cache
from typing import Final, NamedTuple

from services.rewards.domain.conversion import Conversion
from services.rewards.domain.details import Details, Line
from services.rewards.domain.plan.allotments import Divided
from services.rewards.domain.plan.audience import BUYER_LEVEL
from services.rewards.domain.plan.condition import COUNTERS_PREFIX, Condition, ConditionError, SharedFacts
from services.rewards.domain.plan.counters import Counter
from services.rewards.domain.plan.periods import period_names
from services.rewards.domain.plan.plan import MAX_CONVERSION_STEPS, Plan, Rule
from services.rewards.domain.tally.snapshot import Snapshot
from services.rewards.domain.tally.tallies import TallyKey

LINE: Final = "line"
LINES: Final = "lines"
OUT_OF_STEPS: Final = (
    f"deciding a conversion takes {MAX_CONVERSION_STEPS:,} steps at most, and what stands before it in the plan takes"
    " them"
)
NOT_BOUND: Final = -1
DAYS_SINCE_BIND: Final = "buyer.days_since_bind"
"""A variable that is -1 also for buyers who were bound within a day after the conversion: plans that were published
with it keep it, new ones are warned of it."""


class Inputs:
    """One conversion with everything that a plan may ask about it. Made for one decision."""

    _keeps_all = False
    """Whether verdicts are kept that a decision asks for once: on a person, or a line."""
    _shared_facts: SharedFacts | None = None

    def __init__(self, plan: Plan, conversion: Conversion, snapshot: Snapshot) -> None:
        self.plan = plan
        self.conversion = conversion
        self.snapshot = snapshot
        self.event_rules = plan.event_rules(conversion.event_type)
        self._is_costly = plan.is_costly(conversion.event_type)
        self._verdicts: dict[object, bool | str] = {}
        """The verdicts of conditions; where one has no value, why. An error would keep what it was evaluated with."""
        if (kept := conversion.verdicts) is not None and kept.plan is plan:
            self._verdicts, self._keeps_all = kept.by_question, True
        self.periods = period_names(conversion.occurred_at, plan.zone)
        """The periods in which the conversion happened, as tallies name them."""
        self.used: dict[tuple[int, str], tuple[TallyKey | None, ...]] = {}
        """The tallies of how much limits are used, by rule and beneficiary, as far as they were asked for; filled by
        headroom.py."""
        self.divided: dict[str, Divided] = {}
        """Allotments as far as they were asked for, so that each is divided once; filled by claims.py."""

    @cached_property
    def details(self) -> Details:
        """The details of the conversion, which only some plans ask for."""
        return self.conversion.read_details()

    @cached_property
    def link_owner_id(self) -> str:
        """The owner of the link or code that led to the conversion; empty for nobody, and where it is the buyer."""
        owner_id = self.details.link_owner_id
        return "" if owner_id == self.conversion.buyer_id else owner_id

    @cached_property
    def local_time(self) -> datetime:
        """When it happened, by the plan's clock."""
        return self.conversion.occurred_at.astimezone(self.plan.zone)

    def counter(self, counter_id: str, participant_id: str) -> int:
        """A participant's counter before the conversion, in its period."""
        counter = self.plan.counters[counter_id]
        return self.snapshot.values.get((counter.name, participant_id, self.periods[counter.period]), 0)

    def distance(self, participant_id: str) -> int:
        """How many levels above the buyer a participant stands; 0 for the buyer, and for anybody outside the upline."""
        upline = self.conversion.upline
        return upline.index(participant_id) + 1 if participant_id in upline else BUYER_LEVEL

    def holds(self, condition: Condition, participant_id: str, level: int) -> bool:
        """Whether a condition is true for a beneficiary. One that does not ask for people is evaluated once.

        Raises ConditionError.
        """
        if condition.asks_for_people:
            self._check_reached(condition)
            values = self._values(condition, participant_id, level)
            if not self._keeps_all:
                return condition.holds(values)
            counted = (values[name] for name, _ in _variables(condition.names).counters)
            return self._holds(condition, values, (id(condition), participant_id, level, *counted))
        verdict = self._verdicts.get(id(condition))
        if verdict is None:
            verdict = self._verdicts[id(condition)] = self._verdict(condition)
        if isinstance(verdict, str):
            raise ConditionError(verdict)
        return verdict

    def evaluate(self, conditions: Iterable[Condition]) -> None:
        """Evaluates conditions ahead and remembers the verdicts. A condition that asks for people
        has one for each person, and is left out."""
        for condition in conditions:
            if not condition.asks_for_people and id(condition) not in self._verdicts:
                self._verdicts[id(condition)] = self._verdict(condition)

    def let_facts_go(self) -> None:
        """Lets go of the facts that conditions shared so far: nobody keeps those of as many conversions as wait to be
        decided together."""
        self._shared_facts = None

    def holds_at_all(self, condition: Condition) -> bool:
        """Whether a condition on the conversion alone is true. Raises ConditionError."""
        return self.holds(condition, "", BUYER_LEVEL)

    def holds_for_line(self, condition: Condition, line: Line) -> bool:
        """Whether a condition on one line is true. Raises ConditionError."""
        self._check_reached(condition)
        values = self._values(condition, "", BUYER_LEVEL)
        if LINE in condition.names:
            values[LINE] = line
        return self._holds(condition, values, (id(condition), id(line))) if self._keeps_all else condition.holds(values)

    def reaches(self, rule: Rule) -> bool:
        """Whether the conversion's steps reach for a rule."""
        return not self._is_costly or rule.rule_id not in self._unreached.rule_ids

    def _check_reached(self, condition: Condition) -> None:
        if self._is_costly and id(condition) in self._unreached.conditions:
            raise ConditionError(OUT_OF_STEPS)

    @cached_property
    def _unreached(self) -> "_Unreached":
        """The rules and conditions that its steps do not reach for: counters and rules take theirs in the plan's order,
        by the most that they may need. So it does not depend on what is evaluated first, nor on what it comes to."""
        extent = self.event_rules.extent(len(self.conversion.upline), len(self.details.lines))
        left, rule_ids, conditions = MAX_CONVERSION_STEPS, set[str](), set[int]()
        for each, steps in self.event_rules.prices(extent, self._steps_of):
            if steps <= left:
                left -= steps
            elif isinstance(each, Rule):
                rule_ids.add(each.rule_id)
                conditions |= {id(condition) for condition in each.conditions}
            else:
                conditions.add(id(each.when))
        return _Unreached(frozenset(rule_ids), frozenset(conditions))

    def _steps_of(self, condition: Condition) -> int:
        return condition.steps({name: value(self) for name, value in _variables(condition.names).of_conversion})

    def _holds(self, condition: Condition, values: dict[str, object], question: tuple[object, ...]) -> bool:
        """Whether a condition is true, as it was if this was asked before."""
        verdict = self._verdicts.get(question)
        if verdict is None:
            try:
                verdict = condition.holds(values)
            except ConditionError as error:
                verdict = str(error)
            self._verdicts[question] = verdict
        if isinstance(verdict, str):
            raise ConditionError(verdict)
        return verdict

    def _verdict(self, condition: Condition) -> bool | str:
        try:
            self._check_reached(condition)
            if LINES in condition.names:
                return condition.holds_among(self._facts())
            return condition.holds(self._values(condition, "", BUYER_LEVEL))
        except ConditionError as error:
            return str(error)

    def _facts(self) -> SharedFacts:
        """The facts that conditions on the lines of the conversion share."""
        if self._shared_facts is None:
            self._shared_facts = SharedFacts({name: value(self) for name, value in _OF_CONVERSION.items()})
        return self._shared_facts

    def _values(self, condition: Condition, participant_id: str, level: int) -> dict[str, object]:
        """The values of the condition's variables; those of a person, where it asks for people."""
        variables = _variables(condition.names)
        values = {name: value(self) for name, value in variables.of_conversion}
        for name, counter_id in variables.counters:
            values[name] = self.counter(counter_id, participant_id)
        for name, of_person in variables.of_person:
            values[name] = of_person(self, participant_id, level)
        return values


def counts(counter: Counter, inputs: Inputs) -> bool:
    """Whether a conversion counts; one whose condition cannot be evaluated does not."""
    if inputs.conversion.event_type not in counter.event_types:
        return False
    try:
        return counter.when is None or inputs.holds_at_all(counter.when)
    except ConditionError:
        return False


def _days_since_bind(inputs: Inputs) -> int:
    bind_time = inputs.details.bind_time
    return NOT_BOUND if bind_time is None else (inputs.conversion.occurred_at - bind_time).days


def _days_bound(inputs: Inputs) -> int:
    bound_for = inputs.details.bound_for(inputs.conversion.occurred_at)
    return NOT_BOUND if bound_for is None else bound_for.days


def _attributes_of(inputs: Inputs, participant_id: str, _level: int) -> Mapping[str, str]:
    if participant_id == inputs.conversion.buyer_id:
        return inputs.details.buyer_attributes
    distance = inputs.distance(participant_id)
    known = inputs.details.upline_attributes
    if 0 < distance <= len(known):
        return known[distance - 1]
    return inputs.details.link_owner_attributes if participant_id == inputs.link_owner_id else {}


class _Unreached(NamedTuple):
    """Rules, and conditions by their identity, that a conversion's steps do not reach for."""

    rule_ids: frozenset[str]
    conditions: frozenset[int]


class _Variables(NamedTuple):
    """The variables of a condition by their names, each with the source of its value."""

    of_conversion: tuple[tuple[str, Callable[[Inputs], object]], ...]
    counters: tuple[tuple[str, str], ...]
    of_person: tuple[tuple[str, Callable[[Inputs, str, int], object]], ...]


@lru_cache(maxsize=10_000)
def _variables(names: frozenset[str]) -> _Variables:
    return _Variables(
        tuple((each, _OF_CONVERSION[each]) for each in names if each in _OF_CONVERSION),
        tuple((each, each.removeprefix(COUNTERS_PREFIX)) for each in names if each.startswith(COUNTERS_PREFIX)),
        tuple((each, _OF_PERSON[each]) for each in names if each in _OF_PERSON),
    )


_OF_CONVERSION: Final[dict[str, Callable[[Inputs], object]]] = {
    "event.type": lambda inputs: inputs.conversion.event_type,
    "event.conversion_id": lambda inputs: inputs.conversion.conversion_id,
    "event.amount_minor": lambda inputs: inputs.conversion.amount_minor,
    "event.currency_code": lambda inputs: inputs.conversion.currency_code,
    "event.occurred_at": lambda inputs: inputs.conversion.occurred_at,
    "event.hour": lambda inputs: inputs.local_time.hour,
    "event.weekday": lambda inputs: inputs.local_time.isoweekday(),
    "event.new_customer": lambda inputs: inputs.details.new_customer,
    "event.channel": lambda inputs: inputs.details.channel,
    "event.campaign": lambda inputs: inputs.details.campaign,
    "event.code": lambda inputs: inputs.details.code,
    "event.link_id": lambda inputs: inputs.details.link_id,
    "event.attributes": lambda inputs: inputs.details.attributes,
    LINES: lambda inputs: inputs.details.lines,
    "buyer.id": lambda inputs: inputs.conversion.buyer_id,
    "buyer.attributes": lambda inputs: inputs.details.buyer_attributes,
    "buyer.bound": lambda inputs: inputs.details.bind_time is not None,
    "buyer.days_bound": _days_bound,
    DAYS_SINCE_BIND: _days_since_bind,
}
_OF_PERSON: Final[dict[str, Callable[[Inputs, str, int], object]]] = {
    "beneficiary.id": lambda _inputs, participant_id, _level: participant_id,
    "beneficiary.attributes": _attributes_of,
    "level": lambda _inputs, _participant_id, level: level,
}
