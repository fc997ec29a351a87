"""Errors in logs tell the fault, and nothing of the data that was being written."""

import ast
import asyncio
import json
import logging
import threading
from pathlib import Path

import psycopg
import pytest
import structlog
from pydantic import BaseModel, SecretStr, ValidationError
from sqlalchemy.exc import DBAPIError

from chassis import telemetry
from chassis.faults import describe, describe_with_kind, trace
from chassis.settings import ServiceSettings

CARD = "4000001234567899"
ROOT = Path(__file__).resolve().parents[3]


def refused() -> DBAPIError:
    """A row that was refused, as SQLAlchemy tells it."""
    detail = (
        f'new row violates a rule\nDETAIL:  Failing row contains ({CARD}).\nCONTEXT:  COPY payout, line 1: "{CARD}"'
    )
    original = psycopg.errors.CheckViolation(detail)
    return DBAPIError("INSERT INTO payout VALUES (%(destination)s)", {"destination": CARD}, original)


def raised(error: BaseException) -> BaseException:
    """The error with a traceback, raised while another was handled."""
    try:
        try:
            raise refused()
        except DBAPIError:
            raise error  # noqa: B904 - the context is what is looked at
    except BaseException as found:
        return found


def test_a_refused_row_is_told_without_the_row() -> None:
    assert describe(refused()) == "CheckViolation: new row violates a rule"
    assert describe_with_kind(ValueError("x")) == "ValueError: x"
    assert describe(TimeoutError()) == "TimeoutError"


def test_the_errors_before_it_are_told_in_the_same_way() -> None:
    text = trace(raised(ValueError("gives up")))
    assert CARD not in text
    assert "INSERT" not in text
    assert text.count("Traceback (most recent call last):") == 2
    assert text.index("CheckViolation: new row violates a rule") < text.index("ValueError: gives up")


def test_a_group_tells_its_parts() -> None:
    text = trace(ExceptionGroup("several", [refused(), ValueError("one")]))
    assert CARD not in text
    assert "CheckViolation: new row violates a rule" in text
    assert "ValueError: one" in text


def test_settings_are_told_without_what_was_given() -> None:
    class Numbers(BaseModel):
        card: int

    with pytest.raises(ValidationError) as found:
        Numbers.model_validate({"card": f"{CARD}x"})
    assert CARD in str(found.value)
    assert CARD not in describe(found.value)
    assert describe(found.value).startswith("ValidationError: card: ")


@pytest.fixture
def settings() -> ServiceSettings:
    return ServiceSettings(
        database_url="postgresql://nobody@nowhere/x",
        nats_url="nats://nowhere",
        secret=SecretStr("x" * 32),
        log_json=True,
    )


async def test_every_line_names_its_service(
    settings: ServiceSettings, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    kept = structlog.get_config()
    # The services of the suite that run in this process keep what they have.
    monkeypatch.setattr(telemetry, "_library_handlers", [])
    telemetry.configure(settings, "rewards")
    try:
        log = structlog.get_logger("of-this-test")
        thread = threading.Thread(target=log.warning, args=("in a thread",))
        thread.start()
        thread.join()
        await asyncio.create_task(_warn(log))
        logging.getLogger("aiohttp.access").info("GET /r/p/link?token=%s", CARD)
        logging.getLogger("nats.aio.client").error("a library stumbles", exc_info=refused())
        telemetry.report_unretrieved(asyncio.get_running_loop(), {"message": "never retrieved", "exception": refused()})
        log.error("internal error", error=refused(), exc_info=raised(ValueError("gives up")))
    finally:
        for handler in telemetry._library_handlers:
            logging.getLogger().removeHandler(handler)
        structlog.configure(**kept)
    lines = [json.loads(each) for each in capfd.readouterr().err.splitlines() if each.startswith("{")]
    assert [each["event"] for each in lines] == [
        "in a thread",
        "in a task",
        "a library stumbles",
        "error that nobody awaited",
        "internal error",
    ]
    assert {each["service"] for each in lines} == {"rewards"}
    assert CARD not in json.dumps(lines)
    assert "INSERT" not in json.dumps(lines)
    assert lines[4]["error"] == "CheckViolation: new row violates a rule"


async def _warn(log: structlog.stdlib.BoundLogger) -> None:
    log.warning("in a task")


def test_no_log_line_is_given_the_text_of_an_error() -> None:
    """The text holds rows and statements; the error itself is told by the processors."""
    found = []
    for file in [*ROOT.glob("chassis/**/*.py"), *ROOT.glob("services/**/*.py")]:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("log."):
                texts = [ast.unparse(each) for each in [*node.args, *(word.value for word in node.keywords)]]
                found += [
                    f"{file.relative_to(ROOT)}:{node.lineno}" for text in texts if "str(" in text or "repr(" in text
                ]
                found += [
                    f"{file.relative_to(ROOT)}:{node.lineno}"
                    for text in texts
                    for name in ("error", "fault")
                    if f"{{{name}" in text
                ]
    assert found == []
