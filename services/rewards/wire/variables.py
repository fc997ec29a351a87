"""The variables that conditions may ask for. A field of a structure is a variable with a dot in its name."""

from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Final

from cel_expr_python import cel
from upline.attribution.v1 import conversion_pb2

from services.rewards.domain.decide.inputs import DAYS_SINCE_BIND, LINE
from services.rewards.domain.plan.condition import COUNTERS_PREFIX
from services.rewards.wire.condition_cost import (
    LARGEST_LINE,
    LARGEST_LINES,
    LARGEST_TEXT,
    LARGEST_TEXTS,
    SCALAR,
    Shape,
)

AMOUNT: Final = "amount"
"""The variable for the amount that a participant asks to be paid out, in minor units."""
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
ROOTS_OF_PERSON: Final = frozenset({"beneficiary", "level", COUNTERS_PREFIX.rstrip(".")})
"""The first parts of names that stand for the person who is paid."""
RESERVED: Final = frozenset((
    "as", "break", "const", "continue", "else", "false", "for", "function", "if", "import", "in",
    "let", "loop", "namespace", "null", "package", "return", "true", "var", "void", "while",
))  # fmt: skip
"""Words that no field may be called (CEL specification, "Syntax")."""


class Scope(Enum):
    """The variables that one kind of condition may ask for."""

    CONVERSION = "conversion"
    """The conversion and its buyer."""
    PERSON = "person"
    """The conversion, its buyer, and the person who is paid: `beneficiary`, `level`, `counters`."""
    LINE = "line"
    """One line, and the conversion it belongs to."""
    GATE = "gate"
    """A participant's counters, and the amount that they ask to be paid out."""


WITH_COUNTERS: Final = frozenset({Scope.PERSON, Scope.GATE})
"""The scopes whose variables are the plan's own: its counters. Those of the others are the same for every plan."""


def variables_of(counter_ids: Iterable[str]) -> Mapping[Scope, Mapping[str, cel.Type]]:
    """The variables of a plan with these counters, by scope."""
    counters = {f"{COUNTERS_PREFIX}{each}": cel.Type.INT for each in counter_ids}
    return {
        Scope.CONVERSION: _CONVERSION,
        Scope.PERSON: _CONVERSION | _PERSON | counters,
        Scope.LINE: _EVENT | {LINE: _LINE},
        Scope.GATE: counters | {AMOUNT: cel.Type.INT},
    }


def largest(kind: cel.Type) -> Shape:
    """The largest value that a variable of this type can have."""
    return next((shape for each, shape in _LARGEST if each == kind), SCALAR)


_LARGEST: Final = (
    (cel.Type.STRING, LARGEST_TEXT),
    (_TEXTS, LARGEST_TEXTS),
    (_LINE, LARGEST_LINE),
    (cel.Type.List(_LINE), LARGEST_LINES),
)
