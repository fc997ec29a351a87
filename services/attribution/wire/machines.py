"""Tells user agents of computer programs: crawlers, link previews of messengers, monitors, libraries."""

from typing import Final

import re2
from crawleruseragents import CRAWLER_USER_AGENTS_DATA

MAX_AUTOMATON_BYTES = 32 * 1024 * 1024
"""The memory that the automaton may take, of which usual user agents need two MB. With 8 MB, the library's default, it
is thrown away all the time and takes a hundred times longer."""


def _automaton() -> re2._Regexp:
    """All patterns of the list as one automaton.

    RE2 reads a text once, however many patterns there are: a few µs where Python's own expressions take 0.1 to 1.3 ms.
    And it cannot be made to take longer than that by a text that a stranger wrote for the purpose, whatever pattern the
    list gets.
    """
    options = re2.Options()
    options.max_mem = MAX_AUTOMATON_BYTES
    options.never_capture = True
    options.log_errors = False
    return re2.compile("|".join(f"(?:{each['pattern']})" for each in CRAWLER_USER_AGENTS_DATA), options)


_PROGRAMS: Final = _automaton()


def is_machine(user_agent: str) -> bool:
    """Whether the user agent is that of a known computer program. Whoever says nothing, or lies, is taken for a
    person."""
    return _PROGRAMS.search(user_agent) is not None
