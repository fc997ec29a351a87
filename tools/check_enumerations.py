"""Finds numbers of enumerations that were copied into SQL: a statement takes them from the enumeration.

`state = 3` says nothing to whoever reads it, and goes on being valid when 3 comes to mean something else. Statements
write `{PayoutState.SENT:d}`, or bind a parameter. A number may stand beside a column of PLAIN, whose values count
something. Constants of a module are looked through, so that a number has to come from an enumeration and not merely
from a name. Migrations are left out: they tell how a schema was made then.
"""

import ast
import re
import sys
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
ROOMS = ("services", "chassis", "cli")
PLAIN = re.compile(
    r".*_minor|.*_count|.*_revision|.*_version|value|times|times_back|number|hop|level|levels|attempts|rank|xmax|.*_timeout"
)
"""Columns, and settings of a session, whose values are plain numbers."""

_SQL = re.compile(r"\b(SELECT|WHERE|FROM|VALUES|SET|AND|OR|IN|IS|CASE|WHEN|FILTER)\b")
_TEXTS = re.compile(r"'(?:[^']|'')*'|--[^\n]*|::\s*\w+|:\w+|%s|%\(\w+\)s")
_TOKEN = re.compile(r"\w+(?:\.\w+)*|<=|>=|<>|!=|[^\s\w]")
_COMPARISONS = {"=", "<", ">", "<=", ">=", "<>", "!=", "+", "-", "%", "FROM"}
_NUMBER = re.compile(r"\d+")
_NAME = re.compile(r"(?:\w+\.)?([a-z_]\w*)")


class Finding(NamedTuple):
    """A number that stands where a member of an enumeration would."""

    line: int
    column: str
    number: int


def findings(source: str) -> list[Finding]:
    """The copied numbers of a module, in its order."""
    tree = ast.parse(source)
    constants = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    constants |= dict(_unpacked(tree))
    return sorted({each for line, text in _texts(tree, constants) if _SQL.search(text) for each in _copied(text, line)})


def main() -> int:
    """Prints the copied numbers of all rooms; 1 if there are any."""
    count = 0
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            if "migrations" in path.parts:
                continue
            for (line, column), copied in groupby(findings(path.read_text()), key=itemgetter(0, 1)):
                count += 1
                numbers = ", ".join(str(each.number) for each in copied)
                print(f"{path.relative_to(ROOT)}:{line}: `{column}` beside {numbers}: take it from the enumeration")
    return int(count > 0)


def _unpacked(tree: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    """The names of assignments such as `A, B = 1, 2`."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Tuple):
            for target in node.targets:
                if isinstance(target, ast.Tuple) and len(target.elts) == len(node.value.elts):
                    names = zip(target.elts, node.value.elts, strict=True)
                    yield from ((name.id, value) for name, value in names if isinstance(name, ast.Name))


def _texts(tree: ast.Module, constants: dict[str, ast.expr]) -> Iterator[tuple[int, str]]:
    """(first line, text) of every string but docstrings, with the values of constants that are put into it."""
    parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr | ast.Constant) and id(node) not in parts | docs:
            text = _text_of(node, constants)
            if text is not None:
                yield node.lineno, text


def _text_of(node: ast.expr, constants: dict[str, ast.expr]) -> str | None:
    """How an expression of constants reads in a statement; None for what is no constant."""
    match node:
        case ast.Constant(value=str() | int() as value):
            return str(value)
        case ast.Constant(value=bytes() as value):
            return value.decode(errors="replace")
        case ast.JoinedStr(values=parts):
            return "".join(_text_of(part, constants) or "" for part in parts)
        case ast.FormattedValue(value=ast.Name(id=name)) if name in constants:
            # Line ends would move what comes behind it to other lines.
            return (_text_of(constants[name], constants) or "?").replace("\n", " ")
        case ast.FormattedValue():
            return "?"
    return None


def _copied(text: str, line: int) -> Iterator[Finding]:
    """The copied numbers of one statement, or of a part of one."""
    blank = _TEXTS.sub(lambda found: " ? " + "\n" * found.group().count("\n"), text)
    matches = list(_TOKEN.finditer(blank))
    tokens = [each.group() for each in matches]
    for index, token in enumerate(tokens):
        if _NUMBER.fullmatch(token):
            for column in _columns_beside(tokens, index):
                if not PLAIN.fullmatch(column):
                    yield Finding(line + blank.count("\n", 0, matches[index].start()), column, int(token))


def _columns_beside(tokens: list[str], index: int) -> set[str]:
    """The columns that the number at `index` is compared with, added to or written into."""
    before, after = tokens[index - 1] if index else "", tokens[index + 1 :][:2]
    found: set[str] = set()
    if before in _COMPARISONS:
        found |= _names_before(tokens, index - 1)
    if len(after) > 1 and after[0] in _COMPARISONS - {"FROM"} and (name := _NAME.fullmatch(after[1])):
        found.add(name[1])
    if before == "BETWEEN" or (before == "AND" and tokens[index - 3 : index - 2] == ["BETWEEN"]):
        found |= _names_before(tokens, index - 1 if before == "BETWEEN" else index - 3)
    if before == "WHEN":
        found |= _subject_of_case(tokens, index - 1)
    return found | _columns_of_list(tokens, index)


def _names_before(tokens: list[str], index: int) -> set[str]:
    """The columns of the operand that ends before `index`: one, or those of a call or a row in brackets."""
    while index and tokens[index - 1] in {"NOT", "IS", "DISTINCT"}:
        index -= 1
    if index == 0:
        return set()
    if tokens[index - 1] != ")":
        name = _NAME.fullmatch(tokens[index - 1])
        return {name[1]} if name else set()
    start = _opening(tokens, index - 1)
    inside = tokens[start + 1 : index - 1]
    if inside[:1] == ["SELECT"]:
        inside = inside[: inside.index("FROM")] if "FROM" in inside else inside
    return {
        name[1]
        for place, each in enumerate(inside)
        if (name := _NAME.fullmatch(each)) and inside[place + 1 : place + 2] != ["("]
    }


def _subject_of_case(tokens: list[str], index: int) -> set[str]:
    """The column of `CASE column WHEN …`; none where each WHEN has a condition of its own."""
    depth = 0
    for place in range(index - 1, -1, -1):
        depth += (tokens[place] == "END") - (tokens[place] == "CASE")
        if depth < 0:
            name = _NAME.fullmatch(tokens[place + 1])
            return {name[1]} if name else set()
    return set()


def _columns_of_list(tokens: list[str], index: int) -> set[str]:
    """The columns for which the list or row stands that holds the number."""
    place, rows = index, 0
    while True:
        opening = _enclosing(tokens, place)
        if opening is None:
            return _inserted(tokens, index) if rows == 0 else set()
        before = tokens[opening - 1] if opening else ""
        if before == "IN":
            return _names_before(tokens, opening - 1)
        if before == "VALUES" or (before == "," and rows == 0 and _enclosing(tokens, opening) is None):
            return _inserted(tokens, index)
        if before in {"=", "<>"}:
            return _names_before(tokens, opening - 1)
        if before not in {"(", ","}:
            return set()
        place, rows = opening, rows + 1


def _inserted(tokens: list[str], index: int) -> set[str]:
    """The column of an INSERT into which the number at `index` goes, of VALUES or of the first SELECT."""
    if "INSERT" not in tokens[:index] or "(" not in tokens:
        return set()
    insert = max(place for place in range(index) if tokens[place] == "INSERT")
    if "(" not in tokens[insert:index]:
        return set()
    opening = tokens.index("(", insert)
    columns = [each for each in tokens[opening + 1 : _closing(tokens, opening)] if each != ","]
    start = next((place for place in range(opening, index) if tokens[place] in {"VALUES", "SELECT"}), None)
    if start is None or {"FROM", "CONFLICT", "WHERE"} & set(tokens[start:index]):
        return set()
    start += tokens[start] == "VALUES"
    depth = position = 0
    for token in tokens[start + 1 : index]:
        depth += (token == "(") - (token == ")")
        position += token == "," and depth == 0
    alone = tokens[index - 1] in {"(", ",", "SELECT"} and depth == 0
    return {columns[position]} if alone and position < len(columns) else set()


def _opening(tokens: list[str], closing: int) -> int:
    depth = 0
    for place in range(closing, -1, -1):
        depth += (tokens[place] == ")") - (tokens[place] == "(")
        if depth == 0:
            return place
    return 0


def _closing(tokens: list[str], opening: int) -> int:
    depth = 0
    for place in range(opening, len(tokens)):
        depth += (tokens[place] == "(") - (tokens[place] == ")")
        if depth == 0:
            return place
    return len(tokens)


def _enclosing(tokens: list[str], index: int) -> int | None:
    """Where the bracket around a token opens; None outside of all."""
    depth = 0
    for place in range(index - 1, -1, -1):
        depth += (tokens[place] == "(") - (tokens[place] == ")")
        if depth > 0:
            return place
    return None


if __name__ == "__main__":
    sys.exit(main())
