"""A service that runs inside the test process, with a client's channel to it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

DEADLINE_SECONDS = 20.0
"""Long enough for a loaded machine; no test waits for it to pass."""


@dataclass(frozen=True)
class Running:
    """A running service."""

    service: Any
    channel: grpc.aio.Channel

    @property
    def target(self) -> str:
        """host:port."""
        return f"127.0.0.1:{self.service.server.port}"


@asynccontextmanager
async def running(service: Any) -> AsyncIterator[Running]:
    """Starts the service, waits until its health says SERVING, and stops it at the end without notice."""
    await service.start()
    service.server.notice_seconds = 0.0
    work = asyncio.create_task(service.run())
    channel = grpc.aio.insecure_channel(f"127.0.0.1:{service.server.port}")
    health = health_pb2_grpc.HealthStub(channel)
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            while True:
                answer = await health.Check(health_pb2.HealthCheckRequest(), timeout=DEADLINE_SECONDS)
                if answer.status == health_pb2.HealthCheckResponse.SERVING:
                    break
                if work.done():
                    await work
                await asyncio.sleep(0.05)
        yield Running(service, channel)
    finally:
        await channel.close()
        work.cancel()
        with suppress(asyncio.CancelledError):
            await work
        await service.leave()
        await service.stop()
