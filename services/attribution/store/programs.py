"""Programs."""

from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.errors import not_found
from chassis.pages import Portion, read_portion, within_budget
from services.attribution.domain.policy import (
    Bindable,
    Binding,
    CreditBeforeBinding,
    Policy,
    Program,
    Touch,
    VisitorCookie,
)

_COLUMNS = """program_id, title, currency_code, touch, touch_window, binding, bindable, enroll_buyers,
    default_sponsor_id, credit_before_binding, allowed_hosts, create_time, update_time, visitor_cookie"""
_READ = text(f"SELECT {_COLUMNS} FROM program WHERE program_id = :program_id")
_LOCK = text(f"SELECT {_COLUMNS} FROM program WHERE program_id = :program_id FOR NO KEY UPDATE")
_LIST = within_budget(
    f"SELECT {_COLUMNS} FROM program WHERE program_id > :after ORDER BY program_id LIMIT :limit",
    "octet_length(array_to_string(allowed_hosts, ' '))",
    "program_id",
)
_INSERT = text(f"""
    INSERT INTO program ({_COLUMNS}) VALUES (:program_id, :title, :currency_code, :touch, :touch_window, :binding,
        :bindable, :enroll_buyers, :default_sponsor_id, :credit_before_binding, :allowed_hosts, :create_time,
        :update_time, :visitor_cookie)
    ON CONFLICT (program_id) DO NOTHING
""")
_UPDATE = text("""
    UPDATE program SET title = :title, touch = :touch, touch_window = :touch_window, binding = :binding,
        bindable = :bindable, enroll_buyers = :enroll_buyers, default_sponsor_id = :default_sponsor_id,
        credit_before_binding = :credit_before_binding, allowed_hosts = :allowed_hosts, update_time = :update_time,
        visitor_cookie = :visitor_cookie
    WHERE program_id = :program_id
""")


async def load_program(conn: AsyncConnection, program_id: str) -> Program:
    """One program. Raises NOT_FOUND if there is none."""
    found = await find_program(conn, program_id)
    if found is None:
        raise not_found("program", program_id)
    return found


async def find_program(conn: AsyncConnection, program_id: str) -> Program | None:
    """One program, or None."""
    if "\x00" in program_id:
        return None
    row = (await conn.execute(_READ, {"program_id": program_id})).one_or_none()
    return None if row is None else _program(row)


async def lock_program(conn: AsyncConnection, program_id: str) -> Program | None:
    """One program, held against other changes until the transaction ends; or None."""
    row = (await conn.execute(_LOCK, {"program_id": program_id})).one_or_none()
    return None if row is None else _program(row)


async def list_programs(conn: AsyncConnection, after: str, limit: int) -> Portion[Program]:
    """Programs whose id is greater than `after`, by id."""
    return await read_portion(conn, _LIST, {"after": after, "limit": limit}, _program)


async def insert_program(conn: AsyncConnection, program: Program) -> bool:
    """Adds a program; false if the id is taken."""
    return (await conn.execute(_INSERT, _values(program))).rowcount == 1


async def update_program(conn: AsyncConnection, program: Program) -> None:
    """Writes everything of a program that may change."""
    await conn.execute(_UPDATE, _values(program))


def _values(program: Program) -> dict[str, Any]:
    policy = program.policy
    return {
        "program_id": program.program_id,
        "title": program.title,
        "currency_code": program.currency_code,
        "touch": int(policy.touch),
        "touch_window": policy.window,
        "binding": int(policy.binding),
        "bindable": int(policy.bindable),
        "enroll_buyers": policy.enroll_buyers,
        "default_sponsor_id": policy.default_sponsor_id,
        "credit_before_binding": int(policy.credit_before_binding),
        "allowed_hosts": list(program.allowed_hosts),
        "create_time": program.create_time,
        "update_time": program.update_time,
        "visitor_cookie": int(program.visitor_cookie),
    }


def _program(row: Row[Any]) -> Program:
    return Program(
        program_id=row.program_id,
        title=row.title,
        currency_code=row.currency_code,
        policy=Policy(
            touch=Touch(row.touch),
            window=row.touch_window,
            binding=Binding(row.binding),
            bindable=Bindable(row.bindable),
            enroll_buyers=row.enroll_buyers,
            default_sponsor_id=row.default_sponsor_id,
            credit_before_binding=CreditBeforeBinding(row.credit_before_binding),
        ),
        allowed_hosts=tuple(row.allowed_hosts),
        create_time=row.create_time,
        update_time=row.update_time,
        visitor_cookie=VisitorCookie(row.visitor_cookie),
    )
