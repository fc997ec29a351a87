"""YAML as a tree of nodes that remember their places.

Scalars resolve as in YAML 1.2's core schema: `on` and `no` are words (a rule has a field `on`), only `true` and `false`
are booleans, and a time stays text until the field it stands in says that it is one.
"""

import re

import yaml

from cli.bundle.problems import BundleError, Position, Problem

STRING, INTEGER, FLOAT, BOOLEAN, NULL = (
    f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null")
)


class _Loader(yaml.SafeLoader):
    """A loader for these files alone, because resolvers are registered on the class."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's interface


_Loader.add_implicit_resolver(BOOLEAN, re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))
_Loader.add_implicit_resolver(INTEGER, re.compile(r"^[-+]?[0-9]+$"), list("-+0123456789"))
_Loader.add_implicit_resolver(
    FLOAT, re.compile(r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$"), list("-+0123456789.")
)
_Loader.add_implicit_resolver(NULL, re.compile(r"^(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""])


def position_of(node: yaml.Node) -> Position:
    """The position at which a node begins."""
    return Position(node.start_mark.line + 1, node.start_mark.column + 1)


INDENTATION_HINTS = {
    "expected <block end>": "what belongs to one mapping or list begins in one column",
    "mapping values are not allowed here": (
        "what belongs to one mapping begins in one column, and a text with `: ` in it is quoted"
    ),
    r"found character '\t'": "lines are indented with spaces, never with tabs",
}
"""The usual mistake where the parser says this, in words of people who write files."""


def _hint(text: str) -> str:
    return "".join(f"; {hint}" for said, hint in INDENTATION_HINTS.items() if said in text)


NO_PROGRAM = "a program file is a mapping with `program:`, `plan:` and `texts:`"


def parse(content: bytes, name: str, otherwise: str = NO_PROGRAM) -> yaml.MappingNode:
    """The root of a file's content. Raises BundleError, saying `otherwise`, if it is not one YAML mapping."""
    try:
        root = yaml.compose(content, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = Position(mark.line + 1, mark.column + 1) if mark else Position(1, 1)
        text = ", ".join(part for part in (error.context, error.problem) if part)
        raise BundleError(name, [Problem(where, "", f"not valid YAML: {text}{_hint(text)}")]) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BundleError(name, [Problem(Position(1, 1), "", f"not valid YAML: {error}")]) from error
    if not isinstance(root, yaml.MappingNode):
        where = position_of(root) if root else Position(1, 1)
        raise BundleError(name, [Problem(where, "", otherwise)])
    return root


def kind_of(node: yaml.Node) -> str:
    """The kind of a node, in words for people."""
    if isinstance(node, yaml.MappingNode):
        return "a mapping"
    if isinstance(node, yaml.SequenceNode):
        return "a list"
    names = {NULL: "nothing", BOOLEAN: "true or false", INTEGER: "a whole number", FLOAT: "a decimal number"}
    return names.get(node.tag, "text")
