"""Every service and method that the contracts name, and calls to them without stubs."""

import pkgutil
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import grpc
import upline
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from tests.running import DEADLINE_SECONDS


def services() -> Iterator[ServiceDescriptor]:
    """Every service of every contract."""
    for module in pkgutil.walk_packages(upline.__path__, "upline."):
        if module.name.endswith("_pb2"):
            yield from import_module(module.name).DESCRIPTOR.services_by_name.values()


SERVICES = sorted(services(), key=lambda each: each.full_name)
METHODS = [method for service in SERVICES for method in service.methods]
UNARY = [method for method in METHODS if not method.client_streaming and not method.server_streaming]


def owner(service: ServiceDescriptor) -> str:
    """Which process serves it: `upline.rewards.v1.PlanService` is rewards'."""
    return str(service.full_name.split(".")[1])


def request_of(method: MethodDescriptor, **fields: Any) -> Message:
    """A request of the method."""
    return GetMessageClass(method.input_type)(**fields)


async def call(
    channel: grpc.aio.Channel, method: MethodDescriptor, request: Message, seconds: float | None = DEADLINE_SECONDS
) -> Message:
    """Calls a unary method."""
    stub = channel.unary_unary(
        f"/{method.containing_service.full_name}/{method.name}",
        request_serializer=type(request).SerializeToString,
        response_deserializer=GetMessageClass(method.output_type).FromString,
    )
    answer: Message = await stub(request, timeout=seconds)
    return answer
