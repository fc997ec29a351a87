"""The environment of the service processes of `upline up`, and what of it is the caller's."""

import pytest

from cli.stack.services import service_environment


def test_only_settings_of_logging_and_retention_are_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = {"UPLINE_LOG_LEVEL": "debug", "UPLINE_CLICK_RETENTION_DAYS": "90", "UPLINE_NOTIFY_RETENTION_DAYS": "365"}
    for name, value in (kept | {"UPLINE_DATABASE_URL": "postgresql://somebody-elses", "UPLINE_PORT": "1"}).items():
        monkeypatch.setenv(name, value)
    made = service_environment({"UPLINE_PORT": "7103"})
    wanted = kept | {"UPLINE_PORT": "7103"}
    assert {name: value for name, value in made.items() if name in wanted or name == "UPLINE_DATABASE_URL"} == wanted
