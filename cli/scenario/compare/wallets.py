"""Wallets, redemptions and payouts."""

from upline.rewards.v1 import payout_pb2, redemption_pb2, wallet_pb2

from cli.bundle.names import short_name
from cli.client import CALL_SECONDS
from cli.scenario.compare.mismatch import Mismatch, mismatches_of
from cli.scenario.run import ScenarioRun
from cli.scenario.shapes.expect import ExpectedPayout, ExpectedRedemption, ExpectedWallet

PLACES = ("available", "held", "reserved", "debt")


async def compare_wallet(run: ScenarioRun, person: str, assets: dict[str, ExpectedWallet], path: str) -> list[Mismatch]:
    """Compares a wallet; an asset that is not named is expected to be 0."""
    answer = await run.client.wallets.GetWallet(
        wallet_pb2.GetWalletRequest(program_id=run.program_id, participant_id=person), timeout=CALL_SECONDS
    )
    there = {each.asset: each for each in answer.balances}
    mismatches = []
    for asset in [*assets, *(each for each in there if each not in assets)]:
        wanted, balance = assets.get(asset, ExpectedWallet()), there.get(asset, wallet_pb2.Balance())
        pairs = [
            (place, getattr(wanted, place), run.to_whole(asset, getattr(balance, f"{place}_minor"))) for place in PLACES
        ]
        mismatches += mismatches_of(f"{path}[{asset}]", pairs)
    return mismatches


async def compare_redemption(
    run: ScenarioRun, redemption: str, wanted: ExpectedRedemption, path: str
) -> list[Mismatch]:
    """Compares where a redemption stands."""
    answer = await run.client.redemptions.GetRedemption(
        redemption_pb2.GetRedemptionRequest(program_id=run.program_id, redemption_id=redemption),
        timeout=CALL_SECONDS,
    )
    there = answer.redemption
    state = short_name(redemption_pb2.RedemptionState.DESCRIPTOR, there.state)
    pairs = [
        ("state", wanted.state.upper() or None, state),
        ("authorized", wanted.authorized, run.to_whole(there.asset, there.authorized_minor)),
        ("captured", wanted.captured, run.to_whole(there.asset, there.captured_minor)),
        ("refunded", wanted.refunded, run.to_whole(there.asset, there.refunded_minor)),
        ("worth", wanted.worth, run.to_whole(run.currency, there.worth_minor)),
    ]
    return mismatches_of(path, pairs)


async def compare_payout(run: ScenarioRun, payout: str, wanted: ExpectedPayout, path: str) -> list[Mismatch]:
    """Compares where a payout stands."""
    answer = await run.client.payouts.GetPayout(
        payout_pb2.GetPayoutRequest(program_id=run.program_id, payout_id=payout), timeout=CALL_SECONDS
    )
    there = answer.payout
    pairs = [
        ("state", wanted.state.upper() or None, short_name(payout_pb2.PayoutState.DESCRIPTOR, there.state)),
        ("amount", wanted.amount, run.to_whole(there.asset, there.amount_minor)),
        ("fee", wanted.fee, run.to_whole(there.asset, there.fee_minor)),
        ("attempts", wanted.attempts, there.attempts),
        ("reason", wanted.reason, there.reason),
    ]
    return mismatches_of(path, pairs)
