"""Errors of the CEL library in words for people who do not know its grammar."""

import re
from collections.abc import Collection
from difflib import get_close_matches
from typing import Final

from services.rewards.domain.plan.condition import COUNTERS_PREFIX
from services.rewards.wire.variables import ROOTS_OF_PERSON, Scope

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
"""The likeness at which a whole name is taken for the one that was meant: all names of `event` are somewhat alike."""


def compile_error(error: str, text: str, scope: Scope, names: Collection[str]) -> str:
    """The error of a text that does not compile, with its place. `names`: the variables of the scope."""
    problem = _PROBLEM.search(error)
    if problem is None:
        return without_status(error)
    line, column, message = int(problem[1]), int(problem[2]), problem[3]
    where = f"line {line}, column {column}: " if line > 0 else ""
    if message.startswith("Syntax error: "):
        return _misspelt(text) or where + _unreadable(message.removeprefix("Syntax error: "))
    if mixed := _OVERLOAD.fullmatch(message):
        return f"{where}`{mixed[1]}` does not go with {mixed[2].replace(', ', ' and ')}"
    unknown = re.search(r"undeclared reference to '([^']*)'", message)
    if unknown is None:
        return where + message
    if scope is Scope.CONVERSION and unknown[1].partition(".")[0] in ROOTS_OF_PERSON:
        return f"{where}may ask for the conversion and its buyer only, not for {unknown[1]!r}"
    return where + _unknown(unknown[1], scope, sorted(names))


def without_status(error: str) -> str:
    """An error of the library without its status code before or after."""
    return re.sub(r"^[A-Z_]+: | \[[A-Z_]+\]$", "", error)


def place_of(text: str, offset: int) -> str:
    """The place of a character in a text, as messages begin with it."""
    before = text[:offset]
    return f"line {before.count(chr(10)) + 1}, column {offset - before.rfind(chr(10))}: "


def _unknown(name: str, scope: Scope, names: list[str]) -> str:
    """The message about a variable that does not exist: names one that is like it, or else those of its kind."""
    root, _, rest = name.rpartition(".")
    if root == COUNTERS_PREFIX.rstrip(".") and scope in (Scope.PERSON, Scope.GATE):
        return _unknown_counter(rest, names)
    meant = get_close_matches(name, names, n=1, cutoff=_LIKE)
    if not meant:
        by_rest = {each.rpartition(".")[2]: each for each in names}
        meant = [by_rest[each] for each in get_close_matches(rest, by_rest, n=1)]
    if meant:
        return f"{name!r} is not known; did you mean {meant[0]}?"
    of_root = [each for each in names if each.startswith(f"{root}.")]
    roots = sorted({f"{each.partition('.')[0]}.…" if "." in each else each for each in names})
    return f"{name!r} is not known; there are {', '.join(of_root or roots)}"


def _unknown_counter(counter_id: str, names: list[str]) -> str:
    counter_ids = [each.removeprefix(COUNTERS_PREFIX) for each in names if each.startswith(COUNTERS_PREFIX)]
    if not counter_ids:
        return f"the plan has no counter {counter_id!r}: state it under `counters`"
    close = get_close_matches(counter_id, counter_ids, n=1)
    meant = f": did you mean {COUNTERS_PREFIX}{close[0]}?" if close else ""
    return f"the plan has no counter {counter_id!r}, it has {', '.join(counter_ids)}{meant}"


def _misspelt(text: str) -> str:
    """The first operator of another language in a text that cannot be read; empty if there is none."""
    for match in _SPOKEN.finditer(text):
        if (operator := match["word"] or match["sign"]) is not None:
            return f"{place_of(text, match.start())}write {_OPERATORS[operator.lower()]} instead of {operator!r}"
    return ""


def _unreadable(message: str) -> str:
    """An error of the library's parser, in words that do not need its grammar where there are some."""
    for pattern, words in _PARSER_WORDS:
        if match := re.fullmatch(pattern, message):
            return match.expand(words)
    return message
