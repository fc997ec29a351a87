"""One run: a stack is filled, called, called with what it has to refuse, and compared with itself."""

import asyncio
import base64
import gzip
import json
import random
import re
import sys
import time
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, TextIO

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.descriptor_pool import Default
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.text_format import MessageToString
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from upline.attribution.v1 import conversion_pb2, participant_pb2
from upline.rewards.v1 import wallet_pb2

from cli.bundle.program import Bundle, load
from cli.client import Addresses, Client
from cli.programs import apply_bundle
from tests.contract.surface import METHODS, owner
from tests.e2e.stacks import Up, upline
from tests.e2e.world import PROGRAMS
from tests.faults.killing import nats_url, postgres_url
from tests.flow import Flow
from tests.fuzz.answers import NOT_YET, reason_of, wrong_answer, wrong_error
from tests.fuzz.effects import Effects
from tests.fuzz.generator import Generator, Made
from tests.fuzz.pool import Pool

FILES = (
    "loyalty-module", "super-birds", "staged-sale", "uds", "three-levels", "kolkhoz", "bitrewards", "tinkoff",
    "shared-points", "flocktory", "task-exchange",
)  # fmt: skip
"""Shipped programs that have, together, every kind of thing."""
BAZAAR = Path(__file__).with_name("bazaar.yaml")
PEOPLE = 20
CALL_SECONDS = 30.0
DRAIN_SECONDS = 300.0
AUDIT_SECONDS = 600.0
ROUND = 500
"""Calls after which it turns from callers at once to one who looks at effects, and back."""
LOOKED_AT = 0.2
"""The part of each round in which effects are looked at."""
FROM_BEFORE = 0.6
"""How often a call that was refused before is sent again where effects are looked at: most of these keep to the rules
of the contract and are refused by what is stored."""
MANY_CALLS = 10_000
"""Fewer leave so little that processes to compute it again would start for longer than they work."""
KEPT_FAULTS = 3
MAX_MEMORY_MB = 400
LIBRARIES = (health_pb2.DESCRIPTOR, reflection_pb2.DESCRIPTOR)
"""The services that libraries of gRPC serve; their errors have no details."""
TOUR = (
    "RequestPayout", "ApprovePayout", "CreatePayoutBatch", "ReportPayout", "RetryPayout", "CreatePayoutBatch",
    "ReportPayout", "CancelPayout", "AuthorizeRedemption", "CaptureRedemption", "RefundRedemption",
    "AuthorizeRedemption", "VoidRedemption", "EnrollParticipant", "BindSponsor",
)  # fmt: skip
"""Calls that only succeed in this order, which chance seldom finds in a short run."""
STAY = 8
"""The number of times that each of them is made, in a program that has everything."""
LAST_TRIES = 10
NO_DEADLINE = "no deadline"
WITHOUT_DEADLINE = 0.003
"""How often a call states no deadline, for which it is refused."""
NOT_SERVED = frozenset({"List"})
"""Of health; the library itself does not serve it yet."""
WEIGHTS = {
    "RecordConversion": 5.0, "RecordConversions": 2.0, "EnrollParticipant": 2.0, "ReverseConversion": 2.0,
    "RequestPayout": 4.0, "ApprovePayout": 2.0, "CreatePayoutBatch": 3.0, "ReportPayout": 3.0,
    "AuthorizeRedemption": 3.0, "CaptureRedemption": 2.0, "RecordClick": 2.0, "PublishPlan": 0.4, "ValidatePlan": 0.5,
    "PublishTexts": 0.5, "CreateProgram": 0.3, "AuditLedger": 0.05, "GetProgramTotals": 0.3,
    "GetSettlementReport": 0.3, "GetQrCode": 0.5, "ServerReflectionInfo": 0.3,
}  # fmt: skip
"""How often a method is called, beside others' 1: often what others need, seldom what costs much."""
NEVER_OK_WEIGHT, IMPOSSIBLE_WEIGHT = 8.0, 0.1
"""How often a method is called that never succeeded yet, and one that cannot."""
READING = re.compile(r"^(Get|List|Explain|Resolve|Validate|Watch|Check|ServerReflection)")
"""Methods that change nothing when they succeed, either."""
OF_JOBS = re.compile(
    r"^(rewards\.(balance|account|reward|transfer|hold|debt|expir|contest|payout|outbox|awaited|wallet|tally|audit)"
    r"|notify\.(inbox|cause)|attribution\.click|[a-z]+\.(retention|reconcil|outbox))"
)
"""Tables that are written without a call just then. A refused call that writes there does so each time it is sent."""
SEVERE = re.compile(r"\[error|Traceback|\[critical")


@dataclass(frozen=True, slots=True)
class Fault:
    """A call whose answer or effect is not as it should be."""

    number: int
    method: str
    how: str
    code: str
    what: str
    details: str
    request: str
    """As text, where it can be read."""
    parts: tuple[str, ...]
    """The bytes that were sent, as base64."""


@dataclass
class Summary:
    """The result of a run."""

    seed: int
    calls: int = 0
    seconds: float = 0.0
    codes: dict[str, dict[str, int]] = field(default_factory=dict)
    """How often each code came, by method."""
    reasons: dict[str, int] = field(default_factory=dict)
    looked_at: int = 0
    """Refused calls whose effects were looked at."""
    background: int = 0
    """How often something was written then that no call wrote."""
    largest_bytes: dict[str, int] = field(default_factory=dict)
    """The longest answer of each method."""
    slowest_seconds: dict[str, float] = field(default_factory=dict)
    memory_mb: dict[str, int] = field(default_factory=dict)
    """The most that each service has taken."""
    figures: dict[str, int] = field(default_factory=dict)
    fault_counts: dict[str, int] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    """The first of each kind."""
    wrong: list[str] = field(default_factory=list)
    """Everything that must not be: empty, or the run has failed."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of a call: an answer or an error."""

    code: grpc.StatusCode
    answer: Message | None = None
    error: grpc.aio.AioRpcError | None = None


class Run:
    """A run against one stack."""

    def __init__(self, stack: Up, seed: int, clients: int, record: TextIO) -> None:
        self._stack = stack
        self._rng = random.Random(seed)
        self._clients = clients
        self._bundles = [load(BAZAAR), *(load(PROGRAMS / f"{name}.yaml") for name in FILES)]
        self._pool = Pool(self._rng)
        self._generator = Generator(self._rng, self._pool, self._bundles)
        self._channels = {
            name: grpc.aio.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)])
            for name, address in stack.published["services"].items()
        }
        libraries = [
            method
            for file in LIBRARIES
            for each in file.services_by_name.values()
            for method in each.methods
            if method.name not in NOT_SERVED
        ]
        self._methods = [*METHODS, *libraries]
        self._record = record
        self._refused: deque[Made] = deque(maxlen=2_000)
        self._codes: dict[str, Counter[str]] = defaultdict(Counter)
        self._reasons: Counter[str] = Counter()
        self._fault_counts: Counter[str] = Counter()
        self._largest: Counter[str] = Counter()
        self._slowest: dict[str, float] = {}
        self.summary = Summary(seed)

    async def play(self, calls: int, again: Iterable[str] = ()) -> Summary:
        """Makes so many calls, or those of a record `again`, then waits until all is settled, and compares."""
        began = time.monotonic()
        summary = self.summary
        pids = self._pids()
        await self._set_up()
        effects = await Effects.open(postgres_url(self._stack), nats_url(self._stack))
        try:
            await effects.quiet()  # people have earned what the first calls are about
            for line in again:
                await self._call(_read(line))
            if not again:
                await self._make_tour()
            while summary.calls < calls:
                end = min(calls, summary.calls + round(ROUND * (1 - LOOKED_AT)))
                await asyncio.gather(*(self._call_until(end) for _ in range(self._clients)))
                await self._look_at_effects(effects, min(calls, summary.calls + round(ROUND * LOOKED_AT)))
                self._tell(began)
            if not again:
                await self._try_the_rest()
            await self._compare(effects)
        finally:
            await effects.close()
            for channel in self._channels.values():
                await channel.close()
        self._judge(pids)
        if not again:
            summary.wrong += [f"never OK: {name}" for name in self._never_ok()]
        summary.seconds = round(time.monotonic() - began, 1)
        return summary

    async def _try_the_rest(self) -> None:
        """Calls methods that never succeeded, which in a short run may be chance, after those that they need."""
        for _ in range(LAST_TRIES):
            names = [name for name in self._never_ok() if name.startswith("upline.")]
            if not names:
                return
            await self._make_tour()
            await self._make_tour(names)

    async def _set_up(self) -> None:
        """Programs, and some people in each of them."""
        async with Client(Addresses(**self._stack.published["services"])) as client:
            for bundle in self._bundles:
                await apply_bundle(client, bundle)
                await self._fill(client, bundle)

    async def _fill(self, client: Client, bundle: Bundle) -> None:
        """People, and what makes them earn."""
        program_id = bundle.program.program_id
        people = [f"person-{number}" for number in range(PEOPLE)]
        enrolment = participant_pb2.EnrollParticipantsRequest(
            request_id="set-up",
            program_id=program_id,
            participants=[
                participant_pb2.ParticipantDraft(participant_id=each, sponsor_id=people[number // 2] if number else "")
                for number, each in enumerate(people)
            ],
        )
        await client.participants.EnrollParticipants(enrolment, timeout=CALL_SECONDS)
        orders = conversion_pb2.RecordConversionsRequest(program_id=program_id)
        assert bundle.plan is not None
        for event_type in sorted({each for rule in bundle.plan.rules for each in rule.on}):
            for person in people:
                order = orders.conversions.add(
                    conversion_id=f"{event_type} of {person}", event_type=event_type, buyer_id=person
                )
                order.amount.currency_code, order.amount.amount_minor = bundle.program.currency_code, 50_000_00
        await client.conversions.RecordConversions(orders, timeout=CALL_SECONDS)
        for part in (bundle.program, bundle.plan, bundle.texts, enrolment, orders):
            if part is not None:
                self._pool.harvest(part, program_id)
        for person in people[: PEOPLE // 2]:  # those with somebody below
            self._pool.add(program_id, "rich", person)

    # Calls

    async def _make_tour(self, names: Iterable[str] = TOUR) -> None:
        for name in names:
            (method,) = (each for each in METHODS if name in {each.name, each.full_name})
            for _ in range(STAY):
                await self._call(self._generator.make(method, "valid", self._bundles[0].program.program_id))

    async def _call_until(self, end: int) -> None:
        while self.summary.calls < end:
            await self._call(self._make())

    def _make(self, how: str = "") -> Made:
        method = self._rng.choices(self._methods, [self._weight(each) for each in self._methods])[0]
        if not _is_ours(method):
            return Made(method, (self._library_request(method).SerializeToString(),), "", "valid", ())
        made = self._generator.make(method, how)
        is_unary = not method.server_streaming
        return replace(made, how=NO_DEADLINE) if is_unary and self._rng.random() < WITHOUT_DEADLINE else made

    def _weight(self, method: MethodDescriptor) -> float:
        weight = WEIGHTS.get(method.name, 1.0)
        if self._codes[method.full_name]["OK"] or not _is_ours(method):
            return weight
        return weight * (NEVER_OK_WEIGHT if self._generator.can_be(method) else IMPOSSIBLE_WEIGHT)

    def _library_request(self, method: MethodDescriptor) -> Message:
        if method.name == "ServerReflectionInfo":
            known = self._rng.choice(METHODS)
            name = self._rng.choice(
                (known.full_name, known.containing_service.full_name, "", "no.such\0Thing", "x" * 999)
            )
            asked = self._rng.choice(("list_services", "file_containing_symbol", "file_by_filename"))
            return reflection_pb2.ServerReflectionRequest(**{asked: name})
        request: Message = GetMessageClass(method.input_type)()
        if method.name in {"Check", "Watch"} and self._rng.random() < 0.7:
            name = self._rng.choice(METHODS).containing_service.full_name
            request.service = self._rng.choice(("broker", "nothing", "\0", name))  # type: ignore[attr-defined]
        return request

    async def _call(self, made: Made) -> Outcome:
        summary, name = self.summary, made.method.full_name
        summary.calls += 1
        number = summary.calls
        channel = self._channels[
            owner(made.method.containing_service) if _is_ours(made.method) else self._rng.choice(list(self._channels))
        ]
        began = time.monotonic()
        outcome = await _send(channel, made)
        seconds = time.monotonic() - began
        self._slowest[name] = max(self._slowest.get(name, 0.0), round(seconds, 3))
        self._codes[name][outcome.code.name] += 1
        reason = reason_of(outcome.error) if outcome.error else ""
        self._reasons[reason] += 1
        parts = [base64.b64encode(each).decode() for each in made.parts]
        print(json.dumps([number, name, made.how, outcome.code.name, reason, parts]), file=self._record)
        wrong = ""
        if outcome.error is not None:
            if _is_ours(made.method):
                wrong = wrong_error(outcome.error, made.messages)
                if outcome.code is not grpc.StatusCode.INVALID_ARGUMENT or reason != "INVALID_FIELD":
                    self._refused.append(made)
            elif outcome.code not in {grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT}:
                wrong = "no answer of a healthy stack"
        elif outcome.answer is not None:
            self._largest[name] = max(self._largest[name], outcome.answer.ByteSize())
            wrong = wrong_answer(outcome.answer)
            if _is_ours(made.method):
                self._generator.remember(made, outcome.answer)
        if wrong:
            self._note(number, made, outcome, wrong)
        return outcome

    async def _look_at_effects(self, effects: Effects, end: int) -> None:
        """One caller alone, who sends what has to be refused."""
        await effects.quiet()
        while self.summary.calls < end:
            again = self._refused and self._rng.random() < FROM_BEFORE
            made = self._refused.popleft() if again else self._make("spoiled")
            is_click = made.method.containing_service.name == "ClickService"
            stored = await effects.stored() if is_click else 0
            outcome = await self._call(made)
            works = outcome.code is grpc.StatusCode.OK and not READING.match(made.method.name)
            if works or len(made.parts) > 1:  # what was acknowledged on a stream before it was refused stays
                await effects.quiet()
                continue
            self.summary.looked_at += outcome.code is not grpc.StatusCode.OK
            if is_click and await effects.stored() != stored:
                self._note(self.summary.calls, made, outcome, f"{_how(outcome)}, and the broker stored an event")
            if committed := await effects.committed():
                await self._look_closer(effects, made, outcome, committed)

    async def _look_closer(self, effects: Effects, made: Made, outcome: Outcome, committed: list[int]) -> None:
        """Tells what a call that was refused, or only reads, wrote from what was written just then by a job."""
        written = await effects.written(committed)
        for _ in range(3):
            await effects.quiet()
            await self._call(made)
            if not await effects.committed():
                break
        else:
            self._note(self.summary.calls, made, outcome, f"{_how(outcome)}, and it wrote each time: {written}")
            return
        if all(OF_JOBS.match(each) for each in written):
            self.summary.background += 1
        else:
            self._note(self.summary.calls, made, outcome, f"{_how(outcome)}, and it wrote: {written}")

    def _note(self, number: int, made: Made, outcome: Outcome, what: str) -> None:
        kind = f"{made.method.name} {outcome.code.name} {re.sub(r'[0-9]+', '#', what)[:120]}"
        self._fault_counts[kind] += 1
        if self._fault_counts[kind] > KEPT_FAULTS:
            return
        shown = " / ".join(MessageToString(each, as_one_line=True, as_utf8=True) for each in made.messages)
        details = (outcome.error.details() or "")[:600] if outcome.error else ""
        parts = tuple(base64.b64encode(each).decode() for each in made.parts if len(each) < 20_000)
        fault = Fault(number, made.method.full_name, made.how, outcome.code.name, what, details, shown[:3_000], parts)
        self.summary.faults.append(fault)
        print(json.dumps(asdict(fault)), file=sys.stderr, flush=True)  # noqa: T201

    def _tell(self, began: float) -> None:
        seconds = time.monotonic() - began
        okay = sum(codes["OK"] for codes in self._codes.values())
        print(  # noqa: T201 - progress of a command
            f"{self.summary.calls:,} calls in {seconds:,.0f} s, {okay:,} OK, {self.summary.looked_at:,} refused"
            f" ones looked at, {len(self._never_ok())} methods not OK yet, {sum(self._fault_counts.values())} faults",
            file=sys.stderr,
            flush=True,
        )

    # What is compared at the end

    async def _compare(self, effects: Effects) -> None:
        summary = self.summary
        await Flow(postgres_url(self._stack), nats_url(self._stack)).drained(DRAIN_SECONDS)
        await effects.quiet()
        summary.wrong += [f"an event was set aside: {each}" for each in await effects.dead_letters()]
        async with Client(Addresses(**self._stack.published["services"])) as client:
            audit = await _audit(client)
        summary.figures |= {
            "transfers": audit.transfer_count, "accounts": audit.account_count, "rewards": audit.reward_count,
            "programs": len(self._pool.programs),
        }  # fmt: skip
        summary.wrong += [
            f"audit: {each.check} {each.program_id} {each.subject}: {each.detail}" for each in audit.findings
        ]
        jobs = ("--jobs", "1") if summary.calls < MANY_CALLS else ()
        rebuilt = await asyncio.to_thread(
            upline, "rebuild", "--check", "--json", *jobs, state=self._stack.state, check=False, seconds=1_200.0
        )
        with suppress(ValueError):
            result: dict[str, Any] = json.loads(rebuilt.stdout)
            summary.figures |= {f"rebuilt_{name}": value for name, value in result.items() if isinstance(value, int)}
        if rebuilt.returncode != 0:
            summary.wrong.append(f"rebuild: {rebuilt.stdout[-2_000:]} {rebuilt.stderr[-2_000:]}")

    def _judge(self, pids: dict[str, int]) -> None:
        summary = self.summary
        summary.codes = {name: dict(codes) for name, codes in sorted(self._codes.items())}
        summary.reasons = dict(sorted(self._reasons.items()))
        summary.largest_bytes = dict(sorted(self._largest.items()))
        summary.slowest_seconds = dict(sorted(self._slowest.items()))
        summary.fault_counts = dict(self._fault_counts.most_common())
        if (found := self._pids()) != pids:
            summary.wrong.append(f"processes ended: {pids} became {found}")
        for name, pid in found.items():
            summary.memory_mb[name] = _peak_mb(pid)
            if summary.memory_mb[name] > MAX_MEMORY_MB:
                summary.wrong.append(f"{name} took {summary.memory_mb[name]} MB")
        summary.wrong += [f"{count} times: {kind}" for kind, count in summary.fault_counts.items()]
        severe = [line for line in self._stack.log.read_text(errors="replace").splitlines() if SEVERE.search(line)]
        summary.wrong += [f"{len(severe)} lines of the log: {severe[:5]}"] if severe else []

    def _never_ok(self) -> list[str]:
        return [each.full_name for each in self._methods if not self._codes[each.full_name]["OK"]]

    def _pids(self) -> dict[str, int]:
        return {name: self._stack.child(f" services.{name} ") for name in self._channels}


async def run(stack: Up, seed: int, clients: int, record: Path, calls: int, again: Path | None = None) -> Summary:
    """Makes so many calls of a stack, `clients` of them at once, or those of an earlier record one by one; records each
    request, and compares what they left."""
    lines = gzip.decompress(again.read_bytes()).decode().splitlines() if again else []
    with gzip.open(record, "wt", compresslevel=1, encoding="utf-8") as stream:
        return await Run(stack, seed, clients, stream).play(0 if again else calls, lines)


def _read(line: str) -> Made:
    """The call of a line of the record."""
    _, name, how, _, _, parts = json.loads(line)
    service, _, method = name.rpartition(".")
    content = tuple(base64.b64decode(each) for each in parts)
    return Made(Default().FindServiceByName(service).methods_by_name[method], content, "", how, ())


async def _audit(client: Client) -> wallet_pb2.AuditLedgerResponse:
    """An audit of all programs, when the job's has ended that may be under way."""
    while True:
        try:
            audit: wallet_pb2.AuditLedgerResponse = await client.wallets.AuditLedger(
                wallet_pb2.AuditLedgerRequest(full=True), timeout=AUDIT_SECONDS
            )
        except grpc.aio.AioRpcError as error:
            if reason_of(error) not in NOT_YET:
                raise
            await asyncio.sleep(1.0)
        else:
            return audit


async def _send(channel: grpc.aio.Channel, made: Made) -> Outcome:
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


def _how(outcome: Outcome) -> str:
    return "read" if outcome.code is grpc.StatusCode.OK else "refused"


def _is_ours(method: MethodDescriptor) -> bool:
    return bool(method.full_name.startswith("upline."))


def _peak_mb(pid: int) -> int:
    """The most memory that a process has taken."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.findall(r"VmHWM:\s+(\d+)", status)[0]) // 1024
