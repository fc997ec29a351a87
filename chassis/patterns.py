"""Words for the patterns of the contracts: a regular expression tells nobody what to write."""

import re
from collections.abc import Iterator
from typing import Final

import protovalidate

_NAME: Final = "a name of lower-case letters, digits and underscores that begins with a letter"
_HYPHENED: Final = "a name of lower-case letters, digits and hyphens"
_DECIMAL: Final = "an exact decimal such as 5 or 2.5, with at most {} digits before the point and {} after it"
_WANTED: Final = {
    r"^[a-z][a-z0-9_]{0,30}$": f"{_NAME}, at most 31 long",
    r"^[a-z][a-z0-9_]{0,62}$": f"{_NAME}, at most 63 long",
    r"^([a-z][a-z0-9_]{0,62})?$": f"{_NAME}, at most 63 long",
    r"^[a-z0-9][a-z0-9-]{0,62}$": f"{_HYPHENED}, at most 63 long",
    r"^[a-z0-9][a-z0-9_-]{0,62}$": "a name of lower-case letters, digits, hyphens and underscores, at most 63 long",
    r"^[0-9]{1,2}(\.[0-9]{1,6})?$": _DECIMAL.format(2, 6),
    r"^[0-9]{1,3}(\.[0-9]{1,6})?$": _DECIMAL.format(3, 6),
    r"^([0-9]{1,3}(\.[0-9]{1,6})?)?$": _DECIMAL.format(3, 6),
    r"^[0-9]{1,4}(\.[0-9]{1,6})?$": _DECIMAL.format(4, 6),
    r"^[0-9]{1,9}(\.[0-9]{1,9})?$": _DECIMAL.format(9, 9),
    r"^([0-9]{1,9}(\.[0-9]{1,9})?)?$": _DECIMAL.format(9, 9),
    r"^[A-Z]{3}$": "a currency of ISO 4217, such as EUR",
    r"^([A-Z]{3}|[a-z][a-z0-9_]{0,30})$": f"a currency of ISO 4217, such as EUR, or {_NAME}, at most 31 long",
    r"^(en|ru)$": "one of the languages en and ru",
    r"^(en|ru)?$": "one of the languages en and ru",
    r"^([A-Za-z0-9-]{3,32})?$": "3 to 32 letters, digits and hyphens",
    r"^(\*\.)?[a-z0-9]([a-z0-9.-]{0,250}[a-z0-9])?(:[0-9]{1,5})?$": (
        "a host such as shop.example, *.shop.example or shop.example:8080"
    ),
    r"^[^\x00-\x1f\x7f]{1,128}$": "a text of 1 to 128 characters without control characters",
}
"""The words for each pattern that the contracts state."""
_MAX_REPEATED: Final = 60
"""The most characters of a wrong text that are repeated: enough to find it again."""


def describe(violation: protovalidate.Violation) -> str:
    """The fault of a field in words, and what to write instead where it can be seen what was meant."""
    text = violation.proto.message or violation.proto.rule_id
    pattern, value = violation.rule_value, violation.field_value
    if violation.proto.rule_id != "string.pattern" or pattern not in _WANTED or not isinstance(value, str):
        return text
    if not value:
        return f"must be given: {_WANTED[pattern]}"
    shown = value if len(value) <= _MAX_REPEATED else f"{value[:_MAX_REPEATED]}…"
    meant = next((each for each in _meant(value) if each and re.fullmatch(pattern, each)), "")
    return f'"{shown}" is not {_WANTED[pattern]}' + (f'; write "{meant}"' if meant else "")


def _meant(value: str) -> Iterator[str]:
    """Texts that somebody who wrote `value` may have meant, the likeliest first."""
    value = value.strip()
    yield value
    number = value.rstrip("% ").replace(",", ".")
    yield from (number, f"0{number}")
    if re.search(r"[A-Za-z]", value):  # a sign or a point is not what is too much in a number
        words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", value).lower()
        for between in ("_", "-"):
            yield re.sub(r"[^a-z0-9]+", between, words).strip(between)
        yield value.upper()
