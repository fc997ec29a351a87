"""Findings of an audit, and the bounds of what it says."""

from dataclasses import dataclass
from datetime import datetime, timedelta

MAX_FINDINGS = 100
"""The most findings that are told, of each check and in all: whoever mends the first of them audits again."""
AUDIT_TIMEOUT_MS = 15 * 60 * 1000
"""A full audit reads every transfer; it may take longer than a request's statement."""
OVERDUE = timedelta(minutes=10)
"""Work that is done within a second or two, and is not done after this long, is not done by itself any more."""
MISSING = timedelta(hours=1)
"""The event of a conversion leaves before those of its reversals; it may be delivered later, but not so much later."""

FLOW_CHECKS = frozenset(
    {
        "HOLD_OVERDUE", "CONTEST_OVERDUE", "DEBT_OVERDUE", "CONVERSION_MISSING", "NOT_PUBLISHED", "DEAD_LETTER",
        "PLAN_UNREADABLE",
    }
)  # fmt: skip
"""The checks of what is on its way to the ledger; all others are of the ledger itself."""


@dataclass(frozen=True, slots=True)
class AuditFinding:
    """Something that a check found to be wrong."""

    check: str
    program_id: str
    subject: str
    detail: str

    @property
    def of_flow(self) -> bool:
        """Whether it tells of something late, waiting or set aside rather than of amounts that contradict one
        another."""
        return self.check in FLOW_CHECKS


@dataclass(frozen=True, slots=True)
class Coverage:
    """The part that an audit looked at, where it did not read everything."""

    since_time: datetime
    """When the last clean audit began: what was written since then was looked at, and every account that it is on."""
    wallet_count: int
    """How many wallets were computed again from all of their history."""
    round_time: datetime
    """No wallet was computed again longer ago than this."""


@dataclass(frozen=True, slots=True)
class Audit:
    """The outcome of one audit."""

    transfer_count: int
    account_count: int
    reward_count: int
    findings: tuple[AuditFinding, ...]
    coverage: Coverage | None = None
    """None where everything was read."""

    @property
    def is_clean(self) -> bool:
        """Whether the ledger is right, whatever is late on its way to it."""
        return all(each.of_flow for each in self.findings)
