"""Templates written by program owners, in a language so small that none can harm the service.

Jinja2's own sandbox keeps templates away from Python. It does not bound time and memory (`'a' * 10**9`, doubling a
variable, nested loops), so only the parts of the language that texts need are let through: no call, no assignment, no
loop inside a loop, no multiplication, and filters from a list. What is left is counted while it is rendered (meter.py)
and ends where it is too much.
"""

import sys
import traceback
from collections.abc import Iterator, Mapping
from functools import cache
from typing import cast

from jinja2 import StrictUndefined, Template, TemplateSyntaxError, nodes

from services.notify.rendering.meter import Bounds, MeteredEnvironment, Metering, TooCostlyError, metered_filters

_ALLOWED_NODES = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.If, nodes.CondExpr, nodes.For,
    nodes.Name, nodes.Const, nodes.Getattr, nodes.Getitem, nodes.Filter, nodes.Test, nodes.Tuple,
    nodes.And, nodes.Or, nodes.Not, nodes.Compare, nodes.Operand, nodes.Add, nodes.Sub, nodes.Neg, nodes.Concat,
)  # fmt: skip
_LIBRARY_FILTERS = ("default", "length", "first", "last")
_ALLOWED_TESTS = ("defined", "none", "odd", "even", "in", "eq", "ne", "lt", "le", "gt", "ge")

OWN_TEXTS = Bounds(work=10_000, bytes=32_000)
"""The bounds of a program's own text. The longest template is 5,000 characters, at most 20,000 bytes, and names
values of some 100; a text that does its worst takes some 1 ms, and a page of an inbox is hundreds of texts."""
BUILT_IN_TEXTS = Bounds(work=sys.maxsize, bytes=sys.maxsize)
"""The built-in texts are rendered whatever the values: they repeat nothing, and stand in where others fail."""


class TemplateProblemError(ValueError):
    """A fault of a template, with its line."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(f"line {line}: {message}")
        self.line = line
        self.problem = message


@cache
def _environment(locale: str, bounds: Bounds) -> MeteredEnvironment:
    # Texts are plain text: whoever shows them escapes them for the place.
    environment = MeteredEnvironment(bounds, undefined=StrictUndefined, autoescape=False)
    environment.globals.clear()
    environment.filters = {name: environment.filters[name] for name in _LIBRARY_FILTERS} | metered_filters(locale)
    environment.tests = {name: environment.tests[name] for name in _ALLOWED_TESTS}
    return environment


def compile_template(source: str, locale: str, bounds: Bounds = OWN_TEXTS) -> Template:
    """The template, ready to render within the bounds. Raises TemplateProblemError."""
    environment = _environment(locale, bounds)
    try:
        tree = environment.parse(source)
        _refuse_more_than_texts_need(tree)
        Metering().visit(tree)
        tree.set_environment(environment)
        return environment.from_string(tree)
    except TemplateProblemError:
        raise
    except TemplateSyntaxError as error:
        raise TemplateProblemError(error.lineno, error.message or "does not compile") from error
    except (RecursionError, SyntaxError, OverflowError, MemoryError) as error:
        raise TemplateProblemError(1, "is nested too deeply or too long for the compiler") from error
    except ValueError as error:
        raise TemplateProblemError(1, f"has a number that is too long: {error}") from error


def render(template: Template, variables: Mapping[str, object]) -> str:
    """The text of a template. Raises TemplateProblemError if it asks for something that is not there, or for more than
    its bounds; never more than they say is made."""
    try:
        return "".join(_within_bounds(template, variables))
    except UnicodeEncodeError as error:
        raise TemplateProblemError(_line(error), f"has half a character ({error.object[error.start]!a})") from error
    except Exception as error:  # whatever an expression of the template's author may raise
        raise TemplateProblemError(_line(error), str(error) or type(error).__name__) from error


def _line(error: Exception) -> int:
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == "<template>"]
    return (lines or [1])[-1] or 1


def _within_bounds(template: Template, variables: Mapping[str, object]) -> Iterator[str]:
    most = cast("MeteredEnvironment", template.environment).bounds.bytes
    size = 0
    pieces = template.generate(variables)
    for piece in pieces:
        try:
            size += len(piece.encode())
        except UnicodeEncodeError as error:  # nobody could be sent it
            pieces.throw(error)  # type: ignore[attr-defined]
        if size > most:
            # Raised where the template is, so that its line is told.
            pieces.throw(TooCostlyError(f"says more than {most:,} bytes; write a shorter text, and repeat less"))  # type: ignore[attr-defined]
        yield piece


def _refuse_more_than_texts_need(tree: nodes.Node, *, in_loop: bool = False) -> None:
    for node in tree.iter_child_nodes():
        if not isinstance(node, _ALLOWED_NODES):
            raise TemplateProblemError(node.lineno, f"{type(node).__name__.lower()} is not available in texts")
        if isinstance(node, nodes.For) and (in_loop or node.recursive):
            raise TemplateProblemError(node.lineno, "a loop cannot be inside another, or recursive")
        _refuse_more_than_texts_need(node, in_loop=in_loop or isinstance(node, nodes.For))
