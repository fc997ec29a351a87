"""Qualifications: the condition for ancestors to be paid, and the fate of levels whose ancestor does not meet it."""

from dataclasses import dataclass
from enum import Enum

from services.rewards.domain.plan.condition import Condition


class Unqualified(Enum):
    """The fate of a level whose ancestor is not qualified."""

    SKIP = "skip"
    COMPRESS = "compress"


@dataclass(frozen=True, slots=True)
class Qualification:
    """The condition for ancestors to be paid."""

    when: Condition
    otherwise: Unqualified
