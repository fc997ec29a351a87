"""Contests: who is ahead, and who won."""

from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy.ext.asyncio import AsyncConnection
from upline.rewards.v1 import contest_pb2, plan_pb2

from chassis.errors import not_found
from chassis.pages import page_size
from chassis.times import to_timestamp
from services.rewards.domain.plan.contests import Contest
from services.rewards.queries.deps import QueryDeps
from services.rewards.store import contests, plans, reading
from services.rewards.store.contests import Score


class _Known(NamedTuple):
    """A contest as a version of the plan states it."""

    contest: Contest
    message: plan_pb2.Contest
    is_settled: bool


async def get_leaderboard(
    deps: QueryDeps, request: contest_pb2.GetLeaderboardRequest
) -> contest_pb2.GetLeaderboardResponse:
    """A page of the ranking."""
    size = page_size(request.page_size)
    position = deps.pager.position(request, request.page_token)
    rank, after = 0, None
    if position:
        # A token of the version before has no last element.
        rank, participant_id, score, reach_time, reach_position = [*position, 0][:5]
        after = Score(participant_id, score, datetime.fromisoformat(reach_time), reach_position)
    async with deps.database.transaction() as conn:
        known = await _require_contest(deps, conn, request.program_id, request.contest_id)
        scores = await contests.ranking(conn, request.program_id, known.contest, size + 1, after)
    standings, token = deps.pager.page(
        request, list(enumerate(scores, start=rank + 1)), size, lambda each: _standing(*each), _place_of
    )
    return contest_pb2.GetLeaderboardResponse(
        contest=known.message,
        state=_state(known, deps.clock.now()),
        standings=standings,
        next_page_token=token,
    )


async def get_standing(deps: QueryDeps, request: contest_pb2.GetStandingRequest) -> contest_pb2.GetStandingResponse:
    """One participant's place, and the way to the next."""
    async with deps.database.transaction() as conn:
        await reading.on_one_snapshot(conn)
        contest = (await _require_contest(deps, conn, request.program_id, request.contest_id)).contest
        count = await contests.ranked_count(conn, request.program_id, contest)
        mine = await contests.score(conn, request.program_id, contest, request.participant_id)
        if mine is None or mine.score < contest.min_score:
            missing = contest.min_score - (0 if mine is None else mine.score)
            return contest_pb2.GetStandingResponse(to_next_rank=missing, ranked_count=count)
        ahead, next_score = await contests.ahead_of(conn, request.program_id, contest, mine)
    return contest_pb2.GetStandingResponse(
        standing=_standing(ahead + 1, mine),
        to_next_rank=next_score - mine.score + 1 if ahead else 0,  # who comes to the same score later stays behind
        ranked_count=count,
    )


async def _require_contest(deps: QueryDeps, conn: AsyncConnection, program_id: str, contest_id: str) -> _Known:
    """The contest as it was settled, else as the newest version that has it states it."""
    versions = (await deps.plans.load(conn, [program_id]))[program_id]
    settled_by = await contests.settled_by(conn, program_id, contest_id)
    for plan in reversed(versions.plans[:settled_by]):
        for contest in plan.contests:
            if contest.contest_id == contest_id:
                row = (await plans.load_rows(conn, program_id, plan.version + 1, 1))[0]
                stated = plan_pb2.Plan.FromString(row.plan).contests
                message = next(each for each in stated if each.contest_id == contest_id)
                return _Known(contest, message, settled_by is not None)
    raise not_found("contest", contest_id)


def _state(known: _Known, now: datetime) -> contest_pb2.ContestState.ValueType:
    if known.is_settled:
        return contest_pb2.CONTEST_STATE_SETTLED
    if now >= known.contest.end_time:
        return contest_pb2.CONTEST_STATE_CLOSED
    return contest_pb2.CONTEST_STATE_RUNNING if now >= known.contest.start_time else contest_pb2.CONTEST_STATE_SCHEDULED


def _place_of(ranked: tuple[int, Score]) -> list[Any]:
    """Where a ranking goes on after somebody."""
    rank, score = ranked
    return [rank, score.participant_id, score.score, score.reach_time.isoformat(), score.reach_position]


def _standing(rank: int, score: Score) -> contest_pb2.Standing:
    return contest_pb2.Standing(
        rank=rank, participant_id=score.participant_id, score=score.score, reach_time=to_timestamp(score.reach_time)
    )
