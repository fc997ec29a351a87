"""Amounts for people."""

import pytest

from cli.output import format_amount


@pytest.mark.parametrize(
    ("minor", "digits", "text"),
    [
        (0, 2, "0.00 USD"),
        (5, 2, "0.05 USD"),
        (123_456_789, 2, "1 234 567.89 USD"),
        (-7, 2, "-0.07 USD"),
        (1_000, 0, "1 000 USD"),
        (1, 6, "0.000001 USD"),
    ],
)
def test_amounts(minor: int, digits: int, text: str) -> None:
    assert format_amount(minor, digits, "USD") == text
