"""The outcome of one check, with what to do where something is wrong."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The outcome of one check."""

    check: str
    ok: bool
    found: str
    advice: str = ""
