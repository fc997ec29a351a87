"""Rewards of an event, outcomes of its rules, and what a program has paid in all."""

from collections.abc import Sequence
from typing import Any

from upline.rewards.v1 import reward_pb2

from chassis.times import to_datetime
from cli.bundle.names import short_name
from cli.client import CALL_SECONDS, LARGEST_PAGE
from cli.scenario.compare.mismatch import NOTHING, Mismatch, mismatches_of, shown_facts
from cli.scenario.run import ScenarioRun
from cli.scenario.shapes.expect import ExpectedOutcome, ExpectedReward, ExpectedTotal


async def compare_rewards(run: ScenarioRun, event: str, wanted: Sequence[ExpectedReward], path: str) -> list[Mismatch]:
    """Compares all rewards of an event, in any order."""
    page = await run.client.rewards.ListRewards(
        reward_pb2.ListRewardsRequest(program_id=run.program_id, conversion_id=event, page_size=LARGEST_PAGE),
        timeout=CALL_SECONDS,
    )
    expected = [_expected_facts(run, each) for each in wanted]
    left = [_reward_facts(run, each) for each in page.rewards]
    missing = []
    # Those that say most choose first, so that one which says little does not take what another needs.
    for said in sorted(expected, key=len, reverse=True):
        match = next((facts for facts in left if said.items() <= facts.items()), None)
        if match is None:
            missing.append(said)
        else:
            left.remove(match)
    if not missing and not left:
        return []
    named = {name for said in expected for name in said} | {"rule", "to", "amount"}
    return [
        Mismatch(
            path,
            tuple(shown_facts(said) for said in expected if said in missing) or (NOTHING,),
            tuple(shown_facts({name: value for name, value in facts.items() if name in named}) for facts in left)
            or (NOTHING,),
        )
    ]


def _expected_facts(run: ScenarioRun, wanted: ExpectedReward) -> dict[str, Any]:
    """A reward as the file expects it: only what is said is compared."""
    said = {
        "rule": wanted.rule or None,
        "level": wanted.level,
        "to": wanted.to,
        "amount": wanted.amount,
        "first": wanted.first,
        "asset": wanted.asset or None,
        "state": wanted.state.upper() or None,
        "held_until": run.scenario_file.moment(wanted.held_until) if wanted.held_until is not None else None,
        "until_event": wanted.until_event,
        "awaits_approval": wanted.awaits_approval,
        "rejection_reason": wanted.rejection_reason,
        "version": wanted.version,
    }
    return {name: value for name, value in said.items() if value is not None}


def _reward_facts(run: ScenarioRun, reward: reward_pb2.Reward) -> dict[str, Any]:
    return {
        "rule": reward.rule_id,
        "level": reward.level,
        "to": reward.beneficiary_id,
        "amount": run.to_whole(reward.asset, reward.net_minor),
        "first": run.to_whole(reward.asset, reward.amount_minor),
        "asset": reward.asset,
        "state": short_name(reward_pb2.RewardState.DESCRIPTOR, reward.state),
        "held_until": to_datetime(reward.hold_until) if reward.HasField("hold_until") else "",
        "until_event": reward.until_event,
        "awaits_approval": reward.awaits_approval,
        "rejection_reason": reward.rejection_reason,
        "version": reward.plan_version,
    }


async def compare_outcomes(
    run: ScenarioRun, event: str, wanted: Sequence[ExpectedOutcome], path: str
) -> list[Mismatch]:
    """Compares the outcomes that are named; an event may have others."""
    answer = await run.client.rewards.ExplainConversion(
        reward_pb2.ExplainConversionRequest(program_id=run.program_id, conversion_id=event), timeout=CALL_SECONDS
    )
    mismatches = []
    for index, each in enumerate(wanted):
        there = [one for one in answer.derivations if one.rule_id == each.rule and each.level in (None, int(one.level))]
        outcomes = [short_name(reward_pb2.Outcome.DESCRIPTOR, one.outcome) for one in there]
        if each.outcome.upper() not in outcomes:
            found = tuple(f"{outcome}: {one.sentence}" for outcome, one in zip(outcomes, there, strict=True))
            mismatches.append(Mismatch(f"{path}[{index}]", (each.outcome.upper(),), found or (NOTHING,)))
    return mismatches


async def compare_totals(run: ScenarioRun, wanted: dict[str, ExpectedTotal], path: str) -> list[Mismatch]:
    """Compares what the program paid in each asset that is named."""
    answer = await run.client.rewards.GetProgramTotals(
        reward_pb2.GetProgramTotalsRequest(program_id=run.program_id), timeout=CALL_SECONDS
    )
    totals = {each.asset: each for each in answer.assets}
    mismatches = []
    for asset, each in wanted.items():
        there = totals.get(asset, reward_pb2.AssetTotals())
        pairs = [
            ("rewards", each.rewards, there.reward_count),
            ("accrued", each.accrued, run.to_whole(asset, there.accrued_minor)),
            ("reversed", each.reversed, run.to_whole(asset, there.reversed_minor)),
            ("rejected", each.rejected, run.to_whole(asset, there.rejected_minor)),
            ("earners", each.earners, there.earner_count),
        ]
        mismatches += mismatches_of(f"{path}[{asset}]", pairs)
    return mismatches
