"""Settings of a service process, read from `UPLINE_*` environment variables once, at the composition root."""

from ipaddress import ip_address
from pathlib import Path

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

MIN_SECRET_CHARACTERS = 32
"""The least length of the secret: 256 bits in base 64 are 43 characters, and fewer than 32 characters cannot hold 128
bits of hex."""


class ServiceSettings(BaseSettings):
    """The settings that all services have. Every field is read from `UPLINE_` + its name in upper case."""

    model_config = SettingsConfigDict(env_prefix="UPLINE_", extra="ignore", hide_input_in_errors=True)

    database_url: str
    """The database: `postgresql://upline_<service>:password@host:port/database`, with the service's own role."""
    nats_url: str
    """The broker: `nats://[user:password@]host:port`."""
    nats_monitor_url: str = ""
    """`http://host:port` of the broker's monitor. With it, readiness asserts `sync_interval: always`."""
    secret: SecretStr = Field(min_length=MIN_SECRET_CHARACTERS)
    """The key behind click tokens, page tokens and hashes of personal data; the same for all processes, and at
    least 32 characters. With another one, the click tokens that are out there are worthless."""
    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = Field(default=0, ge=0, le=65535)
    """Port of the gRPC server; 0 takes a free one."""
    allow_plaintext: bool = False
    """Permits plain text on an address other than loopback (a private network that encrypts by itself)."""
    reuse_port: bool = False
    """Lets several processes of one service share the port. Off, so that a second stack fails loudly."""
    metrics_port: int = Field(default=0, ge=0, le=65535)
    """Port of the Prometheus endpoint; 0 for none."""
    log_json: bool = False
    """Logs one JSON object a line instead of text for people."""
    log_level: str = "info"
    """The least that is logged: debug, info, warning or error. Libraries log warnings and errors only."""
    request_retention_days: int = Field(default=400, ge=30, le=36_500)
    """How many days the answers to calls are kept, at least 30: so long a call that is repeated under its `request_id`
    gets the first answer again. The same for all processes of a service."""
    test_clock_file: Path | None = None
    """The file that says what time it is; set by `upline scenario` only (chassis/file_clock.py). Refused on any address
    but loopback, and on any database but that of a stack for tests."""

    @field_validator("test_clock_file")
    @classmethod
    def _only_on_loopback(cls, file: Path | None, info: ValidationInfo) -> Path | None:
        if file is not None and not _is_loopback(info.data.get("host", "")):
            raise ValueError("time can be moved only where UPLINE_HOST is a loopback address")
        return file


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
