"""How each kind of step is done: one function for each shape."""

from collections.abc import Awaitable, Callable
from typing import Any

from cli.scenario.world import World

Acts = dict[type, Callable[[World, Any], Awaitable[None]]]
