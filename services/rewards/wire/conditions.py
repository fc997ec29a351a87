"""Conditions in CEL (the Common Expression Language), typed when a plan is read and evaluated by Google's own library.

Three properties of the library decide how it is used here. It has no way to declare a structure, so each field is a
variable with a dot in its name: a name that is misspelt is an error when the plan is read. Its evaluation errors come
back as values: only a value that *is* True counts as true. And it cannot be interrupted. It stops by itself after
10,000 turns of loops and nests no deeper than 32, but bounds neither texts nor patterns: so no condition is evaluated
of which it is not known before that it ends soon (condition_cost.py). Its string extensions are not loaded: `replace`
in a chain doubles a text with every link.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, cast

from cel_expr_python import cel
from upline.attribution.v1 import conversion_pb2

from chassis.pacing import give_way
from services.rewards.domain.details import Line
from services.rewards.domain.plan.condition import Condition, ConditionError, SharedFacts, Variable
from services.rewards.wire.alternatives import alternatives
from services.rewards.wire.condition_cost import MAX_STEPS, MAX_TURNS, ConditionCost, Shape, cost_of, shape_of
from services.rewards.wire.condition_errors import compile_error, place_of, without_status
from services.rewards.wire.pattern_cost import pattern_steps
from services.rewards.wire.problems import Problems
from services.rewards.wire.syntax import NodeKind, SyntaxNode, tree_of
from services.rewards.wire.variables import WITH_COUNTERS, Scope, largest, variables_of

_BARE: Final = (cel.Type.STRING, cel.Type.INT, cel.Type.BOOL, cel.Type.TIMESTAMP)
ENVIRONMENTS: Final = 64
"""The environments that are kept, the least recently used leaving first. Each takes a quarter of a megabyte, fifty
times what a condition takes, so plans share them: the same variables make the same environment. Conditions keep theirs
alive beyond that."""
CONDITION_BYTES: Final = 1_024
BYTES_A_SERIALIZED_BYTE: Final = 12
ENVIRONMENT_BYTES: Final = 256 * 1024
"""The memory that a condition takes for itself and for each byte of its serialized form, and an environment once it has
compiled something. Measured with lists, macros, calls and operators, which between them take 9 to 11 bytes a byte."""
_WORD: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PATTERN: Final = "pattern"
_MATCHER: Final = cel.NewEnv(variables={_PATTERN: cel.Type.STRING}).compile(f"''.matches({_PATTERN})")
"""An expression that tries a pattern: the library reads patterns when an expression is evaluated, not when it is
compiled."""
MAX_CONDITION_STEPS: Final = 1_000_000
"""The most steps of a condition: some 30 ms. The costliest that programs have are loops over lines, which take 200,000
to be handed to the library where an order has 500 with 20 attributes each. No plan is published with a condition that
may take more; a stored one that may is evaluated where the conversion at hand is small enough."""
MAX_KEPT_UNITS: Final = MAX_CONDITION_STEPS
"""The most units of 64 bytes that evaluations build of shared facts before the library is handed these anew, for until
then it keeps what they built: no more than one condition may build by itself. Forty conditions on each of 500 lines
build a third of it."""
_COSTLY_PATTERN_STEPS: Final = 1_000
"""Beyond it, a pattern may be what makes a condition too costly: asked of 500 lines, it takes half of what there is."""


class InvalidConditionError(ValueError):
    """An expression that does not compile: one sentence for people, with its place."""


@dataclass(frozen=True, slots=True)
class CelCondition:
    """A compiled expression of type bool."""

    text: str
    names: frozenset[str]
    asks_for_people: bool
    _expression: cel.Expression
    _is_bare: bool
    """Whether all variables are numbers, texts, truths or times, which the library takes as they are."""
    largest: Mapping[str, Shape] = field(compare=False)
    """Its variables for the largest conversion there can be."""
    cost: ConditionCost
    """The most that an evaluation takes with them."""

    @property
    def alternatives(self) -> Mapping[Variable, frozenset[object]] | None:
        """Values of each variable that between them take the condition through everything it can be; None where it is
        too complex for that."""
        return alternatives(self.tree)

    @property
    def tree(self) -> SyntaxNode:
        """The condition's syntax tree."""
        return tree_of(self._expression.serialize())

    def holds(self, values: Mapping[str, object]) -> bool:
        """Whether the condition is true; a variable that the expression does not use may be left out."""
        give_way()  # no other thread gets the interpreter while the library evaluates
        if self.cost.steps > MAX_CONDITION_STEPS:
            self._check_steps(values)
        return self._is_true(
            None, values if self._is_bare else {name: _to_cel(value) for name, value in values.items()}
        )

    def holds_among(self, facts: SharedFacts) -> bool:
        """Whether the condition is true; evaluated by itself where it may build too much to be kept for others."""
        if self.cost.built > MAX_KEPT_UNITS or self.cost.steps > MAX_CONDITION_STEPS:
            return self.holds({name: facts.values[name] for name in self.names})
        give_way()  # as above
        if not isinstance(facts.handed, _Handed):
            facts.handed = _Handed(facts.values)
        return self._is_true(facts.handed.activation(self.cost.built), None)

    def _is_true(self, activation: cel.Activation | None, data: Mapping[str, object] | None) -> bool:
        try:
            result = self._expression.eval(activation, data).value()
        except RuntimeError as error:  # the library raises where its budget is used up
            raise ConditionError(without_status(str(error))) from error
        if result is True or result is False:
            return result
        raise ConditionError(without_status(str(result)))

    def steps(self, values: Mapping[str, object]) -> int:
        """The most steps that an evaluation takes with these values; those left out count as large as they can be."""
        return min(self._steps(values), MAX_CONDITION_STEPS)  # what takes more is not evaluated

    def _steps(self, values: Mapping[str, object]) -> int:
        if not values:
            return self.cost.steps
        return cost_of(self.tree, {**self.largest, **{name: shape_of(each) for name, each in values.items()}}).steps

    def _check_steps(self, values: Mapping[str, object]) -> None:
        """Refuses to evaluate what takes too long with these values."""
        steps = self._steps(values)
        if steps > MAX_CONDITION_STEPS:
            raise ConditionError(
                f"it may take {_number(steps)} steps here, and a condition has {MAX_CONDITION_STEPS:,} at most"
            )


class _Handed:
    """The facts of a conversion as the library was handed them: once for many evaluations."""

    def __init__(self, values: Mapping[str, object]) -> None:
        self._data = _as_data(values)
        self._activation: cel.Activation | None = None
        self._left = 0
        """The units that evaluations may still build before it is handed them anew."""

    def activation(self, units: int) -> cel.Activation:
        """The facts for an evaluation that builds so many units at most."""
        if self._activation is None or self._left < units:
            self._activation = _environment(Scope.CONVERSION, frozenset()).Activation(self._data)
            self._left = MAX_KEPT_UNITS
        self._left -= units
        return self._activation


class Compiler:
    """Compiles the conditions of one plan."""

    def __init__(self, counter_ids: Iterable[str]) -> None:
        self._counter_ids = frozenset(counter_ids)
        self._variables = variables_of(self._counter_ids)
        self._scopes: set[Scope] = set()
        """The scopes of its conditions."""
        self._condition_bytes = 0

    @property
    def compiled_bytes(self) -> int:
        """The memory that all its conditions take so far, with environments that no other plan may share."""
        own = sum(scope in WITH_COUNTERS for scope in self._scopes) if self._counter_ids else 0
        return self._condition_bytes + ENVIRONMENT_BYTES * own

    def compile(self, text: str, scope: Scope) -> CelCondition:
        """The expression, ready to be evaluated. Raises InvalidConditionError."""
        give_way()
        # What the conversion alone decides is evaluated once for it, not once for everybody.
        if scope is Scope.PERSON and self._is_valid(text, Scope.CONVERSION):
            scope = Scope.CONVERSION
        try:
            expression = self._environment(scope).compile(text)
        except RuntimeError as error:
            raise InvalidConditionError(compile_error(str(error), text, scope, self._variables[scope])) from error
        if expression.return_type() != cel.Type.BOOL:
            raise InvalidConditionError(f"is of type {expression.return_type().name().lower()}, not bool")
        self._scopes.add(scope)
        self._condition_bytes += CONDITION_BYTES + BYTES_A_SERIALIZED_BYTE * len(expression.serialize())
        names = self._names(text, scope)
        is_bare = all(self._variables[scope][each] in _BARE for each in names)
        shapes = {each: largest(self._variables[scope][each]) for each in names}
        cost = cost_of(tree_of(expression.serialize()), shapes)
        return CelCondition(text, names, scope is Scope.PERSON, expression, is_bare, shapes, cost)

    def read(self, text: str, scope: Scope, path: str, owner: str, problems: Problems) -> Condition | None:
        """Reads a condition as `compile` does, with mistakes noted as the owner's; None for an empty text, or a wrong
        one."""
        if not text:
            return None
        try:
            condition = self.compile(text, scope)
        except InvalidConditionError as error:
            problems.wrong(path, f"{owner}: {error}")
            return None
        if too_costly := _too_costly(condition):
            problems.forbid(path, f"{owner}: {too_costly}")
        for mistake in _wrong_patterns(condition):
            problems.forbid(path, f"{owner}: {mistake}")
        return condition

    def names(self, scope: Scope) -> list[str]:
        """The variables that a condition may ask for."""
        return sorted(self._variables[scope])

    def _is_valid(self, text: str, scope: Scope) -> bool:
        try:
            self._environment(scope).compile(text)
        except RuntimeError:
            return False
        return True

    def _environment(self, scope: Scope) -> cel.Env:
        return _environment(scope, self._counter_ids if scope in WITH_COUNTERS else frozenset())

    def _names(self, text: str, scope: Scope) -> frozenset[str]:
        """The variables whose every part stands in the text: all that it uses, seldom one more."""
        words = set(_WORD.findall(text))
        return frozenset(name for name in self._variables[scope] if words.issuperset(name.split(".")))


@dataclass(frozen=True, slots=True)
class _NamedCondition:
    """A condition of which no more is known than the names in its text."""

    text: str
    names: frozenset[str]
    asks_for_people: bool
    alternatives: None = None

    def steps(self, values: Mapping[str, object]) -> int:
        """Raises NotImplementedError: nothing is decided by a plan that is not compiled."""
        raise NotImplementedError(f"not compiled: {self.text!r}, for {sorted(values)}")

    def holds(self, values: Mapping[str, object]) -> bool:
        """Raises NotImplementedError: nothing is decided by a plan that is not compiled."""
        raise NotImplementedError(f"not compiled: {self.text!r}, for {sorted(values)}")

    def holds_among(self, facts: SharedFacts) -> bool:
        """Raises NotImplementedError: nothing is decided by a plan that is not compiled."""
        raise NotImplementedError(f"not compiled: {self.text!r}, for {sorted(facts.values)}")


class NamingCompiler(Compiler):
    """Compiles nothing. It stands in where all of a plan is asked for but its conditions, which take nearly all of its
    time and memory."""

    def read(self, text: str, scope: Scope, path: str, owner: str, problems: Problems) -> Condition | None:
        """The condition with its names; None for an empty text."""
        return _NamedCondition(text, self._names(text, scope), scope is Scope.PERSON) if text else None


@lru_cache(ENVIRONMENTS)
def _environment(scope: Scope, counter_ids: frozenset[str]) -> cel.Env:
    """The environment in which conditions of all plans with these counters are compiled."""
    return cel.NewEnv(variables=variables_of(counter_ids)[scope])


def _too_costly(condition: CelCondition) -> str:
    """The message about a condition that may take too long: how much, and what takes less. Empty for one that may
    not."""
    steps, turns, _ = condition.cost
    largest = "for the largest conversion there can be"
    if turns > MAX_TURNS:
        return (
            f"its loops may take {_number(turns)} turns {largest}; at most {MAX_TURNS:,}: ask one loop instead of one"
            " within another, and for an attribute by its name (`l.attributes['colour'] == 'red'`)"
        )
    if steps <= MAX_CONDITION_STEPS:
        return ""
    calls = [each for each in condition.tree.walk() if each.kind is NodeKind.CALL and each.name == "matches"]
    if any(each.parts[-1].kind is not NodeKind.CONSTANT for each in calls):
        instead = "write the pattern of `matches` out, or compare with `==`, `startsWith` or `contains`"
    elif any(pattern_steps(str(each.parts[-1].value)) > _COSTLY_PATTERN_STEPS for each in calls):
        instead = "repeat less in the pattern of `matches`, which is read with every repetition ({…}) written out"
    else:
        instead = "compare texts by themselves instead of putting them together, which doubles them in a loop"
    return f"may take {_number(steps)} steps {largest}; at most {MAX_CONDITION_STEPS:,}: {instead}"


def _number(steps: int) -> str:
    return f"{steps:,}" if steps < MAX_STEPS else f"{MAX_STEPS:,} or more"


def _wrong_patterns(condition: CelCondition) -> Iterable[str]:
    """The patterns that are written out and cannot be read: each would make the condition an error whenever it is
    evaluated. A pattern that a condition puts together itself is not known before."""
    if "matches" not in condition.text:
        return
    for node in condition.tree.walk():
        pattern = node.parts[-1] if node.kind is NodeKind.CALL and node.name == "matches" else None
        if pattern is None or not isinstance(pattern.value, str):
            continue
        result = _MATCHER.eval(None, {_PATTERN: pattern.value}).value()
        if not isinstance(result, bool):
            why = without_status(str(result)).removeprefix("invalid regular expression: ")
            yield (
                f"{place_of(condition.text, pattern.offset)}{pattern.value!r} is no pattern of RE2 ({why});"
                " `contains` looks for a text as it stands"
            )


def _as_data(values: Mapping[str, object]) -> dict[str, object]:
    return {name: _to_cel(value) for name, value in values.items()}


def _to_cel(value: object) -> object:
    if isinstance(value, Line):
        return _line(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, list | tuple):
        return [_line(each) for each in cast("Iterable[Line]", value)]
    return value


def _line(line: Line) -> conversion_pb2.ConversionLine:
    return conversion_pb2.ConversionLine(
        line_id=line.line_id,
        sku=line.sku,
        category=line.category,
        amount_minor=line.amount_minor,
        attributes=line.attributes,
    )
