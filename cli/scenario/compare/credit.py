"""Who got credit for an event, and how often a person shared."""

from upline.attribution.v1 import conversion_pb2, link_pb2

from cli.bundle.names import short_name
from cli.client import CALL_SECONDS
from cli.scenario.compare.mismatch import Mismatch, mismatches_of
from cli.scenario.run import ScenarioRun
from cli.scenario.shapes.expect import ExpectedCredit


async def compare_credit(run: ScenarioRun, event: str, wanted: ExpectedCredit, path: str) -> list[Mismatch]:
    """Compares who got credit for an event, and why."""
    answer = await run.client.conversions.GetConversion(
        conversion_pb2.GetConversionRequest(program_id=run.program_id, conversion_id=event), timeout=CALL_SECONDS
    )
    there = answer.conversion.attribution
    reason = short_name(conversion_pb2.AttributionReason.DESCRIPTOR, there.reason)
    pairs = [
        ("to", wanted.to or None, there.referrer_id or "nobody"),
        ("reason", wanted.reason.upper() or None, reason),
        ("channel", wanted.channel, there.channel),
        ("campaign", wanted.campaign, there.campaign),
    ]
    return mismatches_of(path, pairs)


async def compare_shares(run: ScenarioRun, person: str, wanted: dict[str, int], path: str) -> list[Mismatch]:
    """Compares how often a person shared, by channel; a channel that is not named is expected to be 0."""
    answer = await run.client.links.GetShareCounts(
        link_pb2.GetShareCountsRequest(program_id=run.program_id, participant_id=person), timeout=CALL_SECONDS
    )
    there = {each.channel: each.share_count for each in answer.channels}
    channels = sorted({*wanted, *there})
    return [
        Mismatch(f"{path}[{each}]", (str(wanted.get(each, 0)),), (str(there.get(each, 0)),))
        for each in channels
        if wanted.get(each, 0) != there.get(each, 0)
    ]
