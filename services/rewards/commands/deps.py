"""The collaborators that commands share."""

import asyncio
from dataclasses import dataclass, field
from functools import partial

from chassis.clock import Clock
from chassis.database import Database
from chassis.pacing import Beside
from chassis.progress import Progress
from chassis.relay import Relay
from chassis.sharing import Shared
from services.rewards.commands.one_by_one import Turns
from services.rewards.commands.resting import Resting
from services.rewards.commands.turns import ProgramTurns
from services.rewards.domain.settle.debts import PocketKey
from services.rewards.domain.wallet.payout import Provider
from services.rewards.store.audits.findings import Audit
from services.rewards.store.audits.helpers import AuditProgress, Helpers
from services.rewards.store.plans import PlanCache

PROGRAM_RESTS_SECONDS = (1.0, 30.0)
"""The shortest and the longest rest of a program whose facts waited in vain. Each try of it may hold everybody else up
for as long as a wait for a lock may take (`chassis.database.LOCK_TIMEOUT_MS`)."""

ContestKey = tuple[str, str]
"""(program_id, contest_id)."""
WalletKey = tuple[str, str]
"""(program_id, participant_id)."""
AuditScope = str
"""A program_id; empty for all programs."""
AuditKey = tuple[AuditScope, bool]
"""(the scope, whether everything is read)."""


@dataclass(frozen=True, slots=True)
class Deps:
    """Made once, at the composition root."""

    database: Database
    clock: Clock
    relay: Relay
    plans: PlanCache
    provider: Provider | None = None
    """The provider that is sent payouts one by one; None: payouts wait for batches."""
    resting_programs: Resting[str] = field(default_factory=partial(Resting[str], *PROGRAM_RESTS_SECONDS))
    """The programs whose facts waited in vain lately."""
    program_turns: ProgramTurns = field(default_factory=ProgramTurns)
    """Which transactions of this process have the turn of which programs."""
    deferred_came: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when facts that take long to settle were put into the database."""
    deciding: Beside = field(default_factory=partial(Beside, "deciding"))
    """Decides what takes long."""
    contest_turns: Turns[ContestKey] = field(default_factory=Turns[ContestKey])
    """The turns of contests that are to be closed."""
    debtor_turns: Turns[WalletKey] = field(default_factory=Turns[WalletKey])
    """The turns of wallets that are to repay a debt."""
    scan_turns: Turns[PocketKey] = field(default_factory=Turns[PocketKey])
    """The turns of pockets that are to be scanned for what expires."""
    progress: Progress = field(default_factory=Progress)
    """The progress of settling, for those who watch it."""
    audits: Shared[AuditKey, Audit] = field(default_factory=Shared[AuditKey, Audit])
    """The audits that callers asked for and that are under way."""
    audit_progress: dict[AuditScope, AuditProgress] = field(default_factory=dict)
    """How far the full audits have come that are under way."""
    audit_helpers: Helpers | None = None
    """Those who help with full audits that callers ask for."""
