"""Payouts as a table, with amounts in whole units."""

from upline.rewards.v1 import payout_pb2, wallet_pb2

from cli.bundle.encode import plain_values
from cli.client import CALL_SECONDS, Client
from cli.output import format_amount, format_time, make_table, out, print_json

STATE_PREFIX = "PAYOUT_STATE_"


async def read_digits(client: Client, found: list[payout_pb2.Payout]) -> dict[str, int]:
    """The decimal places of each asset of a participant who has one of the payouts."""
    if not found:
        return {}
    request = wallet_pb2.GetWalletRequest(program_id=found[0].program_id, participant_id=found[0].participant_id)
    balances = (await client.wallets.GetWallet(request, timeout=CALL_SECONDS)).balances
    return {each.asset: each.minor_digits for each in balances}


def show_payouts(found: list[payout_pb2.Payout], digits: dict[str, int], as_json: bool) -> None:
    """Prints a table of payouts, or JSON."""
    if as_json:
        print_json({"payouts": [plain_values(each, defaults=True) for each in found]})
        return
    rows = make_table(
        "", "payout", "participant", "amount", "fee", "method", "state", "asked", "why", right=("amount", "fee")
    )
    for each in found:
        places = digits.get(each.asset, 0)
        told = payout_pb2.PayoutState.Name(each.state).removeprefix(STATE_PREFIX).lower()
        rows.add_row(
            each.payout_id,
            each.participant_id,
            format_amount(each.amount_minor, places, each.asset),
            format_amount(each.fee_minor, places, each.asset),
            each.method,
            told,
            format_time(each.create_time),
            each.reason,
        )
    out.print(rows if found else "no payouts")
