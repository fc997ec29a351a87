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
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TextIO
from urllib.parse import urlsplit

import grpc
from google.protobuf.descriptor_pool import Default
from google.protobuf.text_format import MessageToString

from cli.client import Addresses, Client
from tests.contract.surface import METHODS, owner
from tests.e2e.stacks import Up
from tests.faults.killing import nats_url, postgres_url
from tests.fuzz.answers import reason_of, wrong_answer, wrong_error
from tests.fuzz.beginning import bundles, set_up
from tests.fuzz.choosing import Chooser, is_ours
from tests.fuzz.comparing import compare, judge
from tests.fuzz.effects import Effects
from tests.fuzz.generator import Generator, Made
from tests.fuzz.pool import Pool
from tests.fuzz.sending import Outcome, send
from tests.fuzz.summary import Fault, Summary
from tests.fuzz.visits import EXPECTED, FOLLOWED, METRICS, REDIRECT, Page, Visit, Visitors, wrong_page
from tests.fuzz.visits import send as visit

ROUND = 500
"""Calls after which it turns from callers at once to one who looks at effects, and back."""
LOOKED_AT = 0.2
"""The part of each round in which effects are looked at."""
FROM_BEFORE = 0.6
"""How often a call that was refused before is sent again where effects are looked at: most of these keep to the rules
of the contract and are refused by what is stored."""
VISITS = 0.1
"""How many HTTP requests there are beside calls."""
HTTP = "HTTP"
"""Stands in the record for a method's name."""
KEPT_FAULTS = 3
TOUR = (
    "RequestPayout", "ApprovePayout", "CreatePayoutBatch", "ReportPayout", "RetryPayout", "CreatePayoutBatch",
    "ReportPayout", "CancelPayout", "AuthorizeRedemption", "CaptureRedemption", "RefundRedemption",
    "AuthorizeRedemption", "VoidRedemption", "EnrollParticipant", "BindSponsor",
)  # fmt: skip
"""Calls that only succeed in this order, which chance seldom finds in a short run."""
STAY = 8
"""The number of times that each of them is made, in a program that has everything."""
LAST_TRIES = 10
READING = re.compile(r"^(Get|List|Explain|Resolve|Validate|Watch|Check|ServerReflection)")
"""Methods that change nothing when they succeed, either."""
OF_JOBS = re.compile(
    r"^(rewards\.(balance|account|reward|transfer|hold|debt|expir|contest|payout|outbox|awaited|wallet|tally|audit)"
    r"|notify\.(inbox|cause|delivery|webhook)|attribution\.click|[a-z]+\.(retention|reconcil|outbox))"
)
"""Tables that are written without a call just then. A refused call that writes there does so each time it is sent."""


class Run:
    """A run against one stack."""

    def __init__(self, stack: Up, seed: int, clients: int, record: TextIO) -> None:
        self._stack = stack
        self._rng = random.Random(seed)
        self._clients = clients
        self._bundles = bundles()
        self._pool = Pool(self._rng)
        self._generator = Generator(self._rng, self._pool, self._bundles)
        self._channels = {
            name: grpc.aio.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)])
            for name, address in stack.published["services"].items()
        }
        self._chooser = Chooser(self._rng, self._generator)
        published = stack.published
        link_address = urlsplit(published["redirect_url"])
        metrics = {f"{METRICS}{name}": ("127.0.0.1", port) for name, port in published["metrics_ports"].items()}
        servers = {REDIRECT: (str(link_address.hostname), int(link_address.port or 80)), **metrics}
        self._visitors = Visitors(self._rng, self._pool, servers)
        self._pages: Counter[str] = Counter()
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
        async with Client(Addresses(**self._stack.published["services"])) as client:
            await set_up(client, self._bundles, self._pool)
        effects = await Effects.open(postgres_url(self._stack), nats_url(self._stack))
        try:
            await effects.quiet()  # people have earned what the first calls are about
            for line in again:
                await self._send_again(line)
            if not again:
                await self._make_tour()
            while summary.calls < calls:
                end = min(calls, summary.calls + round(ROUND * (1 - LOOKED_AT)))
                await asyncio.gather(*(self._call_until(end) for _ in range(self._clients)))
                await self._look_at_effects(effects, min(calls, summary.calls + round(ROUND * LOOKED_AT)))
                self._tell(began)
            if not again:
                await self._try_the_rest()
            await compare(self._stack, effects, summary)
        finally:
            await effects.close()
            for channel in self._channels.values():
                await channel.close()
        judge(self._stack, pids, self._pids(), summary)
        self._sum_up()
        if not again:
            summary.wrong += [f"never OK: {name}" for name in self._chooser.never_ok()]
            summary.wrong += [f"never OK: {each}" for each in EXPECTED if not self._pages[each]]
        summary.seconds = round(time.monotonic() - began, 1)
        return summary

    async def _try_the_rest(self) -> None:
        """Calls methods that never succeeded, which in a short run may be chance, after those that they need."""
        for _ in range(LAST_TRIES):
            names = [name for name in self._chooser.never_ok() if name.startswith("upline.")]
            if not names:
                return
            await self._make_tour()
            await self._make_tour(names)

    # Calls

    async def _make_tour(self, names: Iterable[str] = TOUR) -> None:
        for name in names:
            (method,) = (each for each in METHODS if name in {each.name, each.full_name})
            for _ in range(STAY):
                await self._call(self._generator.make(method, "valid", self._bundles[0].program.program_id))

    async def _call_until(self, end: int) -> None:
        while self.summary.calls < end:
            await self._call(self._chooser.make())
            if self._rng.random() < VISITS:
                await self._visit(self._visitors.make())

    async def _send_again(self, line: str) -> None:
        _, name, how, server, _, parts = json.loads(line)
        if name == HTTP:
            await self._visit(Visit(server, how, base64.b64decode(parts[0])))
        else:
            await self._call(_read(line))

    async def _visit(self, made: Visit) -> Page:
        self.summary.visits += 1
        page = await visit(self._visitors.servers[made.server], made)
        kind = "metrics" if made.server.startswith(METRICS) else made.server
        self._pages[f"{kind} {page.status}"] += 1
        content = base64.b64encode(made.content).decode()
        print(json.dumps([self.summary.visits, HTTP, made.how, made.server, page.status, [content]]), file=self._record)
        if wrong := wrong_page(made, page):
            self._note_visit(made, page, wrong)
        return page

    async def _call(self, made: Made) -> Outcome:
        summary, name = self.summary, made.method.full_name
        summary.calls += 1
        number = summary.calls
        channel = self._channels[
            owner(made.method.containing_service) if is_ours(made.method) else self._rng.choice(list(self._channels))
        ]
        began = time.monotonic()
        outcome = await send(channel, made)
        seconds = time.monotonic() - began
        self._slowest[name] = max(self._slowest.get(name, 0.0), round(seconds, 3))
        self._codes[name][outcome.code.name] += 1
        self._chooser.succeeded[name] += outcome.code is grpc.StatusCode.OK
        reason = reason_of(outcome.error) if outcome.error else ""
        self._reasons[reason] += 1
        parts = [base64.b64encode(each).decode() for each in made.parts]
        print(json.dumps([number, name, made.how, outcome.code.name, reason, parts]), file=self._record)
        wrong = ""
        if outcome.error is not None:
            if is_ours(made.method):
                wrong = wrong_error(outcome.error, made.messages)
                if outcome.code is not grpc.StatusCode.INVALID_ARGUMENT or reason != "INVALID_FIELD":
                    self._refused.append(made)
            elif outcome.code not in {grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT}:
                wrong = "no answer of a healthy stack"
        elif outcome.answer is not None:
            self._largest[name] = max(self._largest[name], outcome.answer.ByteSize())
            wrong = wrong_answer(outcome.answer)
            if is_ours(made.method):
                self._generator.remember(made, outcome.answer)
        if wrong:
            self._note(number, made, outcome, wrong)
        return outcome

    async def _look_at_effects(self, effects: Effects, end: int) -> None:
        """One caller alone, who sends what has to be refused."""
        await effects.quiet()
        while self.summary.calls < end:
            if self._rng.random() < VISITS:
                await self._look_at_visit(effects)
            again = self._refused and self._rng.random() < FROM_BEFORE
            made = self._refused.popleft() if again else self._chooser.make("spoiled")
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

    async def _look_at_visit(self, effects: Effects) -> None:
        """An HTTP request that is no visit of a link records none."""
        made, stored = self._visitors.make(), await effects.stored()
        page = await self._visit(made)
        if page.status in FOLLOWED and made.is_followed:
            await effects.quiet()
        elif await effects.stored() != stored:
            self._note_visit(made, page, "the broker stored an event")

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

    def _note_visit(self, made: Visit, page: Page, what: str) -> None:
        content = base64.b64encode(made.content[:20_000]).decode()
        shown, told = repr(made.content[:3_000]), repr(page.body[:600])
        fault = Fault(self.summary.visits, made.server, made.how, str(page.status), what, told, shown, (content,))
        self._keep(f"{made.server} {page.status} {what}", fault)

    def _note(self, number: int, made: Made, outcome: Outcome, what: str) -> None:
        shown = " / ".join(MessageToString(each, as_one_line=True, as_utf8=True) for each in made.messages)
        details = (outcome.error.details() or "")[:600] if outcome.error else ""
        parts = tuple(base64.b64encode(each).decode() for each in made.parts if len(each) < 20_000)
        fault = Fault(number, made.method.full_name, made.how, outcome.code.name, what, details, shown[:3_000], parts)
        self._keep(f"{made.method.name} {outcome.code.name} {what}", fault)

    def _keep(self, what: str, fault: Fault) -> None:
        kind = re.sub(r"[0-9]+", "#", what)[:180]
        self._fault_counts[kind] += 1
        if self._fault_counts[kind] > KEPT_FAULTS:
            return
        self.summary.faults.append(fault)
        print(json.dumps(asdict(fault)), file=sys.stderr, flush=True)  # noqa: T201

    def _tell(self, began: float) -> None:
        seconds = time.monotonic() - began
        okay = sum(codes["OK"] for codes in self._codes.values())
        print(  # noqa: T201 - progress of a command
            f"{self.summary.calls:,} calls in {seconds:,.0f} s, {okay:,} OK, {self.summary.looked_at:,} refused"
            f" ones looked at, {len(self._chooser.never_ok())} methods not OK yet, {self._fault_counts.total()} faults",
            file=sys.stderr,
            flush=True,
        )

    def _sum_up(self) -> None:
        summary = self.summary
        summary.pages = dict(sorted(self._pages.items()))
        summary.codes = {name: dict(codes) for name, codes in sorted(self._codes.items())}
        summary.reasons = dict(sorted(self._reasons.items()))
        summary.largest_bytes = dict(sorted(self._largest.items()))
        summary.slowest_seconds = dict(sorted(self._slowest.items()))
        summary.fault_counts = dict(self._fault_counts.most_common())
        summary.wrong += [f"{count} times: {kind}" for kind, count in summary.fault_counts.items()]
        summary.figures["programs"] = len(self._pool.programs)

    def _pids(self) -> dict[str, int]:
        services = {name: self._stack.child(f" services.{name} ") for name in self._channels}
        return services | {REDIRECT: self._stack.child(" services.attribution.redirect_main ")}


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


def _how(outcome: Outcome) -> str:
    return "read" if outcome.code is grpc.StatusCode.OK else "refused"
