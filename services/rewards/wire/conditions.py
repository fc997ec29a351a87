"""Conditions in CEL (the Common Expression Language), typed when a plan is read and evaluated by Google's own library.

Three properties of the library decide how it is used here. It has no way to declare a structure, so each field is a variable with
a dot in its name: a name that is misspelt is an error when the plan is read. Its evaluation errors come back as values: only a value that
*is* True counts as true. And it stops after 10,000 steps of loops, nests no deeper than 32, and matches patterns in linear time: no condition
takes long. Its string extensions are not loaded: `replace` in a chain doubles a text with every link.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from enum import Enum
from typing import Final, cast

from cel_expr_python import cel
from upline.attribution.v1 import conversion_pb2

from services.rewards.domain.decide.inputs import DAYS_SINCE_BIND, LINE
from services.rewards.domain.details import Line
from services.rewards.domain.plan.condition import COUNTERS_PREFIX, ConditionError, Variable
from services.rewards.wire.alternatives import alternatives
from services.rewards.wire.problems import Problems
from services.rewards.wire.syntax import NodeKind, SyntaxNode, tree_of

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
_ROOTS_OF_PERSON: Final = frozenset({"beneficiary", "level", COUNTERS_PREFIX.rstrip(".")})
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
_SPOKEN: Final = re.compile(
    r"""(?P<skip>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|["'].*|//[^\n]*|[=!<>]=(?!>)|&&|\|\|)"""
    r"|(?<![\w.])(?P<word>and|or|not)(?!\w)|(?P<sign>=>|=<|<>|=|&|\|)",
    re.IGNORECASE,
)
"""Matches words that people write for an operator; texts, remarks and operators that are right are passed over."""
_OPERATORS: Final = {
    "and": "&&", "&": "&&", "or": "||", "|": "||", "not": "!", "=": "==", "=>": ">=", "=<": "<=", "<>": "!=",
}  # fmt: skip
_PARSER_WORDS: Final = (
    (r"(?:mismatched|extraneous) input '<EOF>' expecting .*", "something is missing at the end"),
    (
        r"(?:mismatched|extraneous) input '(.*)' expecting .*",
        r"'\1' cannot stand here: is an operator (&&, ||, ==) or a bracket missing before it?",
    ),
    (r"missing '(.*)' at '.*'", r"'\1' is missing"),
    (r"no viable alternative at input '(.*)'", r"something is missing after '\1'"),
    (r"token recognition error at: '['\"].*'", "a text in quotes is not closed"),
    (r"token recognition error at: '(.*?)\s*'", r"'\1' means nothing in a condition"),
)
"""Messages of the library's parser, each with the same for people who do not know its grammar."""
_OVERLOAD: Final = re.compile(r"found no matching overload for '_?(.*?)_?' applied to '\((.*)\)'")
_LIKE: Final = 0.8
"""How like a whole name must be to be taken for what was meant: all names of `event` are somewhat like one another."""
_PATTERN: Final = "pattern"
_MATCHER: Final = cel.NewEnv(variables={_PATTERN: cel.Type.STRING}).compile(f"''.matches({_PATTERN})")
"""An expression that tries a pattern: the library reads patterns when an expression is evaluated, not when it is
compiled."""


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

    @property
    def alternatives(self) -> Mapping[Variable, frozenset[object]] | None:
        """For each variable, values that between them take it through everything it can be; None where they cannot be
        told."""
        return alternatives(self.tree)

    @property
    def tree(self) -> SyntaxNode:
        """The condition's syntax tree."""
        return tree_of(self._expression.serialize())

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

    def read(self, text: str, scope: Scope, path: str, owner: str, problems: Problems) -> CelCondition | None:
        """Reads a condition as `compile` does, with mistakes noted as the owner's; None for an empty text, or a wrong
        one."""
        if not text:
            return None
        try:
            condition = self.compile(text, scope)
        except InvalidConditionError as error:
            problems.wrong(path, f"{owner}: {error}")
            return None
        for mistake in _wrong_patterns(condition):
            problems.forbid(path, f"{owner}: {mistake}")
        return condition

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
        if what.startswith("Syntax error: "):
            return _misspelt(text) or where + _unreadable(what.removeprefix("Syntax error: "))
        if mixed := _OVERLOAD.fullmatch(what):
            return f"{where}`{mixed[1]}` does not go with {mixed[2].replace(', ', ' and ')}"
        unknown = re.search(r"undeclared reference to '([^']*)'", what)
        if unknown is None:
            return where + what
        if scope is Scope.CONVERSION and unknown[1].partition(".")[0] in _ROOTS_OF_PERSON:
            return f"{where}may ask for the conversion and its buyer only, not for {unknown[1]!r}"
        return where + self._unknown(unknown[1], scope)

    def _unknown(self, name: str, scope: Scope) -> str:
        """The message about a variable that does not exist: what was meant if something is like it, else what there is
        of its kind."""
        names = self.names(scope)
        root, _, rest = name.rpartition(".")
        if root == COUNTERS_PREFIX.rstrip(".") and scope in (Scope.PERSON, Scope.GATE):
            return self._unknown_counter(rest)
        meant = get_close_matches(name, names, n=1, cutoff=_LIKE)
        if not meant:
            by_rest = {each.rpartition(".")[2]: each for each in names}
            meant = [by_rest[each] for each in get_close_matches(rest, by_rest, n=1)]
        if meant:
            return f"{name!r} is not known; did you mean {meant[0]}?"
        of_root = [each for each in names if each.startswith(f"{root}.")]
        roots = sorted({f"{each.partition('.')[0]}.…" if "." in each else each for each in names})
        return f"{name!r} is not known; there are {', '.join(of_root or roots)}"

    def _unknown_counter(self, counter_id: str) -> str:
        known = [each.removeprefix(COUNTERS_PREFIX) for each in self.names(Scope.GATE) if each != AMOUNT]
        if not known:
            return f"the plan has no counter {counter_id!r}: state it under `counters`"
        close = get_close_matches(counter_id, known, n=1)
        meant = f": did you mean {COUNTERS_PREFIX}{close[0]}?" if close else ""
        return f"the plan has no counter {counter_id!r}, it has {', '.join(known)}{meant}"


def _wrong_patterns(condition: CelCondition) -> Iterable[str]:
    """The patterns that are written out and are none: each would make the condition an error whenever it is asked.
    What a condition puts together itself is not known before."""
    if "matches" not in condition.text:
        return
    for node in condition.tree.walk():
        pattern = node.parts[-1] if node.kind is NodeKind.CALL and node.name == "matches" else None
        if pattern is None or not isinstance(pattern.value, str):
            continue
        result = _MATCHER.eval(None, {_PATTERN: pattern.value}).value()
        if not isinstance(result, bool):
            why = _told(str(result)).removeprefix("invalid regular expression: ")
            yield (
                f"{_where(condition.text, pattern.offset)}{pattern.value!r} is no pattern of RE2 ({why});"
                " `contains` looks for a text as it stands"
            )


def _misspelt(text: str) -> str:
    """The first operator of another language in a text that cannot be read; empty if there is none."""
    for found in _SPOKEN.finditer(text):
        if (said := found["word"] or found["sign"]) is not None:
            return f"{_where(text, found.start())}write {_OPERATORS[said.lower()]} instead of {said!r}"
    return ""


def _where(text: str, offset: int) -> str:
    before = text[:offset]
    return f"line {before.count(chr(10)) + 1}, column {offset - before.rfind(chr(10))}: "


def _unreadable(what: str) -> str:
    """An error of the library's parser, in words that do not need its grammar where there are some."""
    for said, words in _PARSER_WORDS:
        if found := re.fullmatch(said, what):
            return found.expand(words)
    return what


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
