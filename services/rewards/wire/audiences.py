"""Audiences: from the contract to the people whom a rule or a counter means."""

from upline.rewards.v1 import plan_pb2

from services.rewards.domain.plan.audience import BUYER_LEVEL, LINK_OWNER_LEVEL, Audience, Role
from services.rewards.wire.problems import Problems


def read_audience(message: plan_pb2.Beneficiary, path: str, problems: Problems) -> Audience:
    """The audience of a message; where its levels are not in order, a mistake is noted."""
    who = message.WhichOneof("who")
    if who == "buyer":
        return Audience(Role.BUYER, BUYER_LEVEL, BUYER_LEVEL)
    if who == "link_owner":
        return Audience(Role.LINK_OWNER, LINK_OWNER_LEVEL, LINK_OWNER_LEVEL)
    first, last = message.upline.from_level, message.upline.to_level
    if last < first:
        problems.wrong(f"{path}.upline.to_level", f"must not be below from_level ({first})")
    return Audience(Role.UPLINE, first, max(first, last))
