"""The outcome of one check, with what to do where something is wrong."""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Level(StrEnum):
    """How much the outcome of a check asks for."""

    OK = "ok"
    WARN = "warn"
    """Worth a look; nothing is broken by it."""
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The outcome of one check."""

    check: str
    ok: bool
    """Whether nothing is wrong."""
    found: str
    advice: str = ""
    """The way out; told where something is wrong, or worth a look."""
    worth_a_look: bool = False
    """Whether somebody should look, although nothing is wrong."""

    @property
    def level(self) -> Level:
        """How much it asks for."""
        return Level.BAD if not self.ok else Level.WARN if self.worth_a_look else Level.OK

    def told(self) -> dict[str, Any]:
        """It as JSON tells it."""
        told = asdict(self)
        del told["worth_a_look"]
        return told | {"level": str(self.level)}
