"""The price of patterns of RE2: an upper bound of what it takes to read one, in steps of conditions.

The library reads a pattern anew in every evaluation, and RE2 writes a repetition out: `(.{1,500}){2}` has a thousand
copies of `.`, and takes milliseconds before it looks at any text.
"""

import re
from typing import Final

MAX_PATTERN_STEPS: Final = 1_000_000
"""The most that reading a pattern takes: RE2 refuses those that would take more memory, within 30 ms."""
_READING_STEPS: Final = 100
_CHARACTER_STEPS: Final = 10
_CLASS_STEPS: Final = 25
"""A class in brackets, or one such as `\\d`."""
_BRACKET_STEPS: Final = 5
"""The steps that each character between brackets adds."""
_ANY_STEPS: Final = 200
"""A class of nearly all characters, which is a dozen ranges of bytes: `.`, `[^a]`, `\\W`."""
_PROPERTY_STEPS: Final = 40_000
"""A class of Unicode such as `\\pL`: hundreds of ranges."""
_PROPERTY: Final = r"\\[pP](?:\{[^}]*\}|.)"
_PART: Final = re.compile(
    rf"(?P<property>{_PROPERTY})|(?P<any>\\[A-Z]|\.)|(?P<class>\\[a-z])"
    r"|(?P<brackets>\[\^?\]?(?:\[:\^?\w+:\]|\\.|[^\]\\])*\])"
    r"|(?P<open>\()|(?P<close>\))|\{(?P<least>\d+)(?:,(?P<most>\d*))?\}|(?P<character>\\?.)",
    re.DOTALL,
)
_STEPS_OF: Final = {
    "property": _PROPERTY_STEPS, "any": _ANY_STEPS, "class": _CLASS_STEPS, "character": _CHARACTER_STEPS,
    "close": _CHARACTER_STEPS,
}  # fmt: skip


def pattern_steps(pattern: str) -> int:
    """The most steps that it takes to read a pattern."""
    groups, last = [0], 0  # what each open group has taken so far; what its last part has
    for part in _PART.finditer(pattern):
        kind = str(part.lastgroup)
        if kind == "open":
            groups.append(0)
            continue
        if part["least"] is not None:
            times = max(int(each) for each in (part["least"], part["most"]) if each) + (part["most"] == "")
            added, last = last * max(times - 1, 0), last * max(times, 1)
        elif kind == "close" and len(groups) > 1:
            added = last = groups.pop() + _CHARACTER_STEPS
        else:
            added = last = _brackets_steps(part["brackets"]) if part["brackets"] else _STEPS_OF[kind]
        groups[-1] = min(groups[-1] + added, MAX_PATTERN_STEPS)
    return min(_READING_STEPS + sum(groups), MAX_PATTERN_STEPS)


def largest_pattern_steps(text: str) -> int:
    """The most steps that it takes to read a text as a pattern, found in passing: most texts are not meant as one."""
    if "{" in text or "\\" in text:
        return pattern_steps(text)
    return min(_READING_STEPS + _ANY_STEPS * len(text), MAX_PATTERN_STEPS)


def _brackets_steps(brackets: str) -> int:
    if re.search(_PROPERTY, brackets):
        return _PROPERTY_STEPS
    return (_ANY_STEPS if brackets.startswith("[^") else _CLASS_STEPS) + _BRACKET_STEPS * len(brackets)
