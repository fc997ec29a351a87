"""Who is meant by a rule or a counter."""

from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple

from services.rewards.domain.conversion import Conversion

BUYER_LEVEL = 0
LINK_OWNER_LEVEL = 1
"""Who led the buyer here stands where his sponsor would."""


class Who(Enum):
    """One of the roles that people have in a conversion."""

    BUYER = "buyer"
    UPLINE = "upline"
    LINK_OWNER = "link_owner"


class Audience(NamedTuple):
    """The people of one role."""

    who: Who
    first_level: int = 0
    last_level: int = 0
    """Of the upline; both ends included."""

    def people(self, conversion: Conversion, link_owner_id: str) -> Iterator[str]:
        """Those who are there, nearest first."""
        if self.who is Who.BUYER:
            yield conversion.buyer_id
        elif self.who is Who.UPLINE:
            yield from conversion.upline[self.first_level - 1 : self.last_level]
        elif link_owner_id:
            yield link_owner_id
