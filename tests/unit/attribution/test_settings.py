"""The settings of the two processes of attribution, and those of a time when they were one."""

from typing import Any

import pytest
from pydantic import ValidationError

from chassis.process import main
from services.attribution.__main__ import AttributionService
from services.attribution.settings import AttributionSettings, RedirectSettings

REQUIRED: dict[str, Any] = {
    "database_url": "postgresql://nowhere/none",
    "nats_url": "nats://nowhere",
    "secret": "0123456789abcdef" * 2,
}


def test_the_port_of_the_redirect_is_refused_where_it_is_no_longer_served(monkeypatch: pytest.MonkeyPatch) -> None:
    """A deployment that hands it to the service of before would lose its links without a word."""
    for name, value in REQUIRED.items():
        monkeypatch.setenv(f"UPLINE_{name.upper()}", value)
    monkeypatch.setenv("UPLINE_REDIRECT_PORT", "7180")
    with pytest.raises(SystemExit, match=r"UPLINE_REDIRECT_PORT: .*python -m services\.attribution\.redirect_main"):
        main(AttributionService)


def test_the_port_belongs_to_the_redirect(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPLINE_REDIRECT_PORT", "7190")
    assert RedirectSettings(**REQUIRED).redirect_port == 7190
    with pytest.raises(ValidationError, match=r"take it away from `python -m services\.attribution`"):
        AttributionSettings(**REQUIRED)


def test_links_lead_to_the_usual_port_where_nothing_else_is_said() -> None:
    assert AttributionSettings(**REQUIRED).link_url == "http://127.0.0.1:7180"
    assert RedirectSettings(**REQUIRED).redirect_port == 7180
    named = AttributionSettings(**REQUIRED, public_url="https://go.shop.example/")
    assert named.link_url == "https://go.shop.example"
