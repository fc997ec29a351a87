"""Programs: content, masks, limits."""

from collections.abc import Callable

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from upline.attribution.v1 import program_pb2

from tests.integration.attribution.people import TIMEOUT, Caller, policy, refused, request_id
from tests.running import Running

CODE = grpc.StatusCode


def content(program_id: str, /, **changes: object) -> program_pb2.Program:
    """The content of a program of the test's own."""
    fields: dict[str, object] = {
        "program_id": program_id,
        "title": "Test",
        "currency_code": "RUB",
        "policy": policy(),
        "allowed_hosts": ["shop.example"],
        **changes,
    }
    return program_pb2.Program(**fields)


async def create(caller: Caller, program: program_pb2.Program) -> program_pb2.Program:
    """Creates a program."""
    request = program_pb2.CreateProgramRequest(request_id=request_id(), program=program)
    return (await caller.programs.CreateProgram(request, timeout=TIMEOUT)).program


async def update(
    caller: Caller, program: program_pb2.Program, *paths: str, allow_missing: bool = False
) -> program_pb2.Program:
    """Changes a program."""
    request = program_pb2.UpdateProgramRequest(
        request_id=request_id(), program=program, update_mask=FieldMask(paths=paths), allow_missing=allow_missing
    )
    return (await caller.programs.UpdateProgram(request, timeout=TIMEOUT)).program


@pytest.fixture
def caller(attribution: Running, new_program_id: Callable[[str], str]) -> Caller:
    """A caller of a program that is not there yet."""
    return Caller(attribution, new_program_id("program"))


async def test_created_once(caller: Caller) -> None:
    first = await create(caller, content(caller.program_id))
    assert await create(caller, content(caller.program_id)) == first
    got = await caller.programs.GetProgram(program_pb2.GetProgramRequest(program_id=caller.program_id), timeout=TIMEOUT)
    assert got.program == first
    async with refused() as told:
        await create(caller, content(caller.program_id, title="Other"))
    assert told[0].code == CODE.ALREADY_EXISTS


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"currency_code": "ZZZ"}, "program.currency_code"),
        ({"currency_code": "XAU"}, "program.currency_code"),
        ({"policy": policy(days=0)}, "program.policy.window"),
        ({"policy": policy(days=-1)}, "program.policy.window"),
        ({"policy": policy(days=3661)}, "program.policy.window"),
        ({"policy": policy(window=Duration(seconds=3660 * 86_400, nanos=1000))}, "program.policy.window"),
        ({"policy": policy(touch=0)}, "program.policy.touch"),
        ({"visitor_cookie": 4}, "program.visitor_cookie"),
        ({"program_id": "Upper"}, "program.program_id"),
        ({"title": "\x00"}, "program.title"),
    ],
)
async def test_bad_program_names_the_field(caller: Caller, changes: dict[str, object], field: str) -> None:
    async with refused() as told:
        await create(caller, content(caller.program_id, **changes))
    assert (told[0].code, told[0].fields) == (CODE.INVALID_ARGUMENT, [field])


async def test_request_id_that_cannot_be_stored(caller: Caller) -> None:
    request = program_pb2.CreateProgramRequest(request_id="\x00", program=content(caller.program_id))
    async with refused() as told:
        await caller.programs.CreateProgram(request, timeout=TIMEOUT)
    assert (told[0].code, told[0].fields) == (CODE.INVALID_ARGUMENT, ["request_id"])


async def test_masks(caller: Caller) -> None:
    first = await create(caller, content(caller.program_id))
    wanted = content(caller.program_id, title="New", policy=policy(days=7, touch=program_pb2.TOUCH_FIRST))
    changed = await update(caller, wanted, "policy.touch")
    assert (changed.title, changed.policy.touch) == ("Test", program_pb2.TOUCH_FIRST)
    assert changed.policy.window == first.policy.window
    assert changed.create_time == first.create_time
    wanted.visitor_cookie = program_pb2.VISITOR_COOKIE_CONSENT_ASKED
    changed = await update(caller, wanted, "visitor_cookie")
    assert (changed.title, changed.visitor_cookie) == ("Test", program_pb2.VISITOR_COOKIE_CONSENT_ASKED)
    got = await caller.programs.GetProgram(program_pb2.GetProgramRequest(program_id=caller.program_id), timeout=TIMEOUT)
    assert got.program == changed
    wanted.ClearField("allowed_hosts")
    changed = await update(caller, wanted)
    assert (changed.title, changed.policy, list(changed.allowed_hosts)) == ("New", wanted.policy, [])
    for path in ("currency_code", "create_time", "nothing", "policy.nothing", "title.more"):
        async with refused() as told:
            await update(caller, wanted, path)
        assert told[0].fields == ["update_mask"]
    wanted.currency_code = "USD"
    async with refused() as told:
        await update(caller, wanted)
    assert told[0].fields == ["program.currency_code"]


async def test_upsert(caller: Caller) -> None:
    async with refused() as told:
        await update(caller, content(caller.program_id), "title")
    assert told[0].code == CODE.NOT_FOUND
    first = await update(caller, content(caller.program_id), "title", allow_missing=True)
    assert first.allowed_hosts == ["shop.example"]
    assert await update(caller, content(caller.program_id), allow_missing=True) == first


async def test_pages(caller: Caller) -> None:
    ids = [f"{caller.program_id}-{i}" for i in range(3)]
    for each in ids:
        await create(caller, content(each))
    found: list[str] = []
    token = ""
    while True:
        request = program_pb2.ListProgramsRequest(page_size=2, page_token=token)
        answer = await caller.programs.ListPrograms(request, timeout=TIMEOUT)
        found += [each.program_id for each in answer.programs]
        if not (token := answer.next_page_token):
            break
    assert [each for each in found if each.startswith(f"{caller.program_id}-")] == ids
    assert found == sorted(found)
    async with refused() as told:
        await caller.programs.ListPrograms(program_pb2.ListProgramsRequest(page_token="forged"), timeout=TIMEOUT)
    assert told[0].fields == ["page_token"]
