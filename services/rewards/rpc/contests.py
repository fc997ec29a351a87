"""upline.rewards.v1.ContestService."""

from dataclasses import dataclass

from upline.rewards.v1 import contest_pb2

from chassis.server import Context
from services.rewards.queries.contests import get_leaderboard, get_standing
from services.rewards.queries.deps import QueryDeps


@dataclass(frozen=True, slots=True)
class ContestServicer:
    """Contests."""

    queries: QueryDeps

    async def GetLeaderboard(
        self, request: contest_pb2.GetLeaderboardRequest, _context: Context
    ) -> contest_pb2.GetLeaderboardResponse:
        return await get_leaderboard(self.queries, request)

    async def GetStanding(
        self, request: contest_pb2.GetStandingRequest, _context: Context
    ) -> contest_pb2.GetStandingResponse:
        return await get_standing(self.queries, request)
