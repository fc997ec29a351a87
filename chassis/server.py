"""The gRPC server: every method gets a required deadline, validation by the contract's own rules, and errors told as
`google.rpc.Status`. Handlers are built from descriptors at start, so a call costs no interceptor chain."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from types import MappingProxyType
from typing import Any

import grpc
import protovalidate
import structlog
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message as ProtoMessage
from google.protobuf.message_factory import GetMessageClass
from google.rpc import code_pb2
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer
from grpc_reflection.v1alpha import reflection
from grpc_status import rpc_status

from chassis.database import is_beyond_int64, is_transient, is_unprepared, is_unstorable_text
from chassis.draining import Calls, hang_up, stop_listening
from chassis.errors import FieldViolation, UplineError, grpc_code, invalid_fields, unavailable
from chassis.patterns import told
from chassis.settings import ServiceSettings
from chassis.sizes import MAX_READ_BYTES, SizeBound, TooLong
from chassis.tasks import run_all
from chassis.telemetry import BROKER_READY, RPC_SECONDS
from chassis.topology import BROKER_NAME

MAX_CONNECTION_AGE_MS = 30 * 60 * 1000
"""Connections are re-made now and then, so that new replicas get their share."""
KEEPALIVE_MS = 30_000
NOTICE_SECONDS = 1.0
"""The time between saying NOT_SERVING and taking no more connections: clients that watch health have gone elsewhere by
then."""
DRAIN_SECONDS = 10.0
"""Time for calls in flight to end when the server stops; those that do not are cut off."""
READINESS_SECONDS = 2.0
"""The time between two looks at the probes; a probe that failed is looked at ten times as often."""
PROBE_SECONDS = 10.0

Wrapped = Callable[[Any, Any], Any]
Validate = Callable[[ProtoMessage], None]
Context = grpc.aio.ServicerContext[Any, Any]

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Probe:
    """Something that must work for services to be SERVING."""

    name: str
    check: Callable[[], Awaitable[None]]


class Server:
    """One gRPC server with health and reflection."""

    def __init__(self, settings: ServiceSettings, probes: Sequence[Probe], broker: Probe | None = None) -> None:
        """All gRPC services of the server need all `probes`. Some need the `broker` besides; health tells of it under
        BROKER_NAME."""
        _refuse_open_plaintext(settings)
        self._settings = settings
        self._probes = probes
        self._broker = [broker] if broker else []
        self._well = self._broker_well = False
        self._needing_broker: set[str] = set()
        self._told: dict[str, str] = {}
        """The last fault of each probe."""
        self._health = HealthServicer()
        self._calls = Calls()
        self._left = False
        self._names = [health.SERVICE_NAME, reflection.SERVICE_NAME]
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
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        self.port = 0
        self.notice_seconds = NOTICE_SECONDS
        """The time for which the server serves on after saying NOT_SERVING; tests, whose clients watch no health, set
        0."""

    def add(
        self,
        service: ServiceDescriptor,
        servicer: object,
        self_validating: frozenset[str] = frozenset(),
        readers: Mapping[str, Callable[[bytes], Any]] = MappingProxyType({}),
        *,
        needs_broker: bool = False,
    ) -> None:
        """Serves every method of `service` with the method of the same name of `servicer`.

        Methods named in `self_validating` apply the contract's rules by themselves, with errors equal to `check`'s:
        for large batches the general check costs more than the work. Methods named in `readers`, which are among those,
        get what theirs makes of the bytes of a request in place of the parsed message. A service that `needs_broker` is
        NOT_SERVING without it; the others do their work in the database, and what they publish waits there.
        """
        handlers = {
            method.name: _handler(
                self._calls,
                method,
                getattr(servicer, method.name),
                _trust if method.name in self_validating else check,
                readers.get(method.name, GetMessageClass(method.input_type).FromString),
            )
            for method in service.methods
        }
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service.full_name, handlers),))
        self._names.append(service.full_name)
        if needs_broker:
            self._needing_broker.add(service.full_name)

    async def start(self) -> None:
        """Binds the port and starts to answer; health says NOT_SERVING until every probe succeeds."""
        reflection.enable_server_reflection(self._names, self._server)
        address = f"{self._settings.host}:{self._settings.port}"
        try:
            self.port = self._server.add_insecure_port(address)
        except RuntimeError as error:
            raise RuntimeError(f"cannot listen on {address}: is the port taken? Set UPLINE_PORT to another") from error
        await self._report()
        await self._server.start()

    async def run(self) -> None:
        """Keeps health in step with the probes until cancelled."""
        # Not a TaskGroup: that one cancels once, and a library beneath a probe may lose it.
        await run_all(self._follow_probes(), *([self._follow_broker()] if self._broker else []))

    async def _follow_probes(self) -> None:
        while True:
            was, self._well = self._well, await self._check(self._probes)
            if self._well != was:
                await self._report()
                log.info("serving" if self._well else "not serving", port=self.port)
            await _pause(self._well)

    async def _follow_broker(self) -> None:
        """Beside the other probes: a broker that does not answer holds none of them up."""
        while True:
            was, self._broker_well = self._broker_well, await self._check(self._broker)
            BROKER_READY.set(self._broker_well)
            if self._broker_well != was:
                await self._report()
                log.info("the broker is right" if self._broker_well else "the broker is not right", port=self.port)
            await _pause(self._broker_well)

    async def leave(self) -> None:
        """Says NOT_SERVING, gives clients a moment to notice, and takes no more connections. Calls are served as
        ever."""
        self._left = True
        await self._health.enter_graceful_shutdown()
        await asyncio.sleep(self.notice_seconds)
        stop_listening(self.port)

    async def stop(self) -> None:
        """Leaves, lets calls in flight finish, then closes; whoever is cut off is told UNAVAILABLE."""
        if not self._left:
            await self.leave()
        await self._calls.end(DRAIN_SECONDS)
        await hang_up(self.port)
        await self._server.stop(None)

    async def _check(self, probes: Sequence[Probe]) -> bool:
        for probe in probes:
            try:
                async with asyncio.timeout(PROBE_SECONDS):
                    await probe.check()
            except Exception as error:
                reason = str(error) or type(error).__name__
                if self._told.get(probe.name) != reason:
                    self._told[probe.name] = reason
                    log.warning("not ready", probe=probe.name, error=error)
                return False
            self._told.pop(probe.name, None)
        return True

    async def _report(self) -> None:
        for name in ("", *self._names):
            await self._tell(name, self._well and (self._broker_well or name not in self._needing_broker))
        if self._broker:
            await self._tell(BROKER_NAME, self._broker_well)

    async def _tell(self, name: str, serving: bool) -> None:
        answer = health_pb2.HealthCheckResponse
        await self._health.set(name, answer.SERVING if serving else answer.NOT_SERVING)


async def _pause(well: bool) -> None:
    await asyncio.sleep(READINESS_SECONDS if well else READINESS_SECONDS / 10)


def _refuse_open_plaintext(settings: ServiceSettings) -> None:
    if settings.allow_plaintext or settings.host == "localhost":
        return
    if not ip_address(settings.host).is_loopback:
        raise RuntimeError(
            f"UPLINE_HOST={settings.host} would serve plain text beyond this machine;"
            " set UPLINE_ALLOW_PLAINTEXT=true where the network itself is private"
        )


def _handler(
    calls: Calls, method: MethodDescriptor, behavior: Wrapped, validate: Validate, read: Callable[[bytes], Any]
) -> "grpc.RpcMethodHandler[Any, Any]":
    response_class: type[ProtoMessage] = GetMessageClass(method.output_type)
    wrap, make = {
        (False, False): (_unary, grpc.unary_unary_rpc_method_handler),
        (False, True): (_streaming_answer, grpc.unary_stream_rpc_method_handler),
        (True, True): (_streaming_both, grpc.stream_stream_rpc_method_handler),
    }[method.client_streaming, method.server_streaming]
    bound = SizeBound.of(method)

    def read_bounded(content: bytes) -> Any:
        return read(content) if len(content) <= bound.most_bytes else TooLong(bound, len(content))

    def validate_read(request: Any) -> None:
        if isinstance(request, TooLong):
            raise request.error()
        validate(request)

    return make(
        wrap(calls, method, behavior, validate_read),
        request_deserializer=read_bounded,
        response_serializer=response_class.SerializeToString,
    )


def _unary(calls: Calls, method: MethodDescriptor, behavior: Wrapped, validate: Validate) -> Wrapped:
    seconds = RPC_SECONDS.labels(method=method.full_name)

    async def call(request: ProtoMessage, context: Context) -> Any:
        began = time.perf_counter()
        try:
            await calls.admit()
            with calls.one():
                _require_deadline(context)
                validate(request)
                return await behavior(request, context)
        except (UplineError, Exception) as error:
            await _abort(method, error, context)
        finally:
            seconds.observe(time.perf_counter() - began)

    return call


def _streaming_answer(calls: Calls, method: MethodDescriptor, behavior: Wrapped, validate: Validate) -> Wrapped:
    async def call(request: ProtoMessage, context: Context) -> AsyncIterator[Any]:
        try:
            await calls.admit()
            with calls.one():
                validate(request)
                async for answer in behavior(request, context):
                    yield answer
        except Exception as error:
            await _abort(method, error, context)

    return call


def _streaming_both(calls: Calls, method: MethodDescriptor, behavior: Wrapped, validate: Validate) -> Wrapped:
    async def checked(requests: AsyncIterator[ProtoMessage]) -> AsyncIterator[ProtoMessage]:
        async for request in requests:
            validate(request)
            yield request

    async def call(requests: AsyncIterator[ProtoMessage], context: Context) -> AsyncIterator[Any]:
        try:
            await calls.admit()
            with calls.one():
                async for answer in behavior(checked(requests), context):
                    yield answer
        except Exception as error:
            await _abort(method, error, context)

    return call


def _trust(_message: ProtoMessage) -> None:
    """Leaves the check to the method itself."""


def check(message: ProtoMessage) -> None:
    """Applies the rules written in the contract. INVALID_ARGUMENT with every field at fault."""
    violations = protovalidate.collect_violations(message)
    if violations:
        raise invalid_fields([FieldViolation(_path(each), told(each)) for each in violations])


def _path(violation: protovalidate.Violation) -> str:
    path = ""
    for element in violation.proto.field.elements if violation.proto.field else ():
        path += f".{element.field_name}" if path else element.field_name
        subscript = element.subscript
        if subscript is not None:
            path += f"[{subscript.value}]"
    return path


def _require_deadline(context: Context) -> None:
    if context.time_remaining() is None:
        raise UplineError(
            code_pb2.INVALID_ARGUMENT,
            "DEADLINE_REQUIRED",
            "the call has no deadline: without one, a lost answer is waited for for ever; set a timeout on the call",
        )


async def _abort(method: MethodDescriptor, error: Exception, context: Context) -> None:
    if isinstance(error, grpc.aio.AbortError):
        raise error
    if not isinstance(error, UplineError):
        if is_unprepared(error):
            log.error("the database is not prepared: run `upline migrate`", method=method.full_name, error=error)
            error = unavailable(
                "DATABASE_NOT_READY",
                "the database behind this server is not prepared for it, as after a restore; nothing was changed."
                " Its operator runs `upline migrate`, then the same call is answered",
            )
        elif is_transient(error):
            log.warning("unavailable", method=method.full_name, error=error)
            error = unavailable(
                "TRY_AGAIN",
                "a server behind this one did not answer; nothing was changed or the same call is safe to repeat",
            )
        elif is_unstorable_text(error):
            error = UplineError(
                code_pb2.INVALID_ARGUMENT, "ZERO_CHARACTER", "a text of the request contains a zero character (U+0000)"
            )
        elif is_beyond_int64(error):
            error = UplineError(
                code_pb2.OUT_OF_RANGE,
                "SUM_TOO_LARGE",
                "a sum in the answer is more than the contract can tell (2^63 - 1)",
            )
        else:
            log.error("internal error", method=method.full_name, exc_info=error)
            error = UplineError(code_pb2.INTERNAL, "INTERNAL", "internal error; the server's log says more")
    told = error.to_status()
    await context.abort(grpc_code(error.code), told.message, rpc_status.to_status(told).trailing_metadata)
