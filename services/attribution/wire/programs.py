"""Programs between contract and domain."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from google.protobuf.message import Message as ProtoMessage
from iso4217 import Currency
from upline.attribution.v1 import program_pb2

from chassis.errors import invalid
from chassis.times import to_duration, to_timedelta, to_timestamp
from services.attribution.domain.policy import (
    MAX_WINDOW,
    Bindable,
    Binding,
    CreditBeforeBinding,
    Policy,
    Program,
    Touch,
    VisitorCookie,
)
from services.attribution.wire.storable import require_storable

_POLICY_FIELDS = tuple(field.name for field in program_pb2.AttributionPolicy.DESCRIPTOR.fields)
_WHOLE = ("title", "policy", "allowed_hosts", "visitor_cookie")
_FIXED = ("program_id", "currency_code")
_OUTPUT_ONLY = ("create_time", "update_time")


def is_currency(code: str) -> bool:
    """Whether `code` is an ISO 4217 currency with a minor unit; gold and testing codes have none."""
    return code in _CURRENCIES


def read_program(message: program_pb2.Program, now: datetime) -> Program:
    """A new program. Raises INVALID_ARGUMENT for an unknown currency or an impossible window."""
    if not is_currency(message.currency_code):
        raise invalid("program.currency_code", f"{message.currency_code!r} is not a currency of ISO 4217")
    require_storable("program.title", message.title)
    return Program(
        program_id=message.program_id,
        title=message.title,
        currency_code=message.currency_code,
        policy=_read_policy(message.policy),
        allowed_hosts=tuple(message.allowed_hosts),
        create_time=now,
        update_time=now,
        visitor_cookie=VisitorCookie(message.visitor_cookie),
    )


@dataclass(frozen=True, slots=True)
class ProgramChanges:
    """The changes that a request asks for. They are read once the stored program is at hand: a mask says which of its
    fields stay, and where there is no such program, it says nothing."""

    message: program_pb2.Program
    paths: Sequence[str]
    """The fields to change; if it is empty, all that may change."""

    def as_new(self, now: datetime) -> Program:
        """The program of the request, for one that is to be created."""
        return read_program(self.message, now)

    def applied_to(self, old: Program, now: datetime) -> Program:
        """The stored program with its changed fields taken from the request. Raises INVALID_ARGUMENT, which names the
        field."""
        message = self.message
        merged = program_message(old)
        for path in self.paths or _WHOLE:
            _merge(merged, message, path)
        if not self.paths and message.currency_code not in ("", old.currency_code):
            raise invalid("program.currency_code", "the currency of a program cannot change")
        return replace(read_program(merged, now), create_time=old.create_time)


def program_message(program: Program) -> program_pb2.Program:
    """The program as the contract has it."""
    policy = program.policy
    return program_pb2.Program(
        program_id=program.program_id,
        title=program.title,
        currency_code=program.currency_code,
        policy=program_pb2.AttributionPolicy(
            touch=int(policy.touch),  # type: ignore[arg-type]
            window=to_duration(policy.window),
            binding=int(policy.binding),  # type: ignore[arg-type]
            bindable=int(policy.bindable),  # type: ignore[arg-type]
            enroll_buyers=policy.enroll_buyers,
            default_sponsor_id=policy.default_sponsor_id,
            credit_before_binding=int(policy.credit_before_binding),  # type: ignore[arg-type]
        ),
        allowed_hosts=program.allowed_hosts,
        create_time=to_timestamp(program.create_time),
        update_time=to_timestamp(program.update_time),
        visitor_cookie=int(program.visitor_cookie),  # type: ignore[arg-type]
    )


def _read_policy(message: program_pb2.AttributionPolicy) -> Policy:
    try:
        window = to_timedelta(message.window)
    except ValueError as error:
        raise invalid("program.policy.window", str(error)) from error
    if not timedelta(0) < window <= MAX_WINDOW:
        raise invalid("program.policy.window", f"must be more than 0 and at most {MAX_WINDOW.days} days")
    require_storable("program.policy.default_sponsor_id", message.default_sponsor_id)
    return Policy(
        touch=Touch(message.touch),
        window=window,
        binding=Binding(message.binding),
        bindable=Bindable(message.bindable),
        enroll_buyers=message.enroll_buyers,
        default_sponsor_id=message.default_sponsor_id,
        credit_before_binding=CreditBeforeBinding(message.credit_before_binding),
    )


def _merge(target: program_pb2.Program, source: program_pb2.Program, path: str) -> None:
    """Copies one field that a mask names; one that is not set is cleared (AIP-134)."""
    head, _, rest = path.partition(".")
    if head in _FIXED or head in _OUTPUT_ONLY:
        raise invalid("update_mask", f"{head!r} cannot change")
    if (rest and (head != "policy" or rest not in _POLICY_FIELDS)) or head not in _WHOLE:
        raise invalid("update_mask", f"{path!r} is not a field of a program")
    if rest:
        _copy_field(target.policy, source.policy, rest)
    else:
        _copy_field(target, source, head)


def _copy_field(target: ProtoMessage, source: ProtoMessage, name: str) -> None:
    target.ClearField(name)
    only = type(source)()
    only.CopyFrom(source)
    for field in only.DESCRIPTOR.fields:
        if field.name != name:
            only.ClearField(field.name)
    target.MergeFrom(only)


_CURRENCIES = frozenset(each.code for each in Currency if each.exponent is not None)
