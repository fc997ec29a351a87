"""Rules that hold for every method of every service, whoever adds one."""

import grpc
import pytest
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.contract.conftest import Channels
from tests.contract.surface import METHODS, SERVICES, UNARY, call, owner, request_of
from tests.errors import reason_of
from tests.running import DEADLINE_SECONDS

SAID_BY_THE_SERVICE = {
    grpc.StatusCode.OK,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.FAILED_PRECONDITION,
}


def name(each: MethodDescriptor | ServiceDescriptor) -> str:
    """The full name, as the test's id."""
    return str(each.full_name)


def plausible(message: Message, depth: int = 0) -> Message:
    """Fills a request so that it passes the contract's rules where names alone can tell how, for a program that does
    not exist."""
    for field in message.DESCRIPTOR.fields:
        if field.containing_oneof and message.WhichOneof(field.containing_oneof.name):
            continue
        if field.name == "page_token":
            continue
        if field.is_repeated:
            if (
                depth < 2
                and field.type == FieldDescriptor.TYPE_MESSAGE
                and not field.message_type.GetOptions().map_entry
            ):
                plausible(getattr(message, field.name).add(), depth + 1)
        elif field.type == FieldDescriptor.TYPE_MESSAGE:
            if field.message_type.file.package.startswith("upline."):
                getattr(message, field.name).SetInParent()
                plausible(getattr(message, field.name), depth + 1)
        elif field.type == FieldDescriptor.TYPE_STRING:
            setattr(message, field.name, KNOWN.get(field.name, "nobody"))
        elif field.type == FieldDescriptor.TYPE_ENUM:
            setattr(message, field.name, 1)
    return message


KNOWN = {
    "program_id": "no-such-program",
    "currency_code": "RUB",
    "destination_url": "https://shop.example/",
    "locale": "en",
    "default_locale": "en",
    "percent": "5",
    "ratio": "0.5",
}


async def outcome(channel: grpc.aio.Channel, method: MethodDescriptor, request: Message) -> grpc.StatusCode:
    """The code of a call, whatever kind of method it is; of a stream, after its first answer."""
    path = f"/{method.containing_service.full_name}/{method.name}"
    try:
        if not method.server_streaming:
            await call(channel, method, request)
        elif method.client_streaming:
            stream = channel.stream_stream(path, request_serializer=type(request).SerializeToString)
            async for _answer in stream(iter([request]), timeout=DEADLINE_SECONDS):
                break
        else:
            watch = channel.unary_stream(path, request_serializer=type(request).SerializeToString)
            async for _answer in watch(request, timeout=DEADLINE_SECONDS):
                break
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


def test_the_contracts_are_found() -> None:
    assert {owner(each) for each in SERVICES} == {"attribution", "rewards", "notify"}
    assert len(METHODS) > 40


@pytest.mark.parametrize("method", METHODS, ids=name)
async def test_every_method_is_implemented(method: MethodDescriptor, channels: Channels) -> None:
    channel = channels[owner(method.containing_service)]
    for request in (request_of(method), plausible(request_of(method))):
        assert await outcome(channel, method, request) in SAID_BY_THE_SERVICE


@pytest.mark.parametrize("method", UNARY, ids=name)
async def test_every_unary_method_refuses_a_call_without_deadline(method: MethodDescriptor, channels: Channels) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(channels[owner(method.containing_service)], method, request_of(method), seconds=None)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert reason_of(caught.value) == "DEADLINE_REQUIRED"


@pytest.mark.parametrize("service", SERVICES, ids=name)
async def test_every_service_tells_its_health(service: ServiceDescriptor, channels: Channels) -> None:
    health = health_pb2_grpc.HealthStub(channels[owner(service)])
    request = health_pb2.HealthCheckRequest(service=service.full_name)
    assert (await health.Check(request, timeout=DEADLINE_SECONDS)).status == health_pb2.HealthCheckResponse.SERVING


@pytest.mark.parametrize("process", ["attribution", "rewards", "notify"])
async def test_health_knows_the_whole_process_and_no_other_service(process: str, channels: Channels) -> None:
    health = health_pb2_grpc.HealthStub(channels[process])
    whole = await health.Check(health_pb2.HealthCheckRequest(), timeout=DEADLINE_SECONDS)
    assert whole.status == health_pb2.HealthCheckResponse.SERVING
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await health.Check(health_pb2.HealthCheckRequest(service="upline.nothing.v1.Nothing"), timeout=DEADLINE_SECONDS)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
