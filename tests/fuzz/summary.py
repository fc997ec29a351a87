"""The findings of a run."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Fault:
    """A call whose answer or effect is not as it should be."""

    number: int
    method: str
    how: str
    code: str
    what: str
    details: str
    request: str
    """As text, where it can be read."""
    parts: tuple[str, ...]
    """The bytes that were sent, as base64."""


@dataclass
class Summary:
    """The result of a run."""

    seed: int
    calls: int = 0
    seconds: float = 0.0
    codes: dict[str, dict[str, int]] = field(default_factory=dict)
    """How often each code came, by method."""
    visits: int = 0
    """The HTTP requests."""
    pages: dict[str, int] = field(default_factory=dict)
    """How often each status came, by server; 0 for no answer."""
    reasons: dict[str, int] = field(default_factory=dict)
    looked_at: int = 0
    """Refused calls whose effects were looked at."""
    background: int = 0
    """How often something was written then that no call wrote."""
    largest_bytes: dict[str, int] = field(default_factory=dict)
    """The longest answer of each method."""
    slowest_seconds: dict[str, float] = field(default_factory=dict)
    memory_mb: dict[str, int] = field(default_factory=dict)
    """The most that each service has taken."""
    figures: dict[str, int] = field(default_factory=dict)
    fault_counts: dict[str, int] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    """The first of each kind."""
    wrong: list[str] = field(default_factory=list)
    """Everything that must not be: empty, or the run has failed."""
