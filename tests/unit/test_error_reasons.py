"""The reference of errors has every reason that a caller can meet."""

import ast
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def generator(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The generator of the reference, a script that lies beside others."""
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[2] / "tools"))
    return import_module("generate_api")


def reason(generator: Any, source: str) -> tuple[str, str] | None:
    """The code and reason that it reads in a call."""
    found: tuple[str, str] | None = generator.reason_in(ast.parse(source, mode="eval").body)
    return found


def test_reasons_of_every_constructor_are_found(generator: Any) -> None:
    assert reason(generator, 'PreconditionError("PAYOUT_ENDED", _standing(payout))') == (
        "FAILED_PRECONDITION",
        "PAYOUT_ENDED",
    )
    assert reason(generator, 'resource_exhausted("TOO_MANY", "so many")') == ("RESOURCE_EXHAUSTED", "TOO_MANY")


@pytest.mark.parametrize("stated", ['f"{kind.name}_EXISTS"', '"ONE" if zero else "OTHER"'])
def test_a_reason_that_is_put_together_would_be_missed_and_is_not_taken(generator: Any, stated: str) -> None:
    with pytest.raises(SystemExit, match="write each reason out"):
        reason(generator, f'already_exists({stated}, "is another")')


def test_what_once_was_missed_is_there(generator: Any) -> None:
    once_missed = {
        "AMOUNT_TOO_LARGE",
        "GIFT_EXISTS",
        "PAYOUT_NOT_FAILED",
        "ROUNDS_TO_ZERO",
        "TOO_MANY_WATCHES_OF_INBOX",
    }
    assert once_missed <= set(generator.reasons_in_code())
