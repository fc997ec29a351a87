"""Holds what the services say against what the file expects."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from upline.attribution.v1 import conversion_pb2, link_pb2
from upline.notify.v1 import notify_pb2
from upline.rewards.v1 import contest_pb2, payout_pb2, redemption_pb2, reward_pb2, wallet_pb2

from chassis.times import to_datetime
from cli.bundle.names import short_name
from cli.client import CALL_SECONDS
from cli.scenario.shapes.expect import (
    Expect,
    ExpectedContest,
    ExpectedCredit,
    ExpectedEntry,
    ExpectedOutcome,
    ExpectedPayout,
    ExpectedRedemption,
    ExpectedReward,
    ExpectedTotal,
    Wallet,
)
from cli.scenario.world import World

PAGE = 1_000
PLACES = ("available", "held", "reserved", "debt")
NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that is not as expected."""

    path: str
    """In the file."""
    expected: tuple[str, ...]
    """Lines for people."""
    found: tuple[str, ...]


async def compare(world: World, expect: Expect, path: str) -> list[Difference]:
    """Everything that differs, in the order of the file's keys."""
    found: list[Difference] = []
    for person, assets in expect.wallets.items():
        found += await _wallet(world, person, assets, f"{path}.wallets[{person}]")
    for event, rewards in expect.rewards.items():
        found += await _rewards(world, event, rewards, f"{path}.rewards[{event}]")
    for event, outcomes in expect.outcomes.items():
        found += await _outcomes(world, event, outcomes, f"{path}.outcomes[{event}]")
    for person, entries in expect.inbox.items():
        found += await _inbox(world, person, entries, f"{path}.inbox[{person}]")
    for redemption, stands in expect.redemptions.items():
        found += await _redemption(world, redemption, stands, f"{path}.redemptions[{redemption}]")
    for payout, stands_at in expect.payouts.items():
        found += await _payout(world, payout, stands_at, f"{path}.payouts[{payout}]")
    for contest, ranked in expect.contests.items():
        found += await _contest(world, contest, ranked, f"{path}.contests[{contest}]")
    for event, credit in expect.credit.items():
        found += await _credit(world, event, credit, f"{path}.credit[{event}]")
    if expect.totals:
        found += await _totals(world, expect.totals, f"{path}.totals")
    for person, channels in expect.shares.items():
        found += await _shares(world, person, channels, f"{path}.shares[{person}]")
    return found


def held_against(path: str, pairs: Iterable[tuple[str, Any, Any]]) -> list[Difference]:
    """Of (name, expected, found), those that differ. What is expected to be None was not said."""
    return [
        Difference(f"{path}.{name}", (shown(wanted),), (shown(there),))
        for name, wanted, there in pairs
        if wanted is not None and wanted != there
    ]


def shown(value: Any) -> str:
    """A value as the file would say it."""
    if value == "":
        return NOTHING
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


async def _wallet(world: World, person: str, assets: dict[str, Wallet], path: str) -> list[Difference]:
    answer = await world.client.wallets.GetWallet(
        wallet_pb2.GetWalletRequest(program_id=world.program_id, participant_id=person), timeout=CALL_SECONDS
    )
    there = {each.asset: each for each in answer.balances}
    differences = []
    for asset in [*assets, *(each for each in there if each not in assets)]:
        wanted, balance = assets.get(asset, Wallet()), there.get(asset, wallet_pb2.Balance())
        pairs = [
            (place, getattr(wanted, place), world.whole(asset, getattr(balance, f"{place}_minor"))) for place in PLACES
        ]
        differences += held_against(f"{path}[{asset}]", pairs)
    return differences


async def _rewards(world: World, event: str, wanted: Sequence[ExpectedReward], path: str) -> list[Difference]:
    page = await world.client.rewards.ListRewards(
        reward_pb2.ListRewardsRequest(program_id=world.program_id, conversion_id=event, page_size=PAGE),
        timeout=CALL_SECONDS,
    )
    expected = [_said(world, each) for each in wanted]
    left = [_facts(world, each) for each in page.rewards]
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
        Difference(
            path,
            tuple(_told(said) for said in expected if said in missing) or (NOTHING,),
            tuple(_told({name: value for name, value in facts.items() if name in named}) for facts in left)
            or (NOTHING,),
        )
    ]


def _said(world: World, wanted: ExpectedReward) -> dict[str, Any]:
    """What the file says of a reward."""
    said = {
        "rule": wanted.rule or None,
        "level": wanted.level,
        "to": wanted.to,
        "amount": wanted.amount,
        "first": wanted.first,
        "asset": wanted.asset or None,
        "state": wanted.state.upper() or None,
        "held_until": world.script.moment(wanted.held_until) if wanted.held_until is not None else None,
        "until_event": wanted.until_event,
        "awaits_approval": wanted.awaits_approval,
        "rejection_reason": wanted.rejection_reason,
        "version": wanted.version,
    }
    return {name: value for name, value in said.items() if value is not None}


def _facts(world: World, reward: reward_pb2.Reward) -> dict[str, Any]:
    return {
        "rule": reward.rule_id,
        "level": reward.level,
        "to": reward.beneficiary_id,
        "amount": world.whole(reward.asset, reward.net_minor),
        "first": world.whole(reward.asset, reward.amount_minor),
        "asset": reward.asset,
        "state": short_name(reward_pb2.RewardState.DESCRIPTOR, reward.state),
        "held_until": to_datetime(reward.hold_until) if reward.HasField("hold_until") else "",
        "until_event": reward.until_event,
        "awaits_approval": reward.awaits_approval,
        "rejection_reason": reward.rejection_reason,
        "version": reward.plan_version,
    }


def _told(facts: dict[str, Any]) -> str:
    return ", ".join(f"{name}: {shown(value)}" for name, value in facts.items())


async def _outcomes(world: World, event: str, wanted: Sequence[ExpectedOutcome], path: str) -> list[Difference]:
    answer = await world.client.rewards.ExplainConversion(
        reward_pb2.ExplainConversionRequest(program_id=world.program_id, conversion_id=event), timeout=CALL_SECONDS
    )
    differences = []
    for index, each in enumerate(wanted):
        there = [one for one in answer.derivations if one.rule_id == each.rule and each.level in (None, int(one.level))]
        outcomes = [short_name(reward_pb2.Outcome.DESCRIPTOR, one.outcome) for one in there]
        if each.outcome.upper() not in outcomes:
            found = tuple(f"{outcome}: {one.sentence}" for outcome, one in zip(outcomes, there, strict=True))
            differences.append(Difference(f"{path}[{index}]", (each.outcome.upper(),), found or (NOTHING,)))
    return differences


async def _inbox(world: World, person: str, wanted: Sequence[ExpectedEntry], path: str) -> list[Difference]:
    page = await world.client.inbox.ListInbox(
        notify_pb2.ListInboxRequest(program_id=world.program_id, participant_id=person, page_size=PAGE),
        timeout=CALL_SECONDS,
    )
    entries = list(page.entries)[::-1]
    fresh = entries[world.seen.get(person, 0) :]
    world.seen[person] = len(entries)
    if len(fresh) == len(wanted) and all(map(_fits, wanted, fresh)):
        return []
    return [
        Difference(
            path,
            tuple(_wish(each) for each in wanted) or (NOTHING,),
            tuple(_entry(each) for each in fresh) or (NOTHING,),
        )
    ]


def _fits(wanted: ExpectedEntry, entry: notify_pb2.InboxEntry) -> bool:
    whole = f"{entry.title}\n{entry.body}"
    pairs = (
        (wanted.kind.upper(), short_name(notify_pb2.NotificationKind.DESCRIPTOR, entry.kind)),
        (wanted.title, entry.title),
        (wanted.body, entry.body),
        (wanted.event, entry.conversion_id),
    )
    return plain_spaces(wanted.text) in plain_spaces(whole) and all(
        not said or plain_spaces(str(said)) == plain_spaces(str(there)) for said, there in pairs
    )


def plain_spaces(text: str) -> str:
    """Amounts are written with spaces that do not break; a file is easier to write with ordinary ones."""
    return text.replace("\u00a0", " ").replace("\u202f", " ")


def _wish(wanted: ExpectedEntry) -> str:
    said = {name: getattr(wanted, name) for name in ("kind", "event", "title", "body", "text")}
    return ", ".join(f"{name}: {value}" for name, value in said.items() if value)


def _entry(entry: notify_pb2.InboxEntry) -> str:
    kind = short_name(notify_pb2.NotificationKind.DESCRIPTOR, entry.kind)
    return f"kind: {kind}, event: {entry.conversion_id}, title: {entry.title}, body: {entry.body}"


async def _redemption(world: World, redemption: str, wanted: ExpectedRedemption, path: str) -> list[Difference]:
    answer = await world.client.redemptions.GetRedemption(
        redemption_pb2.GetRedemptionRequest(program_id=world.program_id, redemption_id=redemption),
        timeout=CALL_SECONDS,
    )
    there = answer.redemption
    state = short_name(redemption_pb2.RedemptionState.DESCRIPTOR, there.state)
    pairs = [
        ("state", wanted.state.upper() or None, state),
        ("authorized", wanted.authorized, world.whole(there.asset, there.authorized_minor)),
        ("captured", wanted.captured, world.whole(there.asset, there.captured_minor)),
        ("refunded", wanted.refunded, world.whole(there.asset, there.refunded_minor)),
        ("worth", wanted.worth, world.whole(world.currency, there.worth_minor)),
    ]
    return held_against(path, pairs)


async def _payout(world: World, payout: str, wanted: ExpectedPayout, path: str) -> list[Difference]:
    answer = await world.client.payouts.GetPayout(
        payout_pb2.GetPayoutRequest(program_id=world.program_id, payout_id=payout), timeout=CALL_SECONDS
    )
    there = answer.payout
    pairs = [
        ("state", wanted.state.upper() or None, short_name(payout_pb2.PayoutState.DESCRIPTOR, there.state)),
        ("amount", wanted.amount, world.whole(there.asset, there.amount_minor)),
        ("fee", wanted.fee, world.whole(there.asset, there.fee_minor)),
        ("attempts", wanted.attempts, there.attempts),
        ("reason", wanted.reason, there.reason),
    ]
    return held_against(path, pairs)


async def _contest(world: World, contest: str, wanted: ExpectedContest, path: str) -> list[Difference]:
    answer = await world.client.contests.GetLeaderboard(
        contest_pb2.GetLeaderboardRequest(program_id=world.program_id, contest_id=contest, page_size=PAGE),
        timeout=CALL_SECONDS,
    )
    state = short_name(contest_pb2.ContestState.DESCRIPTOR, answer.state)
    differences = held_against(path, [("state", wanted.state.upper() or None, state)])
    if wanted.ranking is None:
        return differences
    there = [{"person": each.participant_id, "rank": each.rank, "score": each.score} for each in answer.standings]
    said = [
        {name: value for name in ("person", "rank", "score") if (value := getattr(each, name)) is not None}
        for each in wanted.ranking
    ]
    if len(said) == len(there) and all(one.items() <= other.items() for one, other in zip(said, there, strict=True)):
        return differences
    expected, found = (tuple(map(_told, side)) or (NOTHING,) for side in (said, there))
    return [*differences, Difference(f"{path}.ranking", expected, found)]


async def _credit(world: World, event: str, wanted: ExpectedCredit, path: str) -> list[Difference]:
    answer = await world.client.conversions.GetConversion(
        conversion_pb2.GetConversionRequest(program_id=world.program_id, conversion_id=event), timeout=CALL_SECONDS
    )
    there = answer.conversion.attribution
    reason = short_name(conversion_pb2.AttributionReason.DESCRIPTOR, there.reason)
    pairs = [
        ("to", wanted.to or None, there.referrer_id or "nobody"),
        ("reason", wanted.reason.upper() or None, reason),
        ("channel", wanted.channel, there.channel),
        ("campaign", wanted.campaign, there.campaign),
    ]
    return held_against(path, pairs)


async def _totals(world: World, wanted: dict[str, ExpectedTotal], path: str) -> list[Difference]:
    answer = await world.client.rewards.GetProgramTotals(
        reward_pb2.GetProgramTotalsRequest(program_id=world.program_id), timeout=CALL_SECONDS
    )
    totals = {each.asset: each for each in answer.assets}
    differences = []
    for asset, each in wanted.items():
        there = totals.get(asset, reward_pb2.AssetTotals())
        pairs = [
            ("rewards", each.rewards, there.reward_count),
            ("accrued", each.accrued, world.whole(asset, there.accrued_minor)),
            ("reversed", each.reversed, world.whole(asset, there.reversed_minor)),
            ("rejected", each.rejected, world.whole(asset, there.rejected_minor)),
            ("earners", each.earners, there.earner_count),
        ]
        differences += held_against(f"{path}[{asset}]", pairs)
    return differences


async def _shares(world: World, person: str, wanted: dict[str, int], path: str) -> list[Difference]:
    answer = await world.client.links.GetShareCounts(
        link_pb2.GetShareCountsRequest(program_id=world.program_id, participant_id=person), timeout=CALL_SECONDS
    )
    there = {each.channel: each.share_count for each in answer.channels}
    channels = sorted({*wanted, *there})
    return [
        Difference(f"{path}[{each}]", (str(wanted.get(each, 0)),), (str(there.get(each, 0)),))
        for each in channels
        if wanted.get(each, 0) != there.get(each, 0)
    ]
