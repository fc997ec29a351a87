"""ContestService: rankings."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from upline.rewards.v1 import contest_pb2

from chassis.handlers import Context
from chassis.pages import Pager, Portion, page_size
from services.rewards.domain.plan.contests import Score
from services.rewards.queries.contests import get_leaderboard, get_standing
from services.rewards.queries.deps import QueryDeps
from services.rewards.wire.contests import STATES, contest_message, standing_message


@dataclass(frozen=True, slots=True)
class ContestServicer:
    """Contests. Methods are named as the contract names them, which says the rest."""

    service = contest_pb2.DESCRIPTOR.services_by_name["ContestService"]

    queries: QueryDeps
    pager: Pager

    async def GetLeaderboard(
        self, request: contest_pb2.GetLeaderboardRequest, _context: Context
    ) -> contest_pb2.GetLeaderboardResponse:
        size = page_size(request.page_size)
        rank, after = _read_position(self.pager.position(request, request.page_token))
        leaderboard = await get_leaderboard(self.queries, request.program_id, request.contest_id, after, size + 1)
        ranked = Portion.whole(list(enumerate(leaderboard.scores, start=rank + 1)))
        standings, token = self.pager.page(request, ranked, size, lambda each: standing_message(*each), _position)
        return contest_pb2.GetLeaderboardResponse(
            contest=contest_message(leaderboard.stated_in, request.contest_id),
            state=STATES[leaderboard.state],
            standings=standings,
            next_page_token=token,
        )

    async def GetStanding(
        self, request: contest_pb2.GetStandingRequest, _context: Context
    ) -> contest_pb2.GetStandingResponse:
        standing = await get_standing(self.queries, request.program_id, request.contest_id, request.participant_id)
        return contest_pb2.GetStandingResponse(
            standing=standing_message(standing.rank, standing.score) if standing.score else None,
            to_next_rank=standing.to_next_rank,
            ranked_count=standing.ranked_count,
        )


def _position(ranked: tuple[int, Score]) -> list[Any]:
    """The position of a page token: the last participant before the next page."""
    rank, score = ranked
    return [rank, score.participant_id, score.score, score.reach_time.isoformat(), score.reach_position]


def _read_position(position: list[Any] | None) -> tuple[int, Score | None]:
    """The last rank of the page before and the participant who has it; 0 and None for the first page."""
    if position is None:
        return 0, None
    # A token of the version before has no last element.
    rank, participant_id, score, reach_time, reach_position = [*position, 0][:5]
    return rank, Score(participant_id, score, datetime.fromisoformat(reach_time), reach_position)
