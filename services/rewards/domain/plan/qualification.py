"""Who among the ancestors is qualified, and who takes the place of those who are not."""

from dataclasses import dataclass
from enum import Enum

from services.rewards.domain.plan.condition import Condition


class Unqualified(Enum):
    """What becomes of a level whose ancestor is not qualified."""

    SKIP = "skip"
    COMPRESS = "compress"


@dataclass(frozen=True, slots=True)
class Qualification:
    """The condition for ancestors to be paid."""

    when: Condition
    otherwise: Unqualified
