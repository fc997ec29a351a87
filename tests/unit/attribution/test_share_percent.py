"""A share in its one spelling."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.attribution.domain.links import share_percent


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("", ""),
        ("0", "0"),
        ("000.000", "0"),
        ("50", "50"),
        ("050.0", "50"),
        ("33.3333", "33.3333"),
        ("0.000001", "0.000001"),
        ("100", "100"),
        ("100.000000", "100"),
    ],
)
def test_spelling(written: str, kept: str) -> None:
    assert share_percent(written) == kept


@pytest.mark.parametrize("written", ["100.000001", "101", "999.999999"])
def test_more_than_the_whole(written: str) -> None:
    with pytest.raises(ValueError, match="more than 100"):
        share_percent(written)


@given(st.decimals(0, 100, places=6))
def test_the_value_is_kept_and_the_spelling_is_stable(share: Decimal) -> None:
    kept = share_percent(f"{share:f}")
    assert Decimal(kept) == share
    assert share_percent(kept) == kept
