"""Value that leaves the system: asked for, approved, handed over to a provider, paid or failed; what was paid may
bounce.

Amounts in the asset's minor units.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum, IntEnum
from typing import NamedTuple, Protocol

from services.rewards.domain.ledger import AccountKind, TransferKind
from services.rewards.domain.plan.condition import COUNTERS_PREFIX, Condition, ConditionError
from services.rewards.domain.plan.terms import PayoutTerms
from services.rewards.domain.wallet.wallet import PreconditionError, WalletTransfer

FIRST_PAUSE = timedelta(seconds=5)
LONGEST_PAUSE = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class RequestedPayout:
    """A payout as a caller asks for it."""

    program_id: str
    payout_id: str
    participant_id: str
    asset: str
    amount_minor: int
    method: str
    destination: str = field(repr=False)
    """An account or a card, which no log may show."""


class PayoutState(IntEnum):
    """The states of a payout. The numbers are stored: never reuse one."""

    REQUESTED = 1
    APPROVED = 2
    SENT = 3
    PAID = 4
    FAILED = 5
    REJECTED = 6
    CANCELLED = 7
    BOUNCED = 8


class ProviderStatus(Enum):
    """The answers that a provider gives."""

    PAID = "paid"
    FAILED = "failed"
    PENDING = "pending"
    """The provider has the payout, and says later what became of it."""
    BOUNCED = "bounced"
    """The provider had paid, and the payout came back."""


_REPEATABLE = {
    PayoutState.PAID: (ProviderStatus.PAID,),
    PayoutState.BOUNCED: (ProviderStatus.BOUNCED, ProviderStatus.PAID),
}
"""The outcomes that may be reported again of the last attempt, by the state of its payout, the latest first.

Of an attempt that is not the last, and of a payout that stands elsewhere, it is known that it failed.
"""

_PAST_TENSE = {
    ProviderStatus.PAID: "been paid",
    ProviderStatus.FAILED: "failed",
    ProviderStatus.BOUNCED: "come back after it was paid",
}


class ProviderAnswer(NamedTuple):
    """A provider's answer."""

    outcome: ProviderStatus
    reference: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Payout:
    """One payout."""

    program_id: str
    payout_id: str
    participant_id: str
    asset: str
    amount_minor: int
    """The amount that leaves the wallet."""
    fee_minor: int
    """The part of the amount that does not reach the participant."""
    method: str
    destination: str = field(repr=False)
    """An account or a card, as the caller gave it; whatever shows a payout as a whole, such as a log, leaves it out."""
    state: PayoutState
    create_time: datetime
    update_time: datetime
    provider_reference: str = ""
    reason: str = ""
    attempts: int = 0
    sends: int = 0
    """The number of times that the last attempt was sent: an answer may be lost."""
    send_time: datetime | None = None
    """The time at which it is sent again, as long as no answer came."""
    batch_id: str = ""

    @property
    def paid_minor(self) -> int:
        """The amount that reaches the participant."""
        return self.amount_minor - self.fee_minor

    @property
    def cause_id(self) -> str:
        """The cause that its transfers name."""
        return f"payout:{self.program_id}/{self.payout_id}"


class Provider(Protocol):
    """Pays. Asked twice for the same payout and attempt, it pays once."""

    def takes(self, method: str) -> bool:
        """Whether payouts by this method are sent to it, and not put into batches."""
        ...

    async def send(self, payout: Payout, minor_digits: int) -> ProviderAnswer:
        """Hands a payout over. Raises ProviderError where nobody knows whether it arrived."""
        ...

    async def close(self) -> None:
        """Ends its connections."""
        ...


class ProviderError(Exception):
    """No answer that says what became of a payout: it has to be asked again."""


def fee(terms: PayoutTerms | None, asset: str, method: str, amount_minor: int) -> int:
    """The fee of a payout. Raises PreconditionError if the terms do not offer the method, or not for so little."""
    offered = terms.methods.get(method) if terms else None
    if terms is None or offered is None:
        raise PreconditionError("NOT_WITHDRAWABLE", f"{asset!r} is not paid out by {method!r}")
    if amount_minor < terms.min_amount_minor:
        raise PreconditionError(
            "BELOW_MINIMUM", f"the smallest payout is {terms.min_amount_minor} minor units of {asset}"
        )
    fee_minor = offered.fee(amount_minor)
    if fee_minor >= amount_minor:
        raise PreconditionError(
            "BELOW_MINIMUM", f"the fee is {fee_minor} minor units of {asset}: nothing would be paid"
        )
    return fee_minor


def pass_gate(gate: Condition, counters: Mapping[str, int], amount_minor: int) -> None:
    """Raises PreconditionError unless the gate is true of a participant's counters and the amount they ask for."""
    try:
        if gate.holds(
            {f"{COUNTERS_PREFIX}{name}": value for name, value in counters.items()} | {"amount": amount_minor}
        ):
            return
        why = "is not true"
    except ConditionError as error:
        why = f"could not be evaluated: {error}"
    raise PreconditionError("GATE_CLOSED", f"the plan's gate {gate.text!r} {why}")


def request(payout: Payout) -> WalletTransfer:
    """Sets the amount aside."""
    return _move(payout, TransferKind.PAYOUT_REQUEST, AccountKind.AVAILABLE, AccountKind.RESERVED, payout.amount_minor)


def approve(payout: Payout, now: datetime) -> Payout:
    """Lets it go on. The same again changes nothing."""
    if payout.state in {PayoutState.REJECTED, PayoutState.CANCELLED}:
        raise PreconditionError("PAYOUT_ENDED", _standing(payout))
    return (
        replace(payout, state=PayoutState.APPROVED, update_time=now)
        if payout.state is PayoutState.REQUESTED
        else payout
    )


def reject(payout: Payout, reason: str, now: datetime) -> tuple[Payout, list[WalletTransfer]]:
    """A person says no, as long as it is not on its way. The same again changes nothing."""
    if payout.state is PayoutState.REJECTED:
        return payout, []
    if payout.state is PayoutState.REQUESTED or (payout.state is PayoutState.APPROVED and payout.attempts == 0):
        return replace(payout, state=PayoutState.REJECTED, reason=reason, update_time=now), [_returned(payout)]
    raise PreconditionError("PAYOUT_ON_ITS_WAY", _standing(payout))


def sent(payout: Payout, now: datetime, batch_id: str = "") -> Payout:
    """A new attempt: it is handed over."""
    return replace(
        payout,
        state=PayoutState.SENT,
        attempts=payout.attempts + 1,
        sends=1,
        batch_id=batch_id,
        provider_reference="",
        reason="",
        update_time=now,
    )


def report(payout: Payout, attempt: int, answer: ProviderAnswer, now: datetime) -> tuple[Payout, list[WalletTransfer]]:
    """Takes the provider's answer to an attempt, counted from 1; a PENDING answer only stops the asking.

    The same answer again changes nothing; another answer than before is an error, because money that left does not come
    back by a word. Money comes back where the provider says so (BOUNCED), and only from the attempt that was paid.
    """
    if attempt > payout.attempts:
        raise PreconditionError(
            "PAYOUT_NOT_SENT", f"payout {payout.payout_id!r} was handed over {payout.attempts} times"
        )
    state = payout.state if attempt == payout.attempts else PayoutState.FAILED
    if state is PayoutState.SENT:
        return _first_answer(payout, answer, now)
    if state is PayoutState.PAID and answer.outcome is ProviderStatus.BOUNCED:
        # Only what had reached the participant comes back: the provider was paid for its work, and keeps the fee.
        back = _move(payout, TransferKind.PAYOUT_BOUNCE, AccountKind.PAID_OUT, AccountKind.AVAILABLE, payout.paid_minor)
        return _answered(payout, PayoutState.BOUNCED, answer, now), [back]
    repeatable = _REPEATABLE.get(state, (ProviderStatus.FAILED,))
    if answer.outcome not in (*repeatable, ProviderStatus.PENDING):
        raise PreconditionError(
            "ANSWERED_BEFORE",
            f"attempt {attempt} of payout {payout.payout_id!r} is known to have {_PAST_TENSE[repeatable[0]]}",
        )
    return payout, []


def _first_answer(payout: Payout, answer: ProviderAnswer, now: datetime) -> tuple[Payout, list[WalletTransfer]]:
    if answer.outcome is ProviderStatus.PENDING:
        return replace(payout, provider_reference=answer.reference, send_time=None, update_time=now), []
    if answer.outcome is ProviderStatus.FAILED:
        return _answered(payout, PayoutState.FAILED, answer, now), []
    if answer.outcome is ProviderStatus.BOUNCED:
        raise PreconditionError(
            "PAYOUT_NOT_PAID",
            f"nobody has told yet that payout {payout.payout_id!r} was paid: report that first, or that it failed",
        )
    moves = [_move(payout, TransferKind.PAYOUT, AccountKind.RESERVED, AccountKind.PAID_OUT, payout.paid_minor)]
    if payout.fee_minor:
        moves.append(_move(payout, TransferKind.PAYOUT_FEE, AccountKind.RESERVED, AccountKind.FEES, payout.fee_minor))
    return _answered(payout, PayoutState.PAID, answer._replace(reason=""), now), moves


def _answered(payout: Payout, state: PayoutState, answer: ProviderAnswer, now: datetime) -> Payout:
    return replace(
        payout,
        state=state,
        provider_reference=answer.reference or payout.provider_reference,
        reason=answer.reason,
        send_time=None,
        update_time=now,
    )


def retry(payout: Payout, now: datetime) -> Payout:
    """Lets a failed payout be handed over once more."""
    if payout.state is not PayoutState.FAILED:
        raise PreconditionError("PAYOUT_NOT_FAILED", _standing(payout))
    return replace(payout, state=PayoutState.APPROVED, update_time=now)


def cancel(payout: Payout, now: datetime) -> tuple[Payout, list[WalletTransfer]]:
    """Gives a failed payout up. The same again changes nothing."""
    if payout.state is PayoutState.CANCELLED:
        return payout, []
    if payout.state is not PayoutState.FAILED:
        raise PreconditionError("PAYOUT_NOT_FAILED", _standing(payout))
    return replace(payout, state=PayoutState.CANCELLED, update_time=now), [_returned(payout)]


def pause(sends: int) -> timedelta:
    """The time from the n-th sending without an answer to the next one."""
    return min(FIRST_PAUSE * (1 << min(sends - 1, 20)), LONGEST_PAUSE)


def _returned(payout: Payout) -> WalletTransfer:
    return _move(payout, TransferKind.PAYOUT_RETURN, AccountKind.RESERVED, AccountKind.AVAILABLE, payout.amount_minor)


def _standing(payout: Payout) -> str:
    return f"payout {payout.payout_id!r} is {payout.state.name.lower()}"


def _move(
    payout: Payout, kind: TransferKind, debit: AccountKind, credit: AccountKind, amount_minor: int
) -> WalletTransfer:
    return WalletTransfer(
        payout.program_id, kind, payout.participant_id, debit, credit, payout.asset, amount_minor, payout.cause_id
    )
