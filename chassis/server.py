"""The gRPC server of a process, with health and reflection: how it begins to answer, and how it leaves."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from ipaddress import ip_address
from types import MappingProxyType
from typing import Any

import grpc
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from chassis.draining import Calls, hang_up, stop_listening
from chassis.gates import CallClass, Gate
from chassis.handlers import Servicer, check, handler, trust
from chassis.readiness import Probe, Readiness
from chassis.settings import ServiceSettings
from chassis.sizes import MAX_READ_BYTES

MAX_CONNECTION_AGE_MS = 30 * 60 * 1000
"""Connections are re-made now and then, so that new replicas get their share."""
KEEPALIVE_MS = 30_000
NOTICE_SECONDS = 1.0
"""The time between saying NOT_SERVING and taking no more connections: clients that watch health have gone elsewhere by
then."""
DRAIN_SECONDS = 10.0
"""Time for calls in flight to end when the server stops; those that do not are cut off."""


class Server:
    """One gRPC server with health and reflection."""

    def __init__(self, settings: ServiceSettings, probes: Sequence[Probe], broker: Probe | None = None) -> None:
        """All gRPC services of the server need all `probes`. Some need the `broker` besides; health tells of it under
        BROKER_NAME."""
        _refuse_open_plaintext(settings)
        self._settings = settings
        self._readiness = Readiness(probes, broker)
        self._calls = Calls()
        self._gates = {each: Gate(each) for each in CallClass}
        self._server = grpc.aio.server(
            options=[
                ("grpc.max_receive_message_length", MAX_READ_BYTES),
                ("grpc.so_reuseport", int(settings.reuse_port)),
                ("grpc.max_connection_age_ms", MAX_CONNECTION_AGE_MS),
                ("grpc.keepalive_time_ms", KEEPALIVE_MS),
                ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
                ("grpc.keepalive_permit_without_calls", 1),
            ]
        )
        health_pb2_grpc.add_HealthServicer_to_server(self._readiness.health, self._server)
        for name in (health.SERVICE_NAME, reflection.SERVICE_NAME):
            self._readiness.add(name)
        self.port = 0
        self.notice_seconds = NOTICE_SECONDS
        """The time for which the server serves on after saying NOT_SERVING; tests, whose clients watch no health, set
        0."""

    def add(
        self,
        servicer: Servicer,
        classes: Mapping[str, CallClass],
        self_validating: frozenset[str] = frozenset(),
        readers: Mapping[str, Callable[[bytes], Any]] = MappingProxyType({}),
        *,
        needs_broker: bool = False,
    ) -> None:
        """Serves every method of a gRPC service with the method of the same name of its servicer.

        `classes` has the class of every method, by `Service.Method`: how many are let in at once goes by that. Methods
        named in `self_validating` apply the contract's rules by themselves, with errors equal to `check`'s: for large
        batches the general check costs more than the work. Methods named in `readers`, which are among those, get what
        theirs makes of the bytes of a request in place of the parsed message. A service that `needs_broker` is
        NOT_SERVING without it; the others do their work in the database, and what they publish waits there.
        """
        name = servicer.service.full_name
        handlers = {
            method.name: handler(
                self._calls,
                self._gates[classes[f"{servicer.service.name}.{method.name}"]],
                method,
                getattr(servicer, method.name),
                trust if method.name in self_validating else check,
                readers.get(method.name, GetMessageClass(method.input_type).FromString),
            )
            for method in servicer.service.methods
        }
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, handlers),))
        self._readiness.add(name, needs_broker=needs_broker)

    def watch(self, consumer: Probe) -> None:
        """Makes health tell whether the events that wait for the process are worked on."""
        self._readiness.watch(consumer)

    async def start(self) -> None:
        """Binds the port and starts to answer; health says NOT_SERVING until every probe succeeds."""
        reflection.enable_server_reflection(self._readiness.names, self._server)
        address = f"{self._settings.host}:{self._settings.port}"
        try:
            self.port = self._server.add_insecure_port(address)
        except RuntimeError as error:
            raise RuntimeError(f"cannot listen on {address}: is the port taken? Set UPLINE_PORT to another") from error
        self._readiness.port = self.port
        await self._readiness.report()
        await self._server.start()

    async def run(self) -> None:
        """Keeps health in step with the probes until cancelled."""
        await self._readiness.run()

    async def leave(self) -> None:
        """Says NOT_SERVING, gives clients a moment to notice, and takes no more connections. Calls are served as
        ever."""
        await self._readiness.leave()
        await asyncio.sleep(self.notice_seconds)
        stop_listening(self.port)

    async def stop(self) -> None:
        """Lets calls in flight finish, then closes; whoever is cut off is told UNAVAILABLE. To be called after
        `leave`."""
        await self._calls.end(DRAIN_SECONDS)
        await hang_up(self.port)
        await self._server.stop(None)


def _refuse_open_plaintext(settings: ServiceSettings) -> None:
    if settings.allow_plaintext or settings.host == "localhost":
        return
    if not ip_address(settings.host).is_loopback:
        raise RuntimeError(
            f"UPLINE_HOST={settings.host} would serve plain text beyond this machine;"
            " set UPLINE_ALLOW_PLAINTEXT=true where the network itself is private"
        )
