"""Audiences: the people whom a rule or a counter means."""

from enum import Enum
from typing import NamedTuple

from services.rewards.domain.conversion import Conversion

BUYER_LEVEL = 0
LINK_OWNER_LEVEL = 1
"""The owner of the link stands where the buyer's sponsor would."""


class Role(Enum):
    """One of the roles that people have in a conversion."""

    BUYER = "buyer"
    UPLINE = "upline"
    LINK_OWNER = "link_owner"


_UPLINE = Role.UPLINE  # in Python 3.11, to look up a member takes longer than much of what is done with it
_BUYER = Role.BUYER


class Audience(NamedTuple):
    """The people of one role."""

    who: Role
    first_level: int = 0
    last_level: int = 0
    """The last level of the upline, included, as the first is."""

    def people(self, conversion: Conversion, link_owner_id: str) -> tuple[str, ...]:
        """The people of the audience that a conversion has, nearest first."""
        if self.who is _UPLINE:
            return conversion.upline[self.first_level - 1 : self.last_level]
        if self.who is _BUYER:
            return (conversion.buyer_id,)
        return (link_owner_id,) if link_owner_id else ()
