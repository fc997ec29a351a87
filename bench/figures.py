"""Figures: how they are measured and printed."""

import json
import statistics
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured quantity with the spread of its samples; what it means is in bench/README.md."""

    name: str
    samples: tuple[float, ...]
    unit: str
    goal: str = ""
    """The value that the figure is expected to reach, for the table; nothing fails on it."""
    note: str = ""

    @property
    def value(self) -> float:
        """The median of the samples."""
        return statistics.median(self.samples)

    def line(self) -> str:
        """The figure as one JSON object."""
        figure = {
            "name": self.name,
            "value": _four_digits(self.value),
            "min": _four_digits(min(self.samples)),
            "max": _four_digits(max(self.samples)),
            "unit": self.unit,
        }
        return json.dumps(figure | ({"note": self.note} if self.note else {}))


def _four_digits(value: float) -> float:
    return float(f"{value:.4g}")


def ratios(numerators: Sequence[float], denominators: Sequence[float]) -> tuple[float, ...]:
    """The ratio of each pair."""
    return tuple(above / below for above, below in zip(numerators, denominators, strict=True))


async def interleaved(rounds: int, *sides: Callable[[int], Awaitable[float]]) -> tuple[list[float], ...]:
    """Runs each side once a round, in turn, after one round that does not count. Each gets the number of the round."""
    for side in sides:
        await side(0)
    samples: tuple[list[float], ...] = tuple([] for _ in sides)
    for number in range(1, rounds + 1):
        for index in range(len(sides)) if number % 2 else reversed(range(len(sides))):
            samples[index].append(await sides[index](number))
    return samples


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` of all do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
