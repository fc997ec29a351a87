"""The processes of a stack, and the addresses at which they answer."""

import os
import socket
from dataclasses import dataclass, field, replace
from typing import Any

from chassis.embedded.state import free_port
from cli.stack.errors import PortTaken

SERVICES = ("attribution", "rewards", "notify")
DEFAULT_PORTS = {"attribution": 7101, "rewards": 7102, "notify": 7103, "redirect": 7180}
REDIRECT = "redirect"
"""The process of attribution that leads visitors on; what other processes do is named like their service."""
SCALED = ("attribution", "rewards", REDIRECT)
"""The kinds of processes that `--workers` multiplies: intake, payout and visits. One notify keeps up with all."""


MAX_PORT = 65_535


@dataclass(frozen=True, slots=True)
class ExternalServers:
    """Servers that run elsewhere; what is empty here is started embedded."""

    database_url: str = ""
    nats_url: str = ""
    nats_monitor_url: str = ""
    role_password: str = ""
    secret: str = ""
    payout_webhook_url: str = ""
    payout_webhook_secret: str = ""
    payout_webhook_methods: str = ""

    @classmethod
    def from_environment(cls) -> "ExternalServers":
        """The servers that the environment names, by the same `UPLINE_*` variables as the services read."""
        return cls(**{name: os.environ.get(f"UPLINE_{name.upper()}", "") for name in cls.__dataclass_fields__})

    def missing(self) -> list[str]:
        """Variables that an external database needs and that are not set: events of a database belong on one broker,
        and its roles and click tokens to all processes that use it."""
        wanted = ("nats_url", "role_password", "secret") if self.database_url else ()
        return [f"UPLINE_{name.upper()}" for name in wanted if not getattr(self, name)]


@dataclass(frozen=True, slots=True)
class Layout:
    """Ports and numbers of processes. Port 0 takes a free one."""

    host: str = "127.0.0.1"
    ports: dict[str, int] = field(default_factory=lambda: dict(DEFAULT_PORTS))
    workers: int = 1
    external: ExternalServers = field(default_factory=ExternalServers)
    metrics_port: int = 0
    """The first process publishes its metrics here, each further one a port higher; 0 for none."""
    with_redirect: bool = True
    """Whether visitors are led on."""

    def resolve(self) -> "Layout":
        """The layout with every port chosen. Raises PortTaken, naming the option that changes it."""
        chosen: dict[str, int] = {}
        for name, port in self.ports.items():
            if port and port in chosen.values():
                raise PortTaken(f"port {port} is asked for twice; change it with --{name}-port")
            if port:
                refuse_taken(self.host, port, f"--{name}-port")
            chosen[name] = port or _free_port_besides(set(chosen.values()))
        for name, port in self.metrics_ports().items():
            if port > MAX_PORT:
                raise PortTaken(f"the metrics of {name} would need port {port}; choose a lower --metrics-port")
            if port in chosen.values():
                raise PortTaken(
                    f"port {port} is asked for twice, once for the metrics of {name}; choose another --metrics-port"
                )
            refuse_taken(self.host, port, "--metrics-port")
        return replace(self, ports=chosen)

    def addresses(self) -> dict[str, str]:
        """The address, `host:port`, of each service."""
        return {name: f"{self.host}:{self.ports[name]}" for name in SERVICES}

    @property
    def redirect_url(self) -> str:
        """The address to which links lead."""
        return f"http://{self.host}:{self.ports['redirect']}"

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of processes: one for each service, and the redirect."""
        return (*SERVICES, REDIRECT) if self.with_redirect else SERVICES

    def processes(self) -> list[tuple[str, str]]:
        """The name and the kind of every process."""
        return [
            (kind if count == 1 else f"{kind}-{number}", kind)
            for kind in self.kinds
            for count in [self.workers if kind in SCALED else 1]
            for number in range(1, count + 1)
        ]

    def metrics_ports(self) -> dict[str, int]:
        """The port of each process' metrics, by the process' name; empty where none are published."""
        if not self.metrics_port:
            return {}
        return {name: self.metrics_port + number for number, (name, _) in enumerate(self.processes())}

    def published(self) -> dict[str, Any]:
        """The facts that other commands read in the state directory."""
        return {
            "services": self.addresses(),
            "redirect_url": self.redirect_url if self.with_redirect else "",
            "metrics_ports": self.metrics_ports(),
            "pid": os.getpid(),
        }


def ephemeral_layout(external: ExternalServers) -> Layout:
    """The layout of a stack that must not be in anybody's way: every port is a free one. It lives for one command, and
    no visitor comes in that time."""
    return Layout(ports=dict.fromkeys(DEFAULT_PORTS, 0), external=external, with_redirect=False).resolve()


def refuse_taken(host: str, port: int, option: str) -> None:
    """Raises PortTaken if the port cannot be had alone.

    Workers share a port by SO_REUSEPORT, under which a second stack would get half of the first one's calls without any
    error: so the port is tried here without that option first.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # what is left of closed connections is nobody's
        try:
            probe.bind((host, port))
        except OSError as error:
            raise PortTaken(
                f"port {port} of {host} is taken by another program; choose another with {option}"
            ) from error


def _free_port_besides(taken: set[int]) -> int:
    while (port := free_port()) in taken:
        pass
    return port
