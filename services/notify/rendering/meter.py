"""The cost of rendering a template, counted while it is done.

The language of texts (sandbox.py) has no calls, assignments or loops in loops, but a few signs can still ask for very
much: `x|join(x)` squares a text, `('\\\\',) ~ ''` doubles its backslashes each time, and a loop repeats what is in it.
So a template is changed before it is compiled: whatever becomes text, is compared or is looped over goes through a
filter that charges for it first. Filters that need the context are not worked out by the compiler either, so that
nothing is built before a rendering counts it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, is_dataclass
from decimal import Decimal
from typing import Any, cast

from jinja2 import Environment, nodes, pass_context
from jinja2.filters import make_attrgetter
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from services.notify.rendering.formats import plural

REPR_FACTOR = 10
"""The most characters that Python writes for one of a text in a list: `\\U0010ffff`."""
MAX_PLURAL_DIGITS = 40
"""The most digits before or after the point of a number that `plural` takes: amounts have 19, and a number such as
`1e999999999` takes the memory of a machine to count with."""

_TEXT, _WEIGH, _EACH = "as text", "weigh", "for each"
"""The filters that metering puts in. Only the first two words of such a name could be written in a template, so no
author can name them."""


class TooCostlyError(ValueError):
    """A text asks for more than a rendering may do."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """The most that one rendering may do."""

    work: int
    """The characters that are made or compared on the way, plus the steps of loops: each takes less than a microsecond,
    and a few bytes for a moment."""
    bytes: int
    """The size of what is rendered, in UTF-8."""


class MeteredEnvironment(ImmutableSandboxedEnvironment):
    """An environment whose renderings are counted, and end where they would go beyond its bounds."""

    intercepted_binops = frozenset({"+", "-"})
    """Sums of texts and lists are as large as both."""

    def __init__(self, bounds: Bounds, **options: Any) -> None:
        super().__init__(**options)
        self.bounds = bounds
        self.context_class = MeteredContext

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """`left` + or - `right`."""
        _charge(context, _weight(left) + _weight(right))
        return super().call_binop(context, operator, left, right)


class MeteredContext(Context):
    """The names of one rendering, and the work that it may still do."""

    def __init__(self, environment: Environment, *arguments: Any, **named: Any) -> None:
        super().__init__(environment, *arguments, **named)
        self.bounds: Bounds = getattr(environment, "bounds")  # noqa: B009 - mypy knows the class of the library only
        self.work = self.bounds.work

    def charge(self, work: int) -> None:
        """Counts work before it is done. Raises TooCostlyError if it is too much."""
        self.work -= work
        if self.work < 0:
            raise TooCostlyError(
                f"takes more than {self.bounds.work:,} characters and steps to work out; write the text out, and loop"
                " over `amounts` only"
            )


def metered_filters(locale: str) -> dict[str, Callable[..., Any]]:
    """The filters of texts that build something, and those that metering puts in."""
    return {
        "upper": _of_text(str.upper),
        "lower": _of_text(str.lower),
        "capitalize": _of_text(str.capitalize),
        "trim": _trim,
        "join": _join,
        "plural": _plural_of(locale),
        _TEXT: _as_text,
        _WEIGH: _weigh,
        _EACH: _for_each,
    }


class Metering(NodeTransformer):
    """Puts the filters that charge into a parsed template."""

    def visit_Output(self, node: nodes.Output) -> nodes.Node:
        self.generic_visit(node)
        node.nodes = [each if _is_as_it_stands(each) else _through(_TEXT, each) for each in node.nodes]
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        self.generic_visit(node)
        node.nodes = [_through(_TEXT, each) for each in node.nodes]
        return node

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:
        self.generic_visit(node)
        node.expr = _through(_WEIGH, node.expr)
        for each in node.ops:
            each.expr = _through(_WEIGH, each.expr)
        return node

    def visit_Test(self, node: nodes.Test) -> nodes.Node:
        self.generic_visit(node)
        node.node = _through(_WEIGH, node.node)
        node.args = [_through(_WEIGH, each) for each in node.args]
        return node

    def visit_For(self, node: nodes.For) -> nodes.Node:
        steps = 1 + sum(1 for _ in node.find_all(nodes.Node))
        self.generic_visit(node)
        node.iter = _through(_EACH, node.iter, nodes.Const(steps, lineno=node.lineno))
        return node


def _is_as_it_stands(node: nodes.Node) -> bool:
    """Whether it is words of the template or one value that exists already, which nothing multiplies: the size of what
    is rendered bounds it."""
    if isinstance(node, nodes.Getattr):
        return _is_as_it_stands(node.node)
    if isinstance(node, nodes.Getitem):
        return isinstance(node.arg, nodes.Const) and _is_as_it_stands(node.node)
    return isinstance(node, nodes.TemplateData | nodes.Const | nodes.Name)


def _through(name: str, node: nodes.Node, *arguments: nodes.Expr) -> nodes.Filter:
    return nodes.Filter(cast("nodes.Expr", node), name, list(arguments), [], None, None, lineno=node.lineno)


def _charge(context: Context, work: int) -> None:
    if not isinstance(context, MeteredContext):
        raise TypeError("a metered filter is used by a template that is not metered")
    context.charge(work)


def _weight(value: object) -> int:
    """The cost of looking at all of a value."""
    if isinstance(value, str):
        return 1 + len(value)
    if isinstance(value, int):
        return 1 + value.bit_length() // 8
    if isinstance(value, list | tuple):
        return 1 + sum(map(_weight, value))
    if is_dataclass(value):
        return 1 + sum(_weight(getattr(value, each.name)) for each in fields(value))
    return 1


@pass_context
def _weigh(context: Context, value: object) -> object:
    _charge(context, _weight(value))
    return value


@pass_context
def _for_each(context: Context, value: Sequence[object], steps: int) -> Sequence[object]:
    _charge(context, len(value) * steps)
    return value


@pass_context
def _as_text(context: Context, value: object) -> str:
    if isinstance(value, str):
        _charge(context, 1 + len(value))
        return value
    _charge(context, _weight(value) * REPR_FACTOR)
    return str(value)


def _of_text(make: Callable[[str], str]) -> Callable[..., str]:
    @pass_context
    def made(context: Context, value: object) -> str:
        return make(_as_text(context, value))

    return made


@pass_context
def _trim(context: Context, value: object, chars: object = None) -> str:
    return _as_text(context, value).strip(None if chars is None else _as_text(context, chars))


@pass_context
def _join(context: Context, value: Sequence[object], d: object = "", attribute: str | int | None = None) -> str:
    _charge(context, len(value))
    items = value if attribute is None else map(make_attrgetter(context.environment, attribute), value)
    texts = [_as_text(context, each) for each in items]
    separator = _as_text(context, d)
    _charge(context, len(separator) * len(texts))
    return separator.join(texts)


def _plural_of(locale: str) -> Callable[..., str]:
    @pass_context
    def chosen(context: Context, number: object, *forms: str) -> str:
        _charge(context, _weight(number))
        exact = Decimal(number)  # type: ignore[arg-type]  # what is no number raises, as any fault of the template's
        if not exact.is_finite() or abs(exact.adjusted()) > MAX_PLURAL_DIGITS:
            raise TooCostlyError(f"plural takes numbers of {MAX_PLURAL_DIGITS} digits, such as `amounts[0].number`")
        return plural(exact, forms, locale)

    return chosen
