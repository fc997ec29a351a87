"""Programs of the services: brought to what a program file says, and read back into a file."""

from dataclasses import dataclass
from uuid import uuid4

import grpc
from google.protobuf.field_mask_pb2 import FieldMask
from upline.attribution.v1 import program_pb2
from upline.notify.v1 import notify_pb2
from upline.rewards.v1 import plan_pb2

from cli.bundle.problems import BundleError
from cli.bundle.program import Bundle
from cli.client import CALL_SECONDS, Client
from cli.errors import untold_count, violations

UPDATABLE = ("title", "policy", "allowed_hosts", "visitor_cookie")


@dataclass(frozen=True, slots=True)
class ApplyResult:
    """The fate of each part of the file: `created`, `updated`, `unchanged`, or empty where the file lacks it."""

    program_id: str
    program: str
    plan: str = ""
    plan_version: int = 0
    texts: str = ""
    texts_version: int = 0

    @property
    def changed(self) -> bool:
        """Whether any part of the program changed."""
        return not {self.program, self.plan, self.texts} <= {"unchanged", ""}


def result_lines(applied: ApplyResult) -> list[str]:
    """The result of an application, in lines for people."""
    lines = [f"program {applied.program_id}: {applied.program}"]
    if applied.plan:
        lines.append(f"plan: {applied.plan}, version {applied.plan_version}")
    if applied.texts:
        lines.append(f"texts: {applied.texts}, version {applied.texts_version}")
    if not applied.changed:
        lines.append("nothing changed: everything is as the file says already")
    return lines


async def apply_bundle(client: Client, bundle: Bundle) -> ApplyResult:
    """Applies a file; a second time changes nothing.

    Raises BundleError, with the line, where a service refuses a field.
    """
    try:
        return await _apply(client, bundle)
    except grpc.RpcError as error:
        problems = [bundle.problem(path, text) for path, text in violations(error) if _is_in_file(path)]
        if problems:
            refused = BundleError(bundle.file, problems)
            refused.outcome = "the plan was not published; give the mended file again"
            if more := untold_count(error):
                refused.outcome = f"{more:,} more are not told here; {refused.outcome}"
            raise refused from error
        raise


def _is_in_file(path: str) -> bool:
    # Requests name these fields as the file does, so a path of the one is a path of the other.
    return path.split(".", maxsplit=1)[0].split("[", maxsplit=1)[0] in ("program", "plan", "effective_time", "texts")


async def _apply(client: Client, bundle: Bundle) -> ApplyResult:
    if bundle.plan is not None:
        # The check comes first, so that a plan that is refused leaves the rest untouched too.
        check = plan_pb2.ValidatePlanRequest(plan=bundle.plan, currency_code=bundle.program.currency_code)
        await client.plans.ValidatePlan(check, timeout=CALL_SECONDS)
    program = await _apply_program(client, bundle.program)
    texts, texts_version = await _apply_texts(client, bundle)
    plan, plan_version = await _apply_plan(client, bundle)  # comes last, for it pays from then on
    return ApplyResult(bundle.program.program_id, program, plan, plan_version, texts, texts_version)


async def _apply_program(client: Client, wanted: program_pb2.Program) -> str:
    found = await _read_program(client, wanted.program_id)
    if found is not None and all(
        getattr(found, name) == getattr(wanted, name) for name in (*UPDATABLE, "currency_code")
    ):
        return "unchanged"
    request = program_pb2.UpdateProgramRequest(
        request_id=str(uuid4()), program=wanted, update_mask=FieldMask(paths=UPDATABLE), allow_missing=True
    )
    if found is not None and found.currency_code != wanted.currency_code:
        request.ClearField("update_mask")  # so that the service says that it cannot change
    await client.programs.UpdateProgram(request, timeout=CALL_SECONDS)
    return "updated" if found is not None else "created"


async def _read_program(client: Client, program_id: str) -> program_pb2.Program | None:
    try:
        answer = await client.programs.GetProgram(
            program_pb2.GetProgramRequest(program_id=program_id), timeout=CALL_SECONDS
        )
    except grpc.RpcError as error:
        if error.code() is grpc.StatusCode.NOT_FOUND:
            return None
        raise
    stored: program_pb2.Program = answer.program
    return stored


async def _apply_plan(client: Client, bundle: Bundle) -> tuple[str, int]:
    if bundle.plan is None:
        return "", 0
    before = await read_newest_plan(client, bundle.program.program_id)
    answer = await client.plans.PublishPlan(
        plan_pb2.PublishPlanRequest(
            request_id=str(uuid4()),
            program_id=bundle.program.program_id,
            plan=bundle.plan,
            effective_time=bundle.effective_time,
            currency_code=bundle.program.currency_code,
        ),
        timeout=CALL_SECONDS,
    )
    after: int = answer.plan_version.version
    if before is None:
        return "created", after
    return ("unchanged" if after == before.version else "updated"), after


async def read_newest_plan(client: Client, program_id: str) -> plan_pb2.PlanVersion | None:
    """The version published last, whether in force yet or not; None if there is none."""
    try:
        answer = await client.plans.ListPlans(
            plan_pb2.ListPlansRequest(program_id=program_id, page_size=1), timeout=CALL_SECONDS
        )
    except grpc.RpcError as error:
        if error.code() is grpc.StatusCode.NOT_FOUND:
            return None
        raise
    return answer.plan_versions[0] if answer.plan_versions else None


async def _apply_texts(client: Client, bundle: Bundle) -> tuple[str, int]:
    if bundle.texts is None:
        return "", 0
    program_id = bundle.program.program_id
    before = await client.texts.GetTexts(notify_pb2.GetTextsRequest(program_id=program_id), timeout=CALL_SECONDS)
    answer = await client.texts.PublishTexts(
        notify_pb2.PublishTextsRequest(request_id=str(uuid4()), program_id=program_id, texts=bundle.texts),
        timeout=CALL_SECONDS,
    )
    if before.version == 0:
        return "created", answer.version
    return ("unchanged" if answer.version == before.version else "updated"), answer.version


async def export_bundle(client: Client, program_id: str) -> Bundle:
    """A program as the services hold it, as a file. NOT_FOUND if there is no such program."""
    answer = await client.programs.GetProgram(
        program_pb2.GetProgramRequest(program_id=program_id), timeout=CALL_SECONDS
    )
    program = answer.program
    program.ClearField("create_time")
    program.ClearField("update_time")
    plan = await read_newest_plan(client, program_id)
    texts = await client.texts.GetTexts(notify_pb2.GetTextsRequest(program_id=program_id), timeout=CALL_SECONDS)
    return Bundle(
        program_id,
        program,
        plan.plan if plan else None,
        plan.effective_time if plan and plan.HasField("effective_time") else None,
        texts.texts if texts.version else None,
    )
