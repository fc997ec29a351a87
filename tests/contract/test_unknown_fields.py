"""A plan that says more than the server understands would be paid wrongly: it is refused, wherever in it the field
stands."""

from collections.abc import Callable

import grpc
import pytest
from google.protobuf.message import Message
from upline.rewards.v1 import plan_pb2
from upline.type.v1 import asset_pb2

from tests.contract.conftest import Channels
from tests.contract.surface import call
from tests.errors import violated_fields

SERVICE = plan_pb2.DESCRIPTOR.services_by_name["PlanService"]
FIELD_NUMBER = 1999


def plan() -> plan_pb2.Plan:
    """A valid plan."""
    rule = plan_pb2.Rule(
        rule_id="upline",
        on=["order"],
        to=plan_pb2.Beneficiary(upline=plan_pb2.UplineLevels(from_level=1, to_level=1)),
        amount=plan_pb2.Amount(percent=plan_pb2.PercentAmount(percent="5")),
        asset="EUR",
    )
    rule.hold.duration.seconds = 60
    euro = asset_pb2.Asset(code="EUR", kind=asset_pb2.ASSET_KIND_MONEY)
    return plan_pb2.Plan(assets=[euro], rules=[rule])


PLACES: dict[str, Callable[[plan_pb2.Plan], Message]] = {
    "plan": lambda plan: plan,
    "plan.assets[0]": lambda plan: plan.assets[0],
    "plan.rules[0]": lambda plan: plan.rules[0],
    "plan.rules[0].to": lambda plan: plan.rules[0].to,
    "plan.rules[0].to.upline": lambda plan: plan.rules[0].to.upline,
    "plan.rules[0].amount": lambda plan: plan.rules[0].amount,
    "plan.rules[0].amount.percent": lambda plan: plan.rules[0].amount.percent,
    "plan.rules[0].hold": lambda plan: plan.rules[0].hold,
}


def requests(of: plan_pb2.Plan) -> dict[str, Message]:
    """The methods that take a plan, with their requests."""
    publish = plan_pb2.PublishPlanRequest(request_id="x", program_id="unknown-field", plan=of, currency_code="EUR")
    return {"PublishPlan": publish, "ValidatePlan": plan_pb2.ValidatePlanRequest(plan=of, currency_code="EUR")}


async def test_the_plan_itself_is_good(channels: Channels) -> None:
    await call(channels["rewards"], SERVICE.methods_by_name["ValidatePlan"], requests(plan())["ValidatePlan"])


@pytest.mark.parametrize("method", ["PublishPlan", "ValidatePlan"])
@pytest.mark.parametrize("path", PLACES)
async def test_an_unknown_field_is_refused_with_its_place(method: str, path: str, channels: Channels) -> None:
    newer = plan()
    # Field 1999 of wire type varint with value 1, as a newer caller would send it.
    PLACES[path](newer).MergeFromString(bytes([FIELD_NUMBER << 3 & 0x7F | 0x80, FIELD_NUMBER >> 4, 1]))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(channels["rewards"], SERVICE.methods_by_name[method], requests(newer)[method])
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert violated_fields(caught.value) == [path]
    assert str(FIELD_NUMBER) in (caught.value.details() or "")
