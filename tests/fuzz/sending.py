"""A request is sent as it is, and its end is told."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from tests.fuzz.generator import Made

CALL_SECONDS = 30.0
NO_DEADLINE = "no deadline"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of a call: an answer or an error."""

    code: grpc.StatusCode
    answer: Message | None = None
    error: grpc.aio.AioRpcError | None = None


async def send(channel: grpc.aio.Channel, made: Made) -> Outcome:
    """Sends a request; of a watch, the first answer is enough."""
    method = made.method
    path = f"/{method.containing_service.full_name}/{method.name}"
    answer: bytes = b""
    try:
        if method.client_streaming:
            answer = await _converse(channel.stream_stream(path)(timeout=CALL_SECONDS), made.parts)
        elif method.server_streaming:
            watch = channel.unary_stream(path)(made.parts[0], timeout=CALL_SECONDS)
            async for each in watch:
                answer = each
                break
            watch.cancel()
        else:
            seconds = None if made.how == NO_DEADLINE else CALL_SECONDS
            answer = await channel.unary_unary(path)(made.parts[0], timeout=seconds)
    except grpc.aio.AioRpcError as error:
        return Outcome(error.code(), error=error)
    return Outcome(grpc.StatusCode.OK, GetMessageClass(method.output_type).FromString(answer))


async def _converse(call: Any, parts: Sequence[bytes]) -> bytes:
    """Sends one message after the other, each when the one before it is answered; the last answer. A client that writes
    while the server ends the stream is told INTERNAL by gRPC on its own side, whatever the server said."""
    answer: bytes = b""
    for part in parts:
        await call.write(part)
        if (answer := await call.read()) is grpc.aio.EOF:
            break
    await call.done_writing()
    if answer is grpc.aio.EOF or await call.read() is not grpc.aio.EOF:
        raise AssertionError(f"{await call.code()} after another number of answers than of messages")
    return answer
