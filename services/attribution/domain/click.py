"""Requests for links, as they are stored."""

from enum import IntEnum


class ClickKind(IntEnum):
    """Whether a request for a link was a visit. Numbers as in the contract."""

    VISIT = 0
    PREFETCH = 1
    """A browser asked for the page before anybody followed the link, or for a preview."""
    MACHINE = 2
    """A program asked for it."""
