"""Contests out: what a plan states of one, and where participants stand in it."""

from upline.rewards.v1 import contest_pb2, plan_pb2

from chassis.times import to_timestamp
from services.rewards.domain.plan.contests import ContestState, Score

STATES = {
    ContestState.SCHEDULED: contest_pb2.CONTEST_STATE_SCHEDULED,
    ContestState.RUNNING: contest_pb2.CONTEST_STATE_RUNNING,
    ContestState.ENDED: contest_pb2.CONTEST_STATE_CLOSED,
    ContestState.CLOSED: contest_pb2.CONTEST_STATE_SETTLED,
}
"""The contract says SETTLED of a contest whose ranking is final, and CLOSED of one that is over but not final yet."""


def contest_message(stored_plan: bytes, contest_id: str) -> plan_pb2.Contest:
    """A contest of a stored plan for the caller."""
    return next(each for each in plan_pb2.Plan.FromString(stored_plan).contests if each.contest_id == contest_id)


def standing_message(rank: int, score: Score) -> contest_pb2.Standing:
    """A participant's place for the caller."""
    return contest_pb2.Standing(
        rank=rank, participant_id=score.participant_id, score=score.score, reach_time=to_timestamp(score.reach_time)
    )
