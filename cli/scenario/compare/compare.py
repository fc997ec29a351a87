"""Everything that a step expects, compared in the order of the file's keys."""

from cli.scenario.compare.contests import compare_contest
from cli.scenario.compare.credit import compare_credit, compare_shares
from cli.scenario.compare.inbox import compare_inbox
from cli.scenario.compare.mismatch import Mismatch
from cli.scenario.compare.rewards import compare_outcomes, compare_rewards, compare_totals
from cli.scenario.compare.wallets import compare_payout, compare_redemption, compare_wallet
from cli.scenario.run import ScenarioRun
from cli.scenario.shapes.expect import Expect


async def compare(run: ScenarioRun, expect: Expect, path: str) -> list[Mismatch]:
    """Everything that differs, in the order of the file's keys."""
    found: list[Mismatch] = []
    for person, assets in expect.wallets.items():
        found += await compare_wallet(run, person, assets, f"{path}.wallets[{person}]")
    for event, rewards in expect.rewards.items():
        found += await compare_rewards(run, event, rewards, f"{path}.rewards[{event}]")
    for event, outcomes in expect.outcomes.items():
        found += await compare_outcomes(run, event, outcomes, f"{path}.outcomes[{event}]")
    for person, entries in expect.inbox.items():
        found += await compare_inbox(run, person, entries, f"{path}.inbox[{person}]")
    for redemption, stands in expect.redemptions.items():
        found += await compare_redemption(run, redemption, stands, f"{path}.redemptions[{redemption}]")
    for payout, stands_at in expect.payouts.items():
        found += await compare_payout(run, payout, stands_at, f"{path}.payouts[{payout}]")
    for contest, ranked in expect.contests.items():
        found += await compare_contest(run, contest, ranked, f"{path}.contests[{contest}]")
    for event, credit in expect.credit.items():
        found += await compare_credit(run, event, credit, f"{path}.credit[{event}]")
    if expect.totals:
        found += await compare_totals(run, expect.totals, f"{path}.totals")
    for person, channels in expect.shares.items():
        found += await compare_shares(run, person, channels, f"{path}.shares[{person}]")
    return found
