"""Wallets out."""

from datetime import datetime

from upline.rewards.v1 import wallet_pb2

from chassis.errors import invalid
from chassis.times import to_datetime, to_timestamp
from services.rewards.domain.wallet.statement import AssetBalance, TransferView


def read_at_time(request: wallet_pb2.GetWalletRequest) -> datetime | None:
    """The past moment that a caller asks about; None for now."""
    try:
        return to_datetime(request.at_time) if request.HasField("at_time") else None
    except ValueError as error:
        raise invalid("at_time", str(error)) from error


def balance_message(balance: AssetBalance) -> wallet_pb2.Balance:
    """The accounts of one asset for the caller."""
    return wallet_pb2.Balance(
        asset=balance.asset,
        minor_digits=balance.digits,
        held_minor=balance.held_minor,
        available_minor=balance.available_minor,
        reserved_minor=balance.reserved_minor,
        debt_minor=balance.debt_minor,
    )


def transfer_message(transfer: TransferView) -> wallet_pb2.Transfer:
    """A transfer for the caller."""
    return wallet_pb2.Transfer(
        transfer_id=transfer.transfer_id,
        kind=wallet_pb2.TransferKind.ValueType(transfer.kind),
        debit_account=transfer.debit_account,
        credit_account=transfer.credit_account,
        asset=transfer.asset,
        amount_minor=transfer.amount_minor,
        reward_id=transfer.reward_id,
        cause_id=transfer.cause_id,
        create_time=to_timestamp(transfer.create_time),
    )
