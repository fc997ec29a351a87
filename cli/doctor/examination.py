"""All checks, in the order in which one would look."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from chassis.embedded.state import running_stack
from cli.connection import StackChoice, named_addresses
from cli.doctor.deployment import (
    check_broker,
    check_database,
    check_services,
    embedded_deployment,
    named_deployment,
)
from cli.doctor.machine import check_binaries, check_clock, check_packages, check_ports, check_python, check_state
from cli.doctor.result import CheckResult
from cli.stack.layout import ExternalServers


def check_stack(state: Path) -> list[CheckResult]:
    """Every check, in the order in which one would look: of the services that the environment names, else of the stack
    on `state` if one runs there. Changes nothing."""
    if addresses := named_addresses(StackChoice(state)):
        deployment = named_deployment(asdict(addresses), ExternalServers.from_environment())
        checks: list[Callable[[], list[CheckResult]]] = [
            check_python,
            check_packages,
            check_clock,
            lambda: check_services(deployment),
            lambda: check_broker(deployment),
            lambda: check_database(deployment),
        ]
        return [result for check in checks for result in check()]
    stack = running_stack(state)
    checks = [
        check_python,
        check_packages,
        check_binaries,
        lambda: check_state(state),
        lambda: check_ports(stack),
        check_clock,
    ]
    if stack is not None:
        deployment = embedded_deployment(stack, state)
        checks += [
            lambda: check_services(deployment),
            lambda: check_broker(deployment),
            lambda: check_database(deployment),
        ]
    return [result for check in checks for result in check()]
