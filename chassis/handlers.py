"""Handlers of gRPC methods: each call is checked by the contract's own rules, and its errors are told as
`google.rpc.Status`.

A unary call must have a deadline, and is timed. A stream needs none and is not timed: it lasts as long as both sides
like. Handlers are built from descriptors at start, so a call costs no interceptor chain.
"""

import time
from collections.abc import AsyncIterator, Callable
from typing import Any, Protocol

import grpc
import protovalidate
import structlog
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError
from google.protobuf.message import Message as ProtoMessage
from google.protobuf.message_factory import GetMessageClass
from google.rpc import code_pb2
from grpc_status import rpc_status

from chassis import tracing
from chassis.database import is_beyond_int64, is_busy, is_transient, is_unprepared, is_unstorable_text
from chassis.draining import Calls
from chassis.errors import FieldViolation, UplineError, grpc_code, invalid_fields, unavailable
from chassis.gates import Gate
from chassis.patterns import describe
from chassis.sizes import SizeBound
from chassis.telemetry import CALLS, RPC_SECONDS

Behavior = Callable[[Any, Any], Any]
"""A method of a servicer, or what stands in its place."""
Validate = Callable[[ProtoMessage], None]
"""Raises an error if something is wrong with a request."""
Context = grpc.aio.ServicerContext[Any, Any]
BUSY_RETRY_SECONDS = 1.0
"""The time after which a call that found all connections in use is asked to come again: most calls take milliseconds,
so by then many have ended."""

log = structlog.get_logger(__name__)


class Servicer(Protocol):
    """The methods of one gRPC service, under their names in the contract."""

    @property
    def service(self) -> ServiceDescriptor:
        """The gRPC service that it serves."""
        ...


def handler(
    calls: Calls,
    gate: Gate,
    method: MethodDescriptor,
    behavior: Behavior,
    validate: Validate,
    read: Callable[[bytes], Any],
) -> "grpc.RpcMethodHandler[Any, Any]":
    """The handler of one method: `read` makes the request of its bytes, `validate` checks it, the `gate` lets it in,
    `behavior` answers."""
    response_class: type[ProtoMessage] = GetMessageClass(method.output_type)
    wrap, make = {
        (False, False): (_unary, grpc.unary_unary_rpc_method_handler),
        (False, True): (_streaming_answer, grpc.unary_stream_rpc_method_handler),
        (True, True): (_streaming_both, grpc.stream_stream_rpc_method_handler),
    }[method.client_streaming, method.server_streaming]
    bound = SizeBound.of(method)

    def read_bounded(content: bytes) -> Any:
        """The request, or the error that its caller is told: one raised here would be told as UNKNOWN."""
        if len(content) > bound.most_bytes:
            return bound.error_of(len(content))  # unread: parsed it would take many times the memory
        try:
            return read(content)
        except DecodeError as error:
            return _unreadable(method, error)

    def validate_read(request: Any) -> None:
        if isinstance(request, UplineError):
            raise request
        validate(request)

    return make(
        wrap(calls, gate, method, behavior, validate_read),
        request_deserializer=read_bounded,
        response_serializer=response_class.SerializeToString,
    )


def _unreadable(method: MethodDescriptor, error: DecodeError) -> UplineError:
    why = str(error).rpartition(": ")[2]
    return UplineError(
        code_pb2.INVALID_ARGUMENT,
        "NOT_A_REQUEST",
        f"the bytes sent are no {method.input_type.full_name}: {why}. Use stubs of these contracts, and texts in UTF-8",
    )


class _Count:
    """Counts the calls of a method by the code that they ended with."""

    def __init__(self, method: MethodDescriptor) -> None:
        self.method = method
        self._answered = CALLS.labels(method.full_name, code_pb2.Code.Name(code_pb2.OK))
        self._left = CALLS.labels(method.full_name, code_pb2.Code.Name(code_pb2.CANCELLED))

    def refuse(self, code: int) -> None:
        """Counts a call that is ended with an error."""
        CALLS.labels(self.method.full_name, code_pb2.Code.Name(code)).inc()

    def __enter__(self) -> None:
        """Begins a call."""

    def __exit__(self, kind: type[BaseException] | None, _error: object, _trace: object) -> None:
        """Counts a call that was answered, or whose caller went away."""
        if kind is None:
            self._answered.inc()
        elif not issubclass(kind, Exception):
            self._left.inc()


def _unary(calls: Calls, gate: Gate, method: MethodDescriptor, behavior: Behavior, validate: Validate) -> Behavior:
    seconds = RPC_SECONDS.labels(method=method.full_name)
    count = _Count(method)

    async def call(request: ProtoMessage, context: Context) -> Any:
        began = time.perf_counter()
        tracing.begin(context.invocation_metadata)
        with count:
            try:
                await calls.admit()
                with calls.one():
                    _require_deadline(context)
                    validate(request)
                    async with gate:
                        return await behavior(request, context)
            except (UplineError, Exception) as error:
                await _abort(count, error, context)
            finally:
                seconds.observe(time.perf_counter() - began)

    return call


def _streaming_answer(
    calls: Calls, gate: Gate, method: MethodDescriptor, behavior: Behavior, validate: Validate
) -> Behavior:
    count = _Count(method)

    async def call(request: ProtoMessage, context: Context) -> AsyncIterator[Any]:
        tracing.begin(context.invocation_metadata)
        with count:
            try:
                await calls.admit()
                with calls.one():
                    validate(request)
                    async with gate:
                        async for answer in behavior(request, context):
                            yield answer
            except Exception as error:
                await _abort(count, error, context)

    return call


def _streaming_both(
    calls: Calls, gate: Gate, method: MethodDescriptor, behavior: Behavior, validate: Validate
) -> Behavior:
    count = _Count(method)

    async def checked(requests: AsyncIterator[ProtoMessage]) -> AsyncIterator[ProtoMessage]:
        async for request in requests:
            validate(request)
            yield request

    async def call(requests: AsyncIterator[ProtoMessage], context: Context) -> AsyncIterator[Any]:
        tracing.begin(context.invocation_metadata)
        with count:
            try:
                await calls.admit()
                with calls.one():
                    async with gate:
                        async for answer in behavior(checked(requests), context):
                            yield answer
            except Exception as error:
                await _abort(count, error, context)

    return call


def trust(_message: ProtoMessage) -> None:
    """Leaves the check to the method itself."""


def check(message: ProtoMessage) -> None:
    """Applies the rules written in the contract. INVALID_ARGUMENT with every field at fault."""
    violations = protovalidate.collect_violations(message)
    if violations:
        raise invalid_fields([FieldViolation(_path(each), describe(each)) for each in violations])


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


async def _abort(count: _Count, error: Exception, context: Context) -> None:
    """Ends a call with an error that its caller can understand; whatever is unforeseen goes into the log."""
    if isinstance(error, grpc.aio.AbortError):
        raise error
    method = count.method
    if not isinstance(error, UplineError):
        if is_unprepared(error):
            log.error("the database is not prepared: run `upline migrate`", method=method.full_name, error=error)
            error = unavailable(
                "DATABASE_NOT_READY",
                "the database behind this server is not prepared for it, as after a restore; nothing was changed."
                " Its operator runs `upline migrate`, then the same call is answered",
            )
        elif is_busy(error):
            log.warning("all connections for calls are in use", method=method.full_name)
            error = unavailable(
                "DATABASE_BUSY",
                "this server had no connection to its database left for the call; nothing was changed, and the same"
                " call is safe to repeat",
                BUSY_RETRY_SECONDS,
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
    count.refuse(error.code)
    status = error.to_status()
    await context.abort(grpc_code(error.code), status.message, rpc_status.to_status(status).trailing_metadata)
