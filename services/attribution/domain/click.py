"""Requests for links, as they are stored."""

from enum import IntEnum


class ClickKind(IntEnum):
    """Whether a request for a link was a visit. The numbers are those of the contract."""

    VISIT = 0
    PREFETCH = 1
    """A browser asked for the page before anybody followed the link, or for a preview."""
    MACHINE = 2
    """A computer program asked for the page, not a person."""
