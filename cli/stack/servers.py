"""The servers beneath the services: embedded ones, or those that run elsewhere."""

from sqlalchemy import make_url

from chassis.embedded.nats import Nats
from chassis.embedded.postgres import Postgres
from chassis.embedded.state import StateDirectory
from chassis.file_clock import CLUSTER_NAME
from cli.stack.layout import ExternalServers


class StackServers:
    """PostgreSQL and NATS of one stack, with the secrets that its services share."""

    def __init__(self, state: StateDirectory, external: ExternalServers, *, for_tests: bool) -> None:
        self._external = external
        self._secrets = state.secrets()
        settings = {"cluster_name": CLUSTER_NAME} if for_tests else {}
        self.postgres = None if external.database_url else Postgres(state, settings)
        self.nats = None if external.nats_url else Nats(state)

    @property
    def database_url(self) -> str:
        """The URL of PostgreSQL, as its owner; it holds a password."""
        return self.postgres.url if self.postgres else self._external.database_url

    @property
    def nats_url(self) -> str:
        """The URL of NATS; it holds a password."""
        return self.nats.url if self.nats else self._external.nats_url

    @property
    def nats_monitor_url(self) -> str:
        """The address of the broker's monitor; empty where nobody named it."""
        return self.nats.monitor_url if self.nats else self._external.nats_monitor_url

    @property
    def role_password(self) -> str:
        """The password of the services' database roles."""
        return self._external.role_password or self._secrets.role_password

    @property
    def secret(self) -> str:
        """The secret of the installation."""
        return self._external.secret or self._secrets.secret

    def urls_without_passwords(self) -> dict[str, str]:
        """The URLs of both servers for people."""
        return {
            "postgresql": make_url(self.database_url).render_as_string(hide_password=True),
            "nats": make_url(self.nats_url).render_as_string(hide_password=True),
        }

    def published(self) -> dict[str, object]:
        """The facts that operators' commands look at; passwords stay in the secrets file."""
        return {
            "postgres_port": self.postgres.port if self.postgres else 0,
            "nats_port": self.nats.port if self.nats else 0,
            "nats_monitor_url": self.nats_monitor_url,
        }
