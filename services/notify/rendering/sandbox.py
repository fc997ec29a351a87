"""Templates written by program owners, in a language so small that none can harm the service.

Jinja2's own sandbox keeps templates away from Python. It does not bound time and memory (`'a' * 10**9`, doubling a
variable, nested loops), so only the parts of the language that texts need are let through: no call, no assignment, no
loop inside a loop, no multiplication, and filters from a list. What is left is bounded by the size of the template.
"""

import traceback
from collections.abc import Mapping
from functools import cache

from jinja2 import StrictUndefined, Template, TemplateSyntaxError, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from services.notify.rendering.formats import plural

_ALLOWED_NODES = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.If, nodes.CondExpr, nodes.For,
    nodes.Name, nodes.Const, nodes.Getattr, nodes.Getitem, nodes.Filter, nodes.Test, nodes.Tuple,
    nodes.And, nodes.Or, nodes.Not, nodes.Compare, nodes.Operand, nodes.Add, nodes.Sub, nodes.Neg, nodes.Concat,
)  # fmt: skip
_ALLOWED_FILTERS = ("upper", "lower", "capitalize", "trim", "default", "length", "first", "last", "join")
_ALLOWED_TESTS = ("defined", "none", "odd", "even", "in", "eq", "ne", "lt", "le", "gt", "ge")


class TemplateProblemError(ValueError):
    """A fault of a template, with its line."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(f"line {line}: {message}")


@cache
def _environment(locale: str) -> ImmutableSandboxedEnvironment:
    # Texts are plain text: whoever shows them escapes them for the place.
    environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False)
    environment.globals.clear()
    environment.filters = {name: environment.filters[name] for name in _ALLOWED_FILTERS}
    environment.filters["plural"] = lambda number, *forms: plural(number, forms, locale)
    environment.tests = {name: environment.tests[name] for name in _ALLOWED_TESTS}
    return environment


def compile_template(source: str, locale: str) -> Template:
    """The template, ready to render. Raises TemplateProblemError."""
    environment = _environment(locale)
    try:
        tree = environment.parse(source)
        _refuse_more_than_texts_need(tree)
        return environment.from_string(tree)
    except TemplateSyntaxError as error:
        raise TemplateProblemError(error.lineno, error.message or "does not compile") from error
    except (RecursionError, SyntaxError, OverflowError, MemoryError) as error:
        raise TemplateProblemError(1, "is nested too deeply or too long for the compiler") from error


def render(template: Template, variables: Mapping[str, object]) -> str:
    """The text of a template. Raises TemplateProblemError if it asks for something that is not there."""
    try:
        return template.render(variables)
    except Exception as error:  # whatever an expression of the template's author may raise
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == "<template>"]
        raise TemplateProblemError((lines or [1])[-1] or 1, str(error) or type(error).__name__) from error


def _refuse_more_than_texts_need(tree: nodes.Node, *, in_loop: bool = False) -> None:
    for node in tree.iter_child_nodes():
        if not isinstance(node, _ALLOWED_NODES):
            raise TemplateProblemError(node.lineno, f"{type(node).__name__.lower()} is not available in texts")
        if isinstance(node, nodes.For) and (in_loop or node.recursive):
            raise TemplateProblemError(node.lineno, "a loop cannot be inside another, or recursive")
        _refuse_more_than_texts_need(node, in_loop=in_loop or isinstance(node, nodes.For))
