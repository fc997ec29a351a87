"""A caller that has no stubs and no protos: everything it knows comes from the servers' reflection."""

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from tests.contract.surface import SERVICES, owner
from tests.running import DEADLINE_SECONDS

Json = dict[str, Any]
Call = Callable[..., Json]

PLAN: Json = {
    "rounding": "ROUNDING_MODE_DOWN",
    "assets": [{"code": "EUR", "kind": "ASSET_KIND_MONEY"}],
    "rules": [
        {
            "rule_id": "upline",
            "on": ["order"],
            "to": {"upline": {"from_level": 1, "to_level": 2}},
            "amount": {"per_level": {"percents": ["10", "2.5"]}},
            "asset": "EUR",
        }
    ],
}


class Stranger:
    """Calls methods by name, with JSON for requests and answers."""

    def __init__(self, target: str) -> None:
        self._channel = grpc.insecure_channel(target)
        self._database = ProtoReflectionDescriptorDatabase(self._channel)
        self._pool = DescriptorPool(self._database)

    def services(self) -> set[str]:
        """The services that the server says it serves."""
        return set(self._database.get_services())

    def call(self, name: str, **fields: Any) -> Json:
        """Calls `package.Service/Method`."""
        service, _, method_name = name.partition("/")
        method = self._pool.FindServiceByName(service).methods_by_name[method_name]
        request = ParseDict(fields, GetMessageClass(method.input_type)())
        stub = self._channel.unary_unary(
            f"/{name}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=GetMessageClass(method.output_type).FromString,
        )
        answer = stub(request, timeout=DEADLINE_SECONDS)
        return MessageToDict(answer, preserving_proto_field_name=True)

    def close(self) -> None:
        """Closes the connection."""
        self._channel.close()


@pytest.fixture(scope="module")
def strangers(targets: dict[str, str]) -> Iterator[dict[str, Stranger]]:
    """One for each service."""
    made = {name: Stranger(target) for name, target in targets.items()}
    yield made
    for each in made.values():
        each.close()


async def test_reflection_lists_every_service(strangers: dict[str, Stranger]) -> None:
    for name, stranger in strangers.items():
        listed = await asyncio.to_thread(stranger.services)
        wanted = {each.full_name for each in SERVICES if owner(each) == name}
        assert listed == wanted | {"grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"}


async def test_three_people_an_order_and_their_wallets(
    strangers: dict[str, Stranger], new_program_id: Callable[[str], str]
) -> None:
    await asyncio.to_thread(play, strangers, new_program_id("reflection"))


def play(strangers: dict[str, Stranger], program_id: str) -> None:
    """Plays the main job; in a thread of its own, for the servers answer from the test's event loop."""
    attribution = strangers["attribution"].call
    rewards = strangers["rewards"].call
    policy = {
        "touch": "TOUCH_LAST",
        "window": "2592000s",
        "binding": "BINDING_LIFETIME",
        "bindable": "BINDABLE_UNBOUND",
    }
    program = {"program_id": program_id, "currency_code": "EUR", "policy": policy}
    attribution("upline.attribution.v1.ProgramService/CreateProgram", request_id=program_id, program=program)
    rewards(
        "upline.rewards.v1.PlanService/PublishPlan",
        request_id=program_id,
        program_id=program_id,
        currency_code="EUR",
        plan=PLAN,
    )
    for participant, sponsor in (("anna", ""), ("boris", "anna"), ("clara", "boris")):
        attribution(
            "upline.attribution.v1.ParticipantService/EnrollParticipant",
            request_id=f"{program_id}-{participant}",
            program_id=program_id,
            participant={"participant_id": participant, "sponsor_id": sponsor},
        )
    recorded = attribution(
        "upline.attribution.v1.ConversionService/RecordConversion",
        program_id=program_id,
        conversion={
            "conversion_id": "order-1",
            "event_type": "order",
            "buyer_id": "clara",
            "amount": {"currency_code": "EUR", "amount_minor": "4999"},
        },
    )
    assert recorded["conversion"]["attribution"] == {"referrer_id": "boris", "reason": "ATTRIBUTION_REASON_BOUND"}
    deadline = time.monotonic() + DEADLINE_SECONDS
    while available(rewards, program_id, "anna") == 0:
        assert time.monotonic() < deadline, "the order was not paid"
        time.sleep(0.02)
    earned = {each: available(rewards, program_id, each) for each in ("anna", "boris", "clara")}
    assert earned == {"anna": 124, "boris": 499, "clara": 0}


def available(rewards: Call, program_id: str, participant: str) -> int:
    """The participant's available balance, in cents."""
    wallet = rewards("upline.rewards.v1.WalletService/GetWallet", program_id=program_id, participant_id=participant)
    return sum(int(each.get("available_minor", 0)) for each in wallet.get("balances", []))
