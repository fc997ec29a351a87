"""Values for one field: such as its rules allow, at their bounds, and such as nobody should send."""

import random
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

from buf.validate import validate_pb2
from google.protobuf.descriptor import FieldDescriptor

INT64_MAX = 2**63 - 1
INT32_MAX = 2**31 - 1
MAX_AMOUNT_MINOR = 10**15
SECONDS_A_DAY = 86_400
FILLED = 0.7
"""How often a text is there that may be left out."""
_parse: Callable[[str], Any] = import_module("re._parser").parse
_WORDS = ("anna", "Борис", "li 李", "o'neil", "a-b_c.d", "🦉", "e\u0301té", "\u202eabc", "x%sy", "{{ 7 }}", '"q"', "\\")
_ALPHABET = "abcXYZ019-_. йЯ李🦉"
HOSTILE_TEXTS = (
    "", "\0", "a\0b", " ", "\n", "\x7f", "NaN", "Infinity", "-0", "1e9", "-1", "1_000", " 5", "5 ", "5\n", "٣", "０.５",
    ".5", "5.", "99999999999999999999", "0.0000001", "1000.000001", "0", "00", "\u200b", "\u2028", "\ufeff",
    "\U0010ffff", "'; DROP TABLE program; --", "../../etc/passwd", "%00", "%s%n", "javascript:alert(1)", "https://", "http://[::1",
    "https://a@b@c/", "//", "true", "null", "{{ x }}", "{% for a in b %}", "00000000-0000-0000-0000-000000000000",
    "ffffffff-ffff-7fff-bfff-ffffffffffff", "00000000-0000-7000-8000-000000000000", "AAAA", "====", "a" * 64, "a" * 65,
    "я" * 128, "🦉" * 129, "a" * 256, "a" * 257, "x" * 1025, "x" * 5_000, "[0].map(x, x)", "event.amount > 0",
    "level <", "size(lines) >", "1/0 == 1", "UTC", "Mars/Olympus", "xx", "en", "ru", "EN",
    "en-GB", "XXX", "rub", "*", "*.example", "policy.",
)  # fmt: skip
HOSTILE_INTS = (
    0, 1, -1, 2, 63, 64, 65, 100, 1_000, 1_001, MAX_AMOUNT_MINOR, MAX_AMOUNT_MINOR + 1, INT32_MAX, -(2**31), INT64_MAX,
    -(2**63), 10**18, 9_223_372_036, 253_402_300_799,
)  # fmt: skip

MASKS = (
    "title", "policy", "policy.touch", "policy.window", "policy.enroll_buyers", "allowed_hosts", "visitor_cookie",
)  # fmt: skip
"""Paths of a program that a change may name."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of one field, as the contract states them."""

    required: bool
    own: validate_pb2.FieldRules


@cache
def rules_of(field: FieldDescriptor) -> Rules:
    """The rules of a field."""
    own = field.GetOptions().Extensions[validate_pb2.field]
    return Rules(own.required, own)


def text(rules: validate_pb2.StringRules, rng: random.Random) -> str:
    """A text as the rules allow: mostly short, at times as long as may be."""
    at_bound = rng.random() < 0.02
    if rules.pattern:
        return matching(rules.pattern, rng, longest=at_bound)
    most = rules.max_len or 200
    if at_bound:
        return "".join(rng.choice(_ALPHABET) for _ in range(most))
    if not rules.min_len and rng.random() > FILLED:
        return ""
    return rng.choice(_WORDS)[:most]


def integer(field: FieldDescriptor, rules: validate_pb2.FieldRules, rng: random.Random) -> int:
    """A number as the rules allow: mostly small, of amounts up to a million, at times at a bound."""
    bounds = rules.int64 if field.type == FieldDescriptor.TYPE_INT64 else rules.int32
    least = bounds.gt + 1 if bounds.DESCRIPTOR.name == "Int64Rules" and bounds.HasField("gt") else bounds.gte
    most = bounds.lte if bounds.HasField("lte") else INT32_MAX
    draw = rng.random()
    if draw < 0.02:
        return int(rng.choice((least, most)))
    if "minor" in field.name:
        return int(min(max(least, round(10 ** rng.uniform(0, 6))), most))
    return int(min(least + rng.choice((0, 0, 0, 1, 1, 2, 5, 20)), most))


def matching(pattern: str, rng: random.Random, *, longest: bool = False) -> str:
    """A text that a regular expression of the contracts matches."""
    return "".join(_made(op, argument, rng, longest) for op, argument in _parse(pattern))


def _made(op: Any, argument: Any, rng: random.Random, longest: bool) -> str:
    name = str(op)
    if name == "LITERAL":
        return chr(argument)
    if name == "IN":
        return _one_of(argument, rng)
    if name == "MAX_REPEAT":
        least, most, items = argument
        if (int(least), int(most)) == (0, 1) and not longest:
            most = int(rng.random() < FILLED)
            least = most
        most = min(int(most), 300)
        count = most if longest else rng.randint(int(least), min(most, int(least) + 8))
        return "".join(_made(each, its, rng, longest) for _ in range(count) for each, its in items)
    if name == "SUBPATTERN":
        return "".join(_made(each, its, rng, longest) for each, its in argument[3])
    if name == "BRANCH":
        return "".join(_made(each, its, rng, longest) for each, its in rng.choice(argument[1]))
    if name == "AT":
        return ""
    raise ValueError(f"{name} in a pattern: say how to make it")


def _one_of(items: Any, rng: random.Random) -> str:
    if str(items[0][0]) == "NEGATE":
        refused = {chr(each) for each in range(32)} | {"\x7f"}
        return rng.choice([each for each in _ALPHABET if each not in refused])
    op, argument = rng.choice(items)
    return chr(argument) if str(op) == "LITERAL" else chr(rng.randint(*argument))


def hostile_text(rng: random.Random, most: int) -> str:
    """A text that nobody should send; `most`: the longest that the contract takes, 0 for any."""
    draw = rng.random()
    if most and draw < 0.15:
        return rng.choice("aя🦉") * rng.choice((most, most + 1))
    if draw < 0.17:
        return "x" * 100_000
    return rng.choice(HOSTILE_TEXTS)


def is_decimal(pattern: str) -> bool:
    """Whether texts of a pattern are numbers."""
    return bool(re.match(r"^\^\(?\[0-9\]", pattern))


def uuid7(rng: random.Random, unix_ms: int) -> uuid.UUID:
    """An id of a time."""
    high = (unix_ms & ((1 << 48) - 1)) << 16 | 0x7000 | rng.getrandbits(12)
    return uuid.UUID(int=high << 64 | 0x8000_0000_0000_0000 | rng.getrandbits(62))
