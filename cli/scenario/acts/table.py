"""A function for each kind of step, by the shape that says what is to be done."""

from collections.abc import Awaitable, Callable
from typing import Any

from cli.scenario.run import ScenarioRun

Acts = dict[type, Callable[[ScenarioRun, Any], Awaitable[None]]]
