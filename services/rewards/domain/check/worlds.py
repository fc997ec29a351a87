"""Finds conditions that can be true at once: values are tried for whatever they ask about, so that no two rules are
added up that exclude each other."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import product
from math import prod
from typing import Final, NamedTuple

from services.rewards.domain.plan.audience import Role
from services.rewards.domain.plan.condition import COUNTERS_PREFIX, Condition, ConditionError, Variable
from services.rewards.domain.plan.plan import MAX_LEVEL, Plan, Rule
from services.rewards.domain.plan.qualification import Unqualified

MAX_WORLDS: Final = 5_000
"""Combinations of values that are tried to find out whether a condition is ever true: some hundredths of a second."""
MAX_CHECKS: Final = 20_000
"""The number of times that units are asked whether they are paid, over all combinations and units of an event type.
Beyond it they are taken to be paid together: a plan of 200 rules with 64 levels each must not keep other publishers
waiting."""
_OF_PERSON: Final = ("beneficiary.", COUNTERS_PREFIX, "level")

Domains = Mapping[str, Collection[object]]
"""All values of the variables that have few."""
Alternatives = dict[int, Mapping[Variable, Collection[object]] | None]
"""The alternatives of conditions, by the identity of the condition."""
Key = tuple[Variable, object]
"""A variable, with the person whose it is if it is a beneficiary's."""


class RuleLevel(NamedTuple):
    """One level of one rule: it is paid or not as a whole. A rule with base EARNINGS is one unit, because others decide
    whom it pays."""

    rule: Rule
    number: int
    """The place of the level among the rule's levels."""

    @property
    def role_level(self) -> tuple[Role, int]:
        """The level that is paid: the same person in every rule that has it, unless levels move down."""
        return self.rule.to.who, self.rule.levels[self.number].level

    @property
    def person(self) -> object:
        """The person who is paid, and whose variables the unit's conditions ask for: two units with the same person pay
        the same one. Where levels move down, it is somebody else than the person at that level, and another one for
        each qualification."""
        qualification = self.rule.qualification
        if qualification is None or qualification.otherwise is Unqualified.SKIP:
            return self.role_level
        return qualification.when.text, self.role_level

    @property
    def conditions(self) -> Iterator[Condition]:
        """The conditions that must be true for the unit to be paid, as far as it is known of whom they ask."""
        if self.rule.when is not None and not (self.rule.earnings_of and self.rule.when.asks_for_people):
            yield self.rule.when
        qualification = self.rule.qualification
        if qualification is not None and qualification.otherwise is Unqualified.SKIP and not self.rule.earnings_of:
            yield qualification.when


def domains_of(plan: Plan, event_types: Iterable[str], levels: Iterable[int]) -> Domains:
    """The variables of conditions that have few values."""
    return {
        "event.type": tuple(event_types),
        "event.currency_code": (plan.currency_code,),
        "event.new_customer": (False, True),
        "event.hour": range(24),
        "event.weekday": range(1, 8),
        "buyer.bound": (False, True),
        "level": tuple(levels),
    }


def every_level(rule: Rule) -> Iterable[int]:
    """The values that `level` can have in a rule's conditions."""
    return range(MAX_LEVEL + 1) if rule.qualification is not None else [each.level for each in rule.levels]


def is_ever_true(condition: Condition, domains: Domains) -> bool:
    """Whether a condition can be true; False only where everything that it asks for was tried."""
    choices = _choices(condition, domains, condition.alternatives)
    if choices is None or prod(len(each) for each in choices.values()) > MAX_WORLDS:
        return True
    return any(_holds(condition, dict(zip(choices, values, strict=True))) for values in product(*choices.values()))


def possible(
    plan: Plan, event_type: str, units: Sequence[RuleLevel], bound: Iterable[Iterable[int]]
) -> Iterator[list[frozenset[int]]]:
    """The sets of units that can be paid together, by their positions: a list for each part of the units that has
    nothing to do with the others. `bound`: positions of units that belong to one part for another reason."""
    read: Alternatives = {}
    conditions = [_UnitConditions.of(plan, event_type, each, read) for each in units]
    checks_left = MAX_CHECKS
    for part in _parts([each.keys for each in conditions], bound):
        values: dict[Key, set[object]] = {}
        for each in (choice for position in part for choice in conditions[position].choices):
            for key, choices in each.items():
                values.setdefault(key, set()).update(choices)
        count = prod(len(each) for each in values.values()) * len(part)
        if count > checks_left:
            yield [frozenset(part)]
            continue
        checks_left -= count
        sets: dict[frozenset[int], None] = {}
        for chosen in product(*values.values()):
            world = dict(zip(values, chosen, strict=True))
            sets[frozenset(position for position in part if conditions[position].holds(world))] = None
        yield list(sets)


class _UnitConditions:
    """The conditions of one unit, as far as they can be tried."""

    def __init__(self) -> None:
        self.choices: list[dict[Key, Collection[object]]] = []
        self._conditions: list[Condition] = []
        self._verdicts: dict[tuple[int, tuple[object, ...]], bool] = {}

    @classmethod
    def of(cls, plan: Plan, event_type: str, unit: RuleLevel, read: "Alternatives") -> "_UnitConditions":
        """Reads the conditions of one unit. `read` keeps alternatives of conditions that other units have too, for many
        levels belong to few rules."""
        conditions = cls()
        domains = domains_of(plan, [event_type], [unit.rule.levels[unit.number].level])
        for condition in unit.conditions:
            if id(condition) not in read:
                read[id(condition)] = condition.alternatives
            choices = _choices(condition, domains, read[id(condition)])
            if choices is not None:
                conditions._conditions.append(condition)
                conditions.choices.append({_key(each, unit): values for each, values in choices.items()})
        return conditions

    @property
    def keys(self) -> set[Key]:
        return {key for each in self.choices for key in each}

    def holds(self, world: Mapping[Key, object]) -> bool:
        return all(self._verdict(number, world) for number in range(len(self._conditions)))

    def _verdict(self, number: int, world: Mapping[Key, object]) -> bool:
        keys = self.choices[number]
        key = number, tuple(world[each] for each in keys)
        if key not in self._verdicts:
            self._verdicts[key] = _holds(self._conditions[number], {each[0]: world[each] for each in keys})
        return self._verdicts[key]


def _key(variable: Variable, unit: RuleLevel) -> Key:
    return variable, unit.person if variable[0].startswith(_OF_PERSON) else None


def _choices(
    condition: Condition, domains: Domains, alternatives: Mapping[Variable, Collection[object]] | None
) -> dict[Variable, Collection[object]] | None:
    """Every value to try of every variable; None where there is no telling."""
    if condition.names <= domains.keys():
        return {(name, ""): domains[name] for name in sorted(condition.names)}
    if alternatives is None:
        return None
    return {
        variable: values if variable[1] else domains.get(variable[0], values)
        for variable, values in alternatives.items()
    }


def _holds(condition: Condition, chosen: Mapping[Variable, object]) -> bool:
    values: dict[str, object] = {}
    for (name, key), value in chosen.items():
        if not key:
            values[name] = value
            continue
        entries = values.setdefault(name, {})
        if value is not None and isinstance(entries, dict):
            entries[key] = value
    try:
        return condition.holds(values)
    except ConditionError:
        return False


def _parts(keys: Sequence[set[Key]], bound: Iterable[Iterable[int]]) -> list[list[int]]:
    """Positions, those together that share a key, directly or by way of others."""
    parents = list(range(len(keys)))

    def root(position: int) -> int:
        while parents[position] != position:
            parents[position] = position = parents[parents[position]]
        return position

    by_key: dict[Key, int] = {}
    for position, each in enumerate(keys):
        for key in each:
            parents[root(position)] = root(by_key.setdefault(key, position))
    for together in bound:
        first, *others = list(together) or [0]
        for position in others:
            parents[root(position)] = root(first)
    parts: dict[int, list[int]] = {}
    for position in range(len(keys)):
        parts.setdefault(root(position), []).append(position)
    return list(parts.values())
