"""Balances of a wallet, and the transfers behind them."""

from google.protobuf.timestamp_pb2 import Timestamp
from upline.rewards.v1 import wallet_pb2

from cli.client import CALL_SECONDS, Client
from cli.output import format_amount, format_time, make_table, out


async def read_wallet(
    client: Client, program: str, participant: str, transfers: int = 0, at_time: Timestamp | None = None
) -> tuple[wallet_pb2.GetWalletResponse, list[wallet_pb2.Transfer]]:
    """The balances of a wallet and, if asked for, its latest transfers."""
    balances = await client.wallets.GetWallet(
        wallet_pb2.GetWalletRequest(program_id=program, participant_id=participant, at_time=at_time),
        timeout=CALL_SECONDS,
    )
    if not transfers:
        return balances, []
    page = await client.wallets.ListTransfers(
        wallet_pb2.ListTransfersRequest(program_id=program, participant_id=participant, page_size=transfers),
        timeout=CALL_SECONDS,
    )
    return balances, list(page.transfers)


def print_balances(wallets: dict[str, wallet_pb2.GetWalletResponse]) -> None:
    """Prints a line for each participant and asset; set aside and owed have columns only where something is."""
    columns = {"on hold": "held_minor", "available": "available_minor"}
    for title, field in (("set aside", "reserved_minor"), ("owed", "debt_minor")):
        if any(getattr(each, field) for balances in wallets.values() for each in balances.balances):
            columns[title] = field
    rows = make_table("", "participant", *columns, right=tuple(columns))
    for participant, balances in wallets.items():
        for each in balances.balances:
            sums = (getattr(each, field) for field in columns.values())
            rows.add_row(participant, *(format_amount(each_sum, each.minor_digits, each.asset) for each_sum in sums))
        if not balances.balances:
            rows.add_row(participant, *["nothing"] * len(columns))
    out.print(rows)


def print_transfers(balances: wallet_pb2.GetWalletResponse, moved: list[wallet_pb2.Transfer]) -> None:
    """Prints a table of transfers, newest first."""
    digits = {each.asset: each.minor_digits for each in balances.balances}
    rows = make_table("transfers", "when", "kind", "amount", "from", "to", "cause", right=("amount",))
    for each in moved:
        kind = wallet_pb2.TransferKind.Name(each.kind).removeprefix("TRANSFER_KIND_").lower()
        sum_ = format_amount(each.amount_minor, digits.get(each.asset, 0), each.asset)
        rows.add_row(format_time(each.create_time), kind, sum_, each.debit_account, each.credit_account, each.cause_id)
    out.print(rows)
