"""Plays a scenario: one step after the other, each when all that came before is settled."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import grpc

from cli.bundle.problems import BundleError, Place
from cli.client import Client
from cli.errors import describe, reason_of, violations
from cli.programs import apply_bundle
from cli.scenario.acts.act import act
from cli.scenario.acts.people import enrol
from cli.scenario.compare import NOTHING, Difference, compare
from cli.scenario.load import Script
from cli.scenario.settling import Rest
from cli.scenario.shapes.events import Order, Refund
from cli.scenario.shapes.payouts import Approve
from cli.scenario.shapes.people import Click, Enrol
from cli.scenario.shapes.scenario import Refusal, Step
from cli.scenario.world import World
from cli.views.audit import read_audit

if TYPE_CHECKING:
    from services.rewards.commands.rebuild import RebuildResult

RECORDED = (Enrol, Click, Order, Refund)
"""Steps whose effect comes by events; the others are done when they are answered."""


@dataclass(frozen=True, slots=True)
class Played:
    """How a scenario went."""

    file: str
    program_id: str
    steps: int
    seconds: float
    differences: tuple[tuple[Place, Difference], ...]
    rebuilt: "RebuildResult | None"
    """What was computed again in the end; None for a scenario that did not come so far."""

    @property
    def passed(self) -> bool:
        """Whether everything was as expected."""
        return not self.differences


class _Stop(Exception):
    """A step did not go as it should: what follows would only follow from it."""


@dataclass(slots=True)
class Player:
    """Plays one scenario on a stack that is at rest."""

    client: Client
    rest: Rest
    script: Script
    program_id: str
    database_url: str
    """Of the owner."""
    tell: Callable[[], None]
    """Called after each step."""
    _at_rest: bool = False
    """Nothing has happened since everything was followed up and told."""

    async def play(self) -> Played:
        """Plays it to its end, or to the first step that is refused and should not be, or the other way round."""
        began = time.monotonic()
        world = World(self.client, self.script, self.program_id, self.script.scenario.start)
        differences: list[Difference] = []
        done, rebuilt = 0, None
        try:
            await self._begin(world)
            for index, step in enumerate(self.script.scenario.steps):
                differences += await self._step(world, step, f"steps[{index}]")
                done += 1
                self.tell()
            await self._rest()
            differences += await self._audited()
            rebuilt = await self._rebuilt()
            differences += _compared(rebuilt)
        except _Stop as stop:
            differences += stop.args
        placed = tuple((self.script.place(each.path), each) for each in differences)
        return Played(self.script.file, self.program_id, done, round(time.monotonic() - began, 3), placed, rebuilt)

    async def _begin(self, world: World) -> None:
        self._move(world.now)
        try:
            await apply_bundle(self.client, self.script.program.under(self.program_id))
        except (grpc.RpcError, BundleError) as error:
            raise _Stop(Difference("program", ("a program that can be applied",), tuple(describe(error)[0]))) from error
        for person, newcomer in self.script.scenario.people.items():
            try:
                await enrol(world, person, newcomer)
            except grpc.RpcError as error:
                raise _Stop(Difference(f"people[{person}]", ("is enrolled",), _refused(error))) from error
        await self._rest()

    async def _step(self, world: World, step: Step, path: str) -> list[Difference]:
        moment = self.script.moment(step.at) if step.at is not None else world.now
        if moment != world.now:
            await self._rest()
            self._move(moment)
            world.now = moment
            await self._rest()
        if step.expect is not None:
            await self._rest()
            try:
                return await compare(world, step.expect, f"{path}.expect")
            except grpc.RpcError as error:
                raise _Stop(Difference(f"{path}.expect", ("can be asked for",), _refused(error))) from error
        for name, action in step.actions().items():
            await self._act(world, action, step.refused, f"{path}.{name}")
        return []

    async def _act(self, world: World, action: Any, refused: Refusal | None, path: str) -> None:
        try:
            await act(world, action)
        except (grpc.RpcError, BundleError) as error:
            if refused is None:
                raise _Stop(Difference(path, ("is done",), _refused(error))) from error
            if not _is(refused, error):
                wanted = f"is refused: {refused.reason}{f' for {refused.field}' if refused.field else ''}"
                raise _Stop(Difference(path, (wanted,), _refused(error))) from error
        else:
            if refused is not None:
                raise _Stop(Difference(path, (f"is refused: {refused.reason}",), ("is done",)))
        self._at_rest = False
        if isinstance(action, Approve) or (isinstance(action, Order) and action.type in self._awaited()):
            await self._rest()  # what is released now by a job must not mix with what the next step does
        elif isinstance(action, RECORDED):
            await self.rest.paid()

    def _awaited(self) -> set[str]:
        """The event types that holds end with."""
        bundles = (self.script.program, *self.script.applied.values())
        return {rule.hold.until_event for each in bundles if each.plan for rule in each.plan.rules}

    async def _rest(self) -> None:
        if not self._at_rest:
            await self.rest.told()
            self._at_rest = True

    def _move(self, moment: datetime) -> None:
        self.rest.clock.move(moment)
        self._at_rest = False

    async def _audited(self) -> list[Difference]:
        verdict = await read_audit(self.client, self.program_id)
        if verdict.balanced:
            return []
        found = tuple(f"{each.check} {each.subject}: {each.detail}" for each in verdict.findings)
        return [Difference("", ("the ledger balances at the end",), found)]

    async def _rebuilt(self) -> "RebuildResult":
        from services.rewards.commands.rebuild import rebuild  # and everything that decides with it

        # In this process: for so few facts, another one would take longer to start than they take.
        return await rebuild(self.database_url, self.program_id, lambda _total: lambda _done: None, jobs=1)


def _compared(rebuilt: "RebuildResult") -> list[Difference]:
    if not rebuilt.differences:
        return []
    found = tuple(
        f"{each.table} {each.row}: stored {each.stored or NOTHING}, computed {each.rebuilt or NOTHING}"
        for each in rebuilt.differences
    )
    return [Difference("", ("what is stored is what its events come to",), found)]


def _is(refused: Refusal, error: Exception) -> bool:
    if not isinstance(error, grpc.RpcError):
        return False
    fields = [path for path, _why in violations(error)]
    return refused.reason == reason_of(error) and (not refused.field or refused.field in fields)


def _refused(error: Exception) -> tuple[str, ...]:
    reason = reason_of(error) if isinstance(error, grpc.RpcError) else ""
    return (f"is refused: {reason}" if reason else "is refused", *describe(error)[0])
