"""Contests: who is ahead, and who won."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.errors import not_found
from services.rewards.domain.plan.contests import Contest, ContestState, Score
from services.rewards.queries.deps import QueryDeps
from services.rewards.store import contests, plans
from services.rewards.store.view import on_one_snapshot


class Leaderboard(NamedTuple):
    """A part of a contest's ranking."""

    stated_in: bytes
    """The stored plan that states the contest."""
    state: ContestState
    scores: Sequence[Score]


class Standing(NamedTuple):
    """The place of one participant in a ranking, and the way to the next."""

    rank: int
    """0 for a participant who is not ranked."""
    score: Score | None
    to_next_rank: int
    """The points that the score lacks to the next rank; 0 for the first."""
    ranked_count: int


class _StatedContest(NamedTuple):
    contest: Contest
    version: int
    is_closed: bool


async def get_leaderboard(
    deps: QueryDeps, program_id: str, contest_id: str, after: Score | None, limit: int
) -> Leaderboard:
    """The best, or the best of those behind `after`."""
    async with deps.database.transaction() as conn:
        stated = await _require_contest(deps, conn, program_id, contest_id)
        row = (await plans.load_rows(conn, program_id, stated.version + 1, 1)).items[0]
        scores = await contests.ranking(conn, program_id, stated.contest, limit, after)
    state = ContestState.CLOSED if stated.is_closed else stated.contest.state_at(deps.clock.now())
    return Leaderboard(row.plan, state, scores)


async def get_standing(deps: QueryDeps, program_id: str, contest_id: str, participant_id: str) -> Standing:
    """Reads one participant's place. NOT_FOUND for a contest that no version states."""
    async with deps.database.transaction() as conn:
        await on_one_snapshot(conn)
        contest = (await _require_contest(deps, conn, program_id, contest_id)).contest
        count = await contests.ranked_count(conn, program_id, contest)
        own = await contests.score(conn, program_id, contest, participant_id)
        if own is None or own.score < contest.min_score:
            return Standing(0, None, contest.min_score - (0 if own is None else own.score), count)
        ahead, next_score = await contests.ahead_of(conn, program_id, contest, own)
    # A participant who comes to the same score later stays behind.
    return Standing(ahead + 1, own, next_score - own.score + 1 if ahead else 0, count)


async def _require_contest(deps: QueryDeps, conn: AsyncConnection, program_id: str, contest_id: str) -> _StatedContest:
    """The contest as it was closed, else as the newest version that has it states it."""
    versions = (await deps.plans.load(conn, [program_id]))[program_id]
    closing_version = await contests.closing_version(conn, program_id, contest_id)
    for version in reversed(versions.outlines[:closing_version]):
        for contest in version.contests:
            if contest.contest_id == contest_id:
                return _StatedContest(contest, version.version, closing_version is not None)
    raise not_found("contest", contest_id)
