"""Which kinds of transfers move value between which kinds of accounts."""

from services.rewards.domain.ledger import AccountKind, TransferKind
from services.rewards.domain.wallet.payout import PayoutState
from services.rewards.store.numbers import number_rows, numbers

OF_REWARDS = number_rows(
    [
        (TransferKind.ACCRUAL, AccountKind.ISSUANCE, AccountKind.HELD),
        (TransferKind.ACCRUAL, AccountKind.ISSUANCE, AccountKind.AVAILABLE),
        (TransferKind.RELEASE, AccountKind.HELD, AccountKind.AVAILABLE),
        (TransferKind.REVERSAL, AccountKind.HELD, AccountKind.ISSUANCE),
        (TransferKind.REVERSAL, AccountKind.AVAILABLE, AccountKind.ISSUANCE),
        (TransferKind.REVERSAL, AccountKind.DEBT, AccountKind.ISSUANCE),
        (TransferKind.REVERSAL, AccountKind.EXPIRED, AccountKind.ISSUANCE),
        (TransferKind.REJECTION, AccountKind.HELD, AccountKind.ISSUANCE),
    ]
)
"""(kind, debit, credit) of transfers that are about a reward."""
OF_NO_REWARD = number_rows(
    [
        (TransferKind.DEBT_SETTLEMENT, AccountKind.AVAILABLE, AccountKind.DEBT),
        (TransferKind.AUTHORIZATION, AccountKind.AVAILABLE, AccountKind.RESERVED),
        (TransferKind.CAPTURE, AccountKind.RESERVED, AccountKind.REDEEMED),
        (TransferKind.VOID, AccountKind.RESERVED, AccountKind.AVAILABLE),
        (TransferKind.REDEMPTION_REFUND, AccountKind.REDEEMED, AccountKind.AVAILABLE),
        (TransferKind.PURCHASE, AccountKind.AVAILABLE, AccountKind.REDEEMED),
        (TransferKind.EXCHANGE, AccountKind.AVAILABLE, AccountKind.EXCHANGE),
        (TransferKind.EXCHANGE, AccountKind.EXCHANGE, AccountKind.AVAILABLE),
        (TransferKind.GIFT, AccountKind.AVAILABLE, AccountKind.AVAILABLE),
        (TransferKind.PAYOUT_REQUEST, AccountKind.AVAILABLE, AccountKind.RESERVED),
        (TransferKind.PAYOUT, AccountKind.RESERVED, AccountKind.PAID_OUT),
        (TransferKind.PAYOUT_FEE, AccountKind.RESERVED, AccountKind.FEES),
        (TransferKind.PAYOUT_RETURN, AccountKind.RESERVED, AccountKind.AVAILABLE),
        (TransferKind.EXPIRY, AccountKind.AVAILABLE, AccountKind.EXPIRED),
        (TransferKind.PRIZE, AccountKind.ISSUANCE, AccountKind.AVAILABLE),
        (TransferKind.PAYOUT_BOUNCE, AccountKind.PAID_OUT, AccountKind.AVAILABLE),
    ]
)
"""(kind, debit, credit) of all other transfers."""
TAKEN = numbers(TransferKind.REVERSAL, TransferKind.REJECTION)
AFTER_ACCRUAL = numbers(TransferKind.RELEASE, TransferKind.REVERSAL, TransferKind.REJECTION)
AT_ONCE = numbers(TransferKind.PURCHASE, TransferKind.EXCHANGE, TransferKind.GIFT)
PAYOUT_ENDS = numbers(TransferKind.PAYOUT, TransferKind.PAYOUT_FEE, TransferKind.PAYOUT_BOUNCE)
PAYOUT_OPEN = numbers(PayoutState.REQUESTED, PayoutState.APPROVED, PayoutState.SENT, PayoutState.FAILED)
WAS_PAID = numbers(PayoutState.PAID, PayoutState.BOUNCED)
