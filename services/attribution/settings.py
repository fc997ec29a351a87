"""Settings of the two processes of the attribution service beyond the common ones."""

from pydantic import Field, field_validator

from chassis.settings import ServiceSettings

REDIRECT_PORT = 7180
"""The usual port of the redirect."""


class LinkSettings(ServiceSettings):
    """The settings on which the process that makes links and the one that leads visitors on have to agree."""

    public_url: str = Field(default="", pattern=r"^(https?://[^\s/?#@]+(/[^\s?#]*)?)?$")
    """Where visitors reach the redirect, without `/r/…`; the same for both processes. Empty for port 7180 of
    `UPLINE_HOST`."""


class AttributionSettings(LinkSettings):
    """The settings of `python -m services.attribution`."""

    redirect_port: None = None
    """Refused: until the redirect had a process of its own, it was a part of this one."""
    click_retention_days: int = Field(default=400, ge=31)
    """How many days clicks are kept, at least 31: longer than any window of a program that is meant to use them."""
    share_retention_days: int = Field(default=400, ge=31, le=36_500)
    """How many days each single share of a link or code is kept. How often somebody shared stays counted for ever."""

    @field_validator("redirect_port", mode="before")
    @classmethod
    def _not_here(cls, port: object) -> None:
        # Ignored, it would leave visitors at a closed door after an upgrade, and nobody would be told.
        if port is not None:
            raise ValueError(
                "links are followed by a process of their own: start `python -m services.attribution.redirect_main`"
                " with this setting, and take it away from `python -m services.attribution`"
            )

    @property
    def link_url(self) -> str:
        """The beginning of the address of every link."""
        return self.public_url.rstrip("/") or f"http://{self.host}:{REDIRECT_PORT}"


class RedirectSettings(LinkSettings):
    """The settings of `python -m services.attribution.redirect_main`."""

    redirect_port: int = Field(default=REDIRECT_PORT, ge=0, le=65535)
    """Port on which visitors are led on, by HTTP; 0 takes a free one."""
    trusted_proxies: int = Field(default=0, ge=0, le=10)
    """How many proxies stand before the redirect; so many last entries of X-Forwarded-For are believed."""
