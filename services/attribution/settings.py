"""The settings of the attribution service beyond the common ones."""

from pydantic import Field

from chassis.settings import ServiceSettings


class AttributionSettings(ServiceSettings):
    """Read from `UPLINE_*` like the others."""

    public_url: str = Field(default="", pattern=r"^(https?://[^\s/?#@]+(/[^\s?#]*)?)?$")
    """Where visitors reach the redirect, without `/r/…`; empty for the address that the redirect listens on."""
    redirect_port: int = Field(default=0, ge=0, le=65535)
    """Port of the HTTP redirect; 0 takes a free one."""
    trusted_proxies: int = Field(default=0, ge=0, le=10)
    """How many proxies stand before the redirect; so many last entries of X-Forwarded-For are believed."""
    click_retention_days: int = Field(default=400, ge=31)
    """How many days clicks are kept, at least 31: longer than any window of a program that is meant to use them."""
    share_retention_days: int = Field(default=400, ge=31, le=36_500)
    """How many days each single share of a link or code is kept. How often somebody shared stays counted for ever."""
