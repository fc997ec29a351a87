"""Plays a scenario: one step after the other, each when all that came before is settled."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import grpc

from cli.bundle.problems import BundleError, Position
from cli.client import Client
from cli.errors import describe, reason_of, violations
from cli.programs import apply_bundle
from cli.scenario.acts.act import act
from cli.scenario.acts.people import enrol
from cli.scenario.compare.compare import compare
from cli.scenario.compare.mismatch import NOTHING, Mismatch
from cli.scenario.load import ScenarioFile
from cli.scenario.rest import StackRest
from cli.scenario.run import ScenarioRun
from cli.scenario.shapes.events import Order, RefundOrder
from cli.scenario.shapes.payouts import Approve
from cli.scenario.shapes.people import Click, Enrol
from cli.scenario.shapes.scenario import ExpectedRefusal, Step
from cli.views.audit import read_audit

if TYPE_CHECKING:
    from services.rewards.commands.rebuild import RebuildResult

RECORDED = (Enrol, Click, Order, RefundOrder)
"""Steps whose effect comes by events; the others are done when they are answered."""


@dataclass(frozen=True, slots=True)
class ScenarioResult:
    """The result of one scenario."""

    file: str
    program_id: str
    steps: int
    seconds: float
    mismatches: tuple[tuple[Position, Mismatch], ...]
    rebuilt: "RebuildResult | None"
    """The figures of the rebuild at the end; None for a scenario that did not come so far."""

    @property
    def passed(self) -> bool:
        """Whether everything was as expected."""
        return not self.mismatches


class _StepFailed(Exception):
    """A step did not go as it should: what follows would only follow from it."""


@dataclass(slots=True)
class Player:
    """Plays one scenario on a stack that is at rest."""

    client: Client
    rest: StackRest
    scenario_file: ScenarioFile
    program_id: str
    database_url: str
    """The database's URL, as its owner."""
    step_done: Callable[[], None]
    """A function that is called after each step."""
    _at_rest: bool = False
    """Whether nothing has happened since everything was followed up and told."""

    async def play(self) -> ScenarioResult:
        """Plays it to its end, or to the first step that is refused and should not be, or the other way round."""
        began = time.monotonic()
        run = ScenarioRun(self.client, self.scenario_file, self.program_id, self.scenario_file.scenario.start)
        mismatches: list[Mismatch] = []
        done, rebuilt = 0, None
        try:
            await self._begin(run)
            for index, step in enumerate(self.scenario_file.scenario.steps):
                mismatches += await self._step(run, step, f"steps[{index}]")
                done += 1
                self.step_done()
            await self._come_to_rest()
            mismatches += await self._audit()
            rebuilt = await self._rebuild()
            mismatches += _rebuild_mismatches(rebuilt)
        except _StepFailed as stop:
            mismatches += stop.args
        placed = tuple((self.scenario_file.position(each.path), each) for each in mismatches)
        return ScenarioResult(
            self.scenario_file.file, self.program_id, done, round(time.monotonic() - began, 3), placed, rebuilt
        )

    async def _begin(self, run: ScenarioRun) -> None:
        self._move(run.now)
        try:
            await apply_bundle(self.client, self.scenario_file.program.under(self.program_id))
        except (grpc.RpcError, BundleError) as error:
            raise _StepFailed(
                Mismatch("program", ("a program that can be applied",), tuple(describe(error)[0]))
            ) from error
        for person, newcomer in self.scenario_file.scenario.people.items():
            try:
                await enrol(run, person, newcomer)
            except grpc.RpcError as error:
                raise _StepFailed(Mismatch(f"people[{person}]", ("is enrolled",), _refusal_lines(error))) from error
        await self._come_to_rest()

    async def _step(self, run: ScenarioRun, step: Step, path: str) -> list[Mismatch]:
        moment = self.scenario_file.moment(step.at) if step.at is not None else run.now
        if moment != run.now:
            await self._come_to_rest()
            self._move(moment)
            run.now = moment
            await self._come_to_rest()
        if step.expect is not None:
            await self._come_to_rest()
            try:
                return await compare(run, step.expect, f"{path}.expect")
            except grpc.RpcError as error:
                raise _StepFailed(Mismatch(f"{path}.expect", ("can be asked for",), _refusal_lines(error))) from error
        for name, action in step.actions().items():
            await self._act(run, action, step.refused, f"{path}.{name}")
        return []

    async def _act(self, run: ScenarioRun, action: Any, refused: ExpectedRefusal | None, path: str) -> None:
        try:
            await act(run, action)
        except (grpc.RpcError, BundleError) as error:
            if refused is None:
                raise _StepFailed(Mismatch(path, ("is done",), _refusal_lines(error))) from error
            if not _is_expected_refusal(refused, error):
                wanted = f"is refused: {refused.reason}{f' for {refused.field}' if refused.field else ''}"
                raise _StepFailed(Mismatch(path, (wanted,), _refusal_lines(error))) from error
        else:
            if refused is not None:
                raise _StepFailed(Mismatch(path, (f"is refused: {refused.reason}",), ("is done",)))
        self._at_rest = False
        if isinstance(action, Approve) or (isinstance(action, Order) and action.type in self._awaited_event_types()):
            await self._come_to_rest()  # a release by a job must not mix with what the next step does
        elif isinstance(action, RECORDED):
            await self.rest.until_settled()

    def _awaited_event_types(self) -> set[str]:
        """The event types that holds end with."""
        bundles = (self.scenario_file.program, *self.scenario_file.applied.values())
        return {rule.hold.until_event for each in bundles if each.plan for rule in each.plan.rules}

    async def _come_to_rest(self) -> None:
        if not self._at_rest:
            await self.rest.until_told()
            self._at_rest = True

    def _move(self, moment: datetime) -> None:
        self.rest.clock.move(moment)
        self._at_rest = False

    async def _audit(self) -> list[Mismatch]:
        verdict = await read_audit(self.client, self.program_id, full=True)
        if verdict.balanced:
            return []
        found = tuple(f"{each.check} {each.subject}: {each.detail}" for each in verdict.findings)
        return [Mismatch("", ("the ledger balances at the end",), found)]

    async def _rebuild(self) -> "RebuildResult":
        from services.rewards.commands.rebuild import rebuild  # here, as it brings everything that decides

        # One job, in this process: for so few facts, another process would take longer to start than they take.
        return await rebuild(self.database_url, self.program_id, lambda _total: lambda _done: None, jobs=1)


def _rebuild_mismatches(rebuilt: "RebuildResult") -> list[Mismatch]:
    if not rebuilt.differences:
        return []
    found = tuple(
        f"{each.table} {each.row}: stored {each.stored or NOTHING}, computed {each.rebuilt or NOTHING}"
        for each in rebuilt.differences
    )
    return [Mismatch("", ("what is stored is what its events come to",), found)]


def _is_expected_refusal(refused: ExpectedRefusal, error: Exception) -> bool:
    if not isinstance(error, grpc.RpcError):
        return False
    fields = [path for path, _why in violations(error)]
    return refused.reason == reason_of(error) and (not refused.field or refused.field in fields)


def _refusal_lines(error: Exception) -> tuple[str, ...]:
    reason = reason_of(error) if isinstance(error, grpc.RpcError) else ""
    return (f"is refused: {reason}" if reason else "is refused", *describe(error)[0])
