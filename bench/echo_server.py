"""A bare gRPC server that decodes a message and sends it back: what any durable answer is measured against."""

import asyncio
import signal

import grpc
import uvloop
from google.protobuf.message import Message
from upline.attribution.v1 import click_pb2


async def echo(request: Message, _context: object) -> Message:
    """Answers with the request."""
    return request


def handler(message: type[Message]) -> "grpc.RpcMethodHandler[Message, Message]":
    """A handler that echoes messages of one type."""
    return grpc.unary_unary_rpc_method_handler(
        echo, request_deserializer=message.FromString, response_serializer=message.SerializeToString
    )


async def main() -> None:
    """Serves until SIGTERM."""
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    handlers = {"One": handler(click_pb2.RecordClickRequest), "Batch": handler(click_pb2.RecordClicksRequest)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("bench.Echo", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    await server.stop(1)


if __name__ == "__main__":
    uvloop.run(main())
