"""Conditions in CEL (the Common Expression Language), typed when a plan is read and evaluated by Google's own library.

Three properties of the library decide how it is used here. It has no way to declare a structure, so each field is a variable with
a dot in its name: a name that is misspelt is an error when the plan is read. Its evaluation errors come back as values: only a value that
*is* True counts as true. And it stops after 10,000 steps of loops, nests no deeper than 32, and matches patterns in linear time: no condition
takes long. Its string extensions are not loaded: `replace` in a chain doubles a text with every link.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final, cast

from cel_expr_python import cel
from upline.attribution.v1 import conversion_pb2

from services.rewards.domain.decide.facts import DAYS_SINCE_BIND, LINE
from services.rewards.domain.details import Line
from services.rewards.domain.plan.condition import COUNTERS_PREFIX, ConditionError

AMOUNT: Final = "amount"
"""What somebody asks to be paid out, in minor units."""
_TEXTS: Final = cel.Type.Map(cel.Type.STRING, cel.Type.STRING)
_LINE: Final = cel.Type(conversion_pb2.ConversionLine.DESCRIPTOR.full_name)
_EVENT: Final = {
    "event.type": cel.Type.STRING,
    "event.conversion_id": cel.Type.STRING,
    "event.amount_minor": cel.Type.INT,
    "event.currency_code": cel.Type.STRING,
    "event.occurred_at": cel.Type.TIMESTAMP,
    "event.hour": cel.Type.INT,
    "event.weekday": cel.Type.INT,
    "event.new_customer": cel.Type.BOOL,
    "event.channel": cel.Type.STRING,
    "event.campaign": cel.Type.STRING,
    "event.code": cel.Type.STRING,
    "event.link_id": cel.Type.STRING,
    "event.attributes": _TEXTS,
}
_CONVERSION: Final = _EVENT | {
    "lines": cel.Type.List(_LINE),
    "buyer.id": cel.Type.STRING,
    "buyer.attributes": _TEXTS,
    "buyer.bound": cel.Type.BOOL,
    "buyer.days_bound": cel.Type.INT,
    DAYS_SINCE_BIND: cel.Type.INT,
}
_PERSON: Final = {"beneficiary.id": cel.Type.STRING, "beneficiary.attributes": _TEXTS, "level": cel.Type.INT}
RESERVED: Final = frozenset(
    [
        "as",
        "break",
        "const",
        "continue",
        "else",
        "false",
        "for",
        "function",
        "if",
        "import",
        "in",
        "let",
        "loop",
        "namespace",
        "null",
        "package",
        "return",
        "true",
        "var",
        "void",
        "while",
    ]
)
"""Words that no field may be called (CEL specification, "Syntax")."""
_BARE: Final = (cel.Type.STRING, cel.Type.INT, cel.Type.BOOL, cel.Type.TIMESTAMP)
_WORD: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PROBLEM: Final = re.compile(
    r"ERROR: <input>:(-?\d+):(-?\d+): (.*?)(?: \(in container ''\))?(?: \[\w+\])?$", re.MULTILINE
)


class Scope(Enum):
    """What a condition may ask for."""

    CONVERSION = "conversion"
    """The conversion and its buyer."""
    PERSON = "person"
    """These, and who is paid: `beneficiary`, `level`, `counters`."""
    LINE = "line"
    """One line, and the conversion it belongs to."""
    GATE = "gate"
    """A participant's counters, and how much he asks to be paid out."""


class InvalidConditionError(ValueError):
    """What is wrong with an expression, and where: one sentence for people."""


@dataclass(frozen=True, slots=True)
class CelCondition:
    """A compiled expression of type bool."""

    text: str
    names: frozenset[str]
    asks_for_people: bool
    _expression: cel.Expression
    _is_bare: bool
    """Whether its variables are numbers, texts, truths and times: the library takes those as they are."""

    def holds(self, values: Mapping[str, object]) -> bool:
        """Whether it is true; a variable that the expression does not use may be left out."""
        try:
            data = values if self._is_bare else {name: _to_cel(value) for name, value in values.items()}
            result = self._expression.eval(None, data).value()
        except RuntimeError as error:  # the library raises where its budget is used up
            raise ConditionError(_told(str(error))) from error
        if result is True or result is False:
            return result
        raise ConditionError(_told(str(result)))


class Compiler:
    """Compiles the conditions of one plan."""

    def __init__(self, counter_ids: Iterable[str]) -> None:
        counters = {f"{COUNTERS_PREFIX}{each}": cel.Type.INT for each in counter_ids}
        self._variables = {
            Scope.CONVERSION: _CONVERSION,
            Scope.PERSON: _CONVERSION | _PERSON | counters,
            Scope.LINE: _EVENT | {LINE: _LINE},
            Scope.GATE: counters | {AMOUNT: cel.Type.INT},
        }
        self._environments: dict[Scope, cel.Env] = {}

    def compile(self, text: str, scope: Scope) -> CelCondition:
        """The expression, ready to be evaluated. Raises InvalidConditionError."""
        # What the conversion alone decides is evaluated once for it, not once for everybody.
        if scope is Scope.PERSON and self._is_valid(text, Scope.CONVERSION):
            scope = Scope.CONVERSION
        try:
            expression = self._environment(scope).compile(text)
        except RuntimeError as error:
            raise InvalidConditionError(self._problem(str(error), text, scope)) from error
        if expression.return_type() != cel.Type.BOOL:
            raise InvalidConditionError(f"is of type {expression.return_type().name().lower()}, not bool")
        names = self._names(text, scope)
        is_bare = all(self._variables[scope][each] in _BARE for each in names)
        return CelCondition(text, names, scope is Scope.PERSON, expression, is_bare)

    def names(self, scope: Scope) -> list[str]:
        """What a condition may ask for."""
        return sorted(self._variables[scope])

    def _is_valid(self, text: str, scope: Scope) -> bool:
        try:
            self._environment(scope).compile(text)
        except RuntimeError:
            return False
        return True

    def _environment(self, scope: Scope) -> cel.Env:
        if scope not in self._environments:
            self._environments[scope] = cel.NewEnv(variables=self._variables[scope])
        return self._environments[scope]

    def _names(self, text: str, scope: Scope) -> frozenset[str]:
        """The variables whose every part stands in the text: all that it uses, seldom one more."""
        words = set(_WORD.findall(text))
        return frozenset(name for name in self._variables[scope] if words.issuperset(name.split(".")))

    def _problem(self, error: str, text: str, scope: Scope) -> str:
        found = _PROBLEM.search(error)
        if found is None:
            return _told(error)
        line, column, what = int(found[1]), int(found[2]), found[3]
        where = f"line {line}, column {column}: " if line > 0 else ""
        unknown = re.search(r"undeclared reference to '([^']*)'", what)
        if unknown is None:
            return where + what
        if scope is Scope.CONVERSION and self._is_valid(text, Scope.PERSON):
            return f"{where}may ask for the conversion and its buyer only, not for {unknown[1]!r}"
        return f"{where}{unknown[1]!r} is not known; there are {', '.join(self.names(scope))}"


def _told(error: str) -> str:
    """An error of the library in the words that are for people: without its status code before or after."""
    return re.sub(r"^[A-Z_]+: | \[[A-Z_]+\]$", "", error)


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
