"""Totals of a replay: what was earned, for programs and for people."""

from typing import Any

from upline.rewards.v1 import reward_pb2

from cli.bundle.assets import currency_digits
from cli.output import format_amount, out

TOP = 3
"""The number of participants who hold most that are shown."""


def earnings(totals: reward_pb2.GetProgramTotalsResponse) -> dict[str, Any]:
    """The figures of the asset that most rewards were paid in; of several assets, all in `assets` too."""
    by_count = sorted(totals.assets, key=lambda each: (-each.reward_count, each.asset))
    if not by_count:
        return {"asset": "", "rewards": 0, "rewarded_minor": 0, "earners": 0, "top": []}
    told = [
        {
            "asset": each.asset,
            "rewards": each.reward_count,
            "rewarded_minor": each.accrued_minor,
            "earners": each.earner_count,
            "top": [{"participant": one.participant_id, "amount_minor": one.amount_minor} for one in each.top[:TOP]],
        }
        for each in by_count
    ]
    return told[0] | ({"assets": told} if len(told) > 1 else {})


def print_result(result: dict[str, Any]) -> None:
    """Prints the totals; the last line holds the verdict."""
    digits = currency_digits(result["currency"])
    gross = format_amount(result["gross_minor"], digits, result["currency"])
    out.print(f"{result['orders']} orders of {gross}; {result['recorded_now']} of them recorded by this run")
    for each in result.get("assets", [result]):
        unit = f"{each['asset']}" if each["asset"] == result["currency"] else f"{each['asset']} (minor units)"
        shown = digits if each["asset"] == result["currency"] else 0
        rewarded = format_amount(each["rewarded_minor"], shown, unit)
        out.print(f"{each['rewards']} rewards of {rewarded} to {each['earners']} participants")
        for one in each["top"]:
            out.print(f"  {one['participant']} holds {format_amount(one['amount_minor'], shown, unit)}")
    if reversal := result.get("reversal"):
        out.print(
            f"{reversal['reversals']} reversals; {reversal['wallets_not_zero']} of {reversal['wallets_checked']}"
            " wallets are not zero"
        )
    verdict = "balances" if result["ledger_balanced"] else "DOES NOT BALANCE"
    out.print(f"the ledger {verdict}; {result['seconds']:.1f} seconds")
