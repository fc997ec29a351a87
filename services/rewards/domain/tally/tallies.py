"""The keys of tallies, the numbers that a program counts from conversion to conversion. Keys are stored."""

from functools import lru_cache
from typing import Final

CONTEST_PREFIX = "contest:"
"""The names of scores begin so."""
_HEADS = {"member:": "counter:", "contest_member:": CONTEST_PREFIX}
"""The prefixes of members, and of the tallies that count how many of these members are more than 0."""
UNUSUAL: Final = (CONTEST_PREFIX, *_HEADS)
"""The prefixes of tallies that are more than a number: scores and members."""


TallyKey = tuple[str, str, str]
"""A tally of a program: (name, subject, period). It is a bare tuple, for a conversion handles dozens of them.

The name says what is counted. The subject is the person for whom it is counted, or a participant and a buyer joined by
`pair`, or empty for the whole program. The period says since when, by `period_name`; it is empty for ever.
"""


def pair(participant_id: str, buyer_id: str) -> str:
    """A subject of two people. Ids of people hold no control characters, so two pairs never look alike."""
    return f"{participant_id}\x1f{buyer_id}"


def counter(counter_id: str) -> str:
    """A counter's value, by participant and period."""
    return f"counter:{counter_id}"


def member(counter_id: str) -> str:
    """How many conversions of a buyer count for a participant in a counter of REFEREES, by `pair` and period.

    The counter is the number of buyers for whom this is more than 0.
    """
    return f"member:{counter_id}"


def occurrence(rule_id: str) -> str:
    """How many conversions of a buyer a rule has counted and not lost again, by buyer."""
    return f"occurrence:{rule_id}"


def seen(rule_id: str) -> str:
    """How many conversions of a buyer a rule has ever counted, by buyer. Never goes down."""
    return f"seen:{rule_id}"


def cap(rule_id: str, scope: str, period: str, number: int) -> str:
    """How much of a rule's cap is used, in minor units, by whom the cap counts together and period.

    A cap is known by what it counts together over what time (`number` tells those apart that are alike in this, from
    0): in another version it may stand elsewhere among the rule's caps.
    """
    return f"cap:{rule_id}:{scope}:{period}" + (f":{number}" if number else "")


def budget(budget_id: str) -> str:
    """How much of a budget is used, in minor units, by period."""
    return f"budget:{budget_id}"


def bonus(rule_id: str, bound: int) -> str:
    """How many bonuses of a tier stand paid, 0 or 1, by participant and period of the counter.

    A tier is known by its bound: in another version it may stand elsewhere among the rule's tiers.
    """
    return f"bonus:{rule_id}:{bound}"


def forfeit(rule_id: str, bound: int) -> str:
    """How many bonuses of a tier were taken back with the conversion that had crossed its bound, by participant,
    period.

    The next conversion that finds the counter at the bound earns it again, without crossing it.

    """
    return f"forfeit:{rule_id}:{bound}"


def contest(contest_id: str) -> str:
    """A participant's score, by participant."""
    return f"{CONTEST_PREFIX}{contest_id}"


def contest_member(contest_id: str) -> str:
    """How many conversions of a buyer count for a participant in a contest whose counter measures REFEREES, by
    `pair`."""
    return f"contest_member:{contest_id}"


def headcount(key: TallyKey) -> TallyKey | None:
    """The tally that goes up by 1 when this one becomes more than 0, and down when it no longer is; None if there is
    none."""
    name, subject, period = key
    head = _head(name)
    return None if head is None else (head, subject.split("\x1f", 1)[0], period)


def is_score(name: str) -> bool:
    """Whether a tally is a score."""
    return name.startswith(CONTEST_PREFIX)


@lru_cache(maxsize=10_000)
def _head(name: str) -> str | None:
    return next((head + name.removeprefix(each) for each, head in _HEADS.items() if name.startswith(each)), None)
