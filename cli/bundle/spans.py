"""Durations as people write them: `30d`, `12h`, `1d12h`, `90s`, `0.5s`."""

import re

NANOS = {
    "w": 7 * 86_400 * 10**9, "d": 86_400 * 10**9, "h": 3_600 * 10**9, "m": 60 * 10**9,
    "s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1,
}  # fmt: skip
_WHOLE = re.compile(r"(-?)((?:[0-9]+(?:\.[0-9]+)?(?:ms|us|ns|[wdhms]))+)")
_PART = re.compile(r"([0-9]+)(?:\.([0-9]+))?(ms|us|ns|[wdhms])")
HINT = "expected a duration such as 30d, 12h, 1d12h or 90s"


def parse_span(text: str) -> int:
    """The nanoseconds of a duration. Raises ValueError for other texts, and for fractions of a nanosecond."""
    whole = _WHOLE.fullmatch(text)
    if whole is None:
        raise ValueError(HINT)
    total = 0
    for units, decimals, unit in _PART.findall(whole[2]):
        nanos, rest = divmod(int(units + decimals) * NANOS[unit], 10 ** len(decimals))
        if rest:
            raise ValueError("a nanosecond is the smallest duration")
        total += nanos
    return -total if whole[1] else total


def format_span(nanos: int) -> str:
    """A duration as the shortest list of whole units, largest first."""
    if nanos == 0:
        return "0s"
    sign, rest, parts = "-" if nanos < 0 else "", abs(nanos), []
    for unit in ("d", "h", "m", "s", "ms", "us", "ns"):
        count, rest = divmod(rest, NANOS[unit])
        if count:
            parts.append(f"{count}{unit}")
    return sign + "".join(parts)
