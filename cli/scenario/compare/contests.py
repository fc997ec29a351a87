"""A contest's state and ranking."""

from upline.rewards.v1 import contest_pb2

from cli.bundle.names import short_name
from cli.client import CALL_SECONDS, LARGEST_PAGE
from cli.scenario.compare.mismatch import NOTHING, Mismatch, mismatches_of, shown_facts
from cli.scenario.run import ScenarioRun
from cli.scenario.shapes.expect import ExpectedContest


async def compare_contest(run: ScenarioRun, contest: str, wanted: ExpectedContest, path: str) -> list[Mismatch]:
    """Compares the state and the whole ranking of a contest."""
    answer = await run.client.contests.GetLeaderboard(
        contest_pb2.GetLeaderboardRequest(program_id=run.program_id, contest_id=contest, page_size=LARGEST_PAGE),
        timeout=CALL_SECONDS,
    )
    state = short_name(contest_pb2.ContestState.DESCRIPTOR, answer.state)
    mismatches = mismatches_of(path, [("state", wanted.state.upper() or None, state)])
    if wanted.ranking is None:
        return mismatches
    there = [{"person": each.participant_id, "rank": each.rank, "score": each.score} for each in answer.standings]
    said = [
        {name: value for name in ("person", "rank", "score") if (value := getattr(each, name)) is not None}
        for each in wanted.ranking
    ]
    if len(said) == len(there) and all(one.items() <= other.items() for one, other in zip(said, there, strict=True)):
        return mismatches
    expected, found = (tuple(map(shown_facts, side)) or (NOTHING,) for side in (said, there))
    return [*mismatches, Mismatch(f"{path}.ranking", expected, found)]
