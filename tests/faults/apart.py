"""The three services on servers of their own, which a test may take away without anybody else missing them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from upline.attribution.v1 import click_pb2, link_pb2

from chassis.clock import Clock
from chassis.migrate import migrate
from cli.client import Addresses, Client
from services.attribution.__main__ import AttributionService
from services.notify.__main__ import NotifyService
from services.rewards.__main__ import RewardsService
from tests.conftest import ROLE_PASSWORD, SERVICES, Servers
from tests.e2e.world import World, open_program
from tests.flow import Flow
from tests.running import DEADLINE_SECONDS, Running, running
from tests.spare import spare_servers


@dataclass(frozen=True)
class Apart:
    """A program on services and servers of its own."""

    servers: Servers
    attributions: list[Running]
    rewards: Running
    notify: Running
    world: World
    link: link_pb2.Link
    """A link of `maria`, who sponsors `vera`."""
    clock: Clock
    readers: dict[str, AsyncExitStack]
    """The ends of the services that read a stream, by its name."""

    async def click(self, attribution: Running) -> grpc.StatusCode:
        """Records a click at one process; the code of the answer."""
        click = click_pb2.Click(program_id=self.world.program_id, link_id=self.link.link_id, visitor_id=uuid4().hex)
        record = attribution.channel.unary_unary(
            "/upline.attribution.v1.ClickService/RecordClick",
            request_serializer=click_pb2.RecordClickRequest.SerializeToString,
        )
        return await record(click_pb2.RecordClickRequest(click=click), timeout=DEADLINE_SECONDS).code()

    @asynccontextmanager
    async def without(self, service: type[RewardsService] | type[NotifyService]) -> AsyncIterator[None]:
        """A service ends, and begins again at the same address."""
        port = {RewardsService: self.rewards, NotifyService: self.notify}[service].service.server.port
        ending = self.readers[service.name]
        await ending.aclose()
        yield
        settings = self.servers.settings(service.name).model_copy(update={"port": port})
        await ending.enter_async_context(running(service(settings, self.clock)))


@asynccontextmanager
async def apart(folder: Path, clock: Clock, attributions: int = 1) -> AsyncIterator[Apart]:
    """Everything, with so many processes of attribution. The broker is up again at the end, or is started for it."""
    folder.chmod(0o755)  # servers under another user must get through
    with spare_servers(folder) as servers:
        await asyncio.to_thread(migrate, servers.postgres.url, SERVICES, ROLE_PASSWORD)
        async with AsyncExitStack() as stack:
            run = stack.enter_async_context
            several = [
                await run(running(AttributionService(servers.settings("attribution"), clock)))
                for _ in range(attributions)
            ]
            readers = {"rewards": await run(AsyncExitStack()), "notify": await run(AsyncExitStack())}
            rewards = await readers["rewards"].enter_async_context(
                running(RewardsService(servers.settings("rewards"), clock))
            )
            notify = await readers["notify"].enter_async_context(
                running(NotifyService(servers.settings("notify"), clock))
            )
            client = await run(Client(Addresses(several[0].target, rewards.target, notify.target)))
            flow = Flow(servers.postgres.url, servers.nats.url)
            world = await open_program(client, flow, "three-levels.yaml", "apart")
            await world.enrol("maria")
            await world.enrol("vera", sponsor_id="maria")
            request = link_pb2.CreateLinkRequest(
                request_id=uuid4().hex,
                program_id=world.program_id,
                participant_id="maria",
                destination_url="https://shop.example/",
            )
            link = (await client.links.CreateLink(request, timeout=DEADLINE_SECONDS)).link
            yield Apart(servers, several, rewards, notify, world, link, clock, readers)


async def health(service: Running, name: str) -> str:
    """The health that a process tells under a name."""
    stub = health_pb2_grpc.HealthStub(service.channel)
    answer = await stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=DEADLINE_SECONDS)
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))
