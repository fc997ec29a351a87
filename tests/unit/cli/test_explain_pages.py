"""An explanation that comes in pages is shown whole."""

from types import SimpleNamespace
from typing import Any, cast

from upline.rewards.v1 import reward_pb2

from cli.client import Client
from cli.views.explanation import read_explanation

RULES = ["first", "second", "third"]


async def page(request: reward_pb2.ExplainConversionRequest, timeout: float) -> reward_pb2.ExplainConversionResponse:
    """A page with one derivation, that of the place which the token names."""
    assert timeout > 0
    place = int(request.page_token or 0)
    return reward_pb2.ExplainConversionResponse(
        sentence="all of it",
        derivations=[reward_pb2.Derivation(rule_id=RULES[place])],
        next_page_token=str(place + 1) if place + 1 < len(RULES) else "",
    )


async def test_every_page_of_an_explanation_is_read() -> None:
    client: Any = SimpleNamespace(rewards=SimpleNamespace(ExplainConversion=page))
    answer = await read_explanation(cast(Client, client), "shop", "order-1", "en")
    assert [each.rule_id for each in answer.derivations] == RULES
    assert answer.sentence == "all of it"
