"""How each kind of step is done: one function for each shape."""

from collections.abc import Awaitable, Callable
from typing import Any

from cli.scenario.run import ScenarioRun

Acts = dict[type, Callable[[ScenarioRun, Any], Awaitable[None]]]
