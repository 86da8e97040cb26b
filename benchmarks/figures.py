"""A figure of a benchmark: what was measured, its value, what it is held to; one printed line, one row of a table."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Figure:
    """`value` in `unit`; `bound` with `sense` is what it is held to, `note` what else belongs to it."""

    name: str
    value: float
    unit: str = ""
    sense: Literal[">=", "<=", ""] = ""
    bound: float = math.nan
    note: str = ""

    @property
    def held(self) -> bool:
        """Whether the value keeps to its bound; true where it has none, false where it is not a number."""
        if not self.sense:
            return True
        return self.value >= self.bound if self.sense == ">=" else self.value <= self.bound

    def __str__(self) -> str:
        bound = f" ({self.sense} {_number(self.bound)}: {'held' if self.held else 'MISSED'})" if self.sense else ""
        note = f"  [{self.note}]" if self.note else ""
        return f"{self.name}: {_number(self.value)}{f' {self.unit}' if self.unit else ''}{bound}{note}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def spread(values: Sequence[float]) -> str:
    """Least and greatest of several, as a note."""
    return f"{len(values)} runs, {_number(min(values))} to {_number(max(values))}"


def mean(
    name: str, values: Sequence[float], *, at_least: float | None = None, at_most: float | None = None
) -> Figure:
    """The mean of several runs, with the spread in its note; held to one bound at most."""
    value = statistics.fmean(values)
    if at_least is not None:
        return Figure(name, value, "", ">=", at_least, spread(values))
    if at_most is not None:
        return Figure(name, value, "", "<=", at_most, spread(values))
    return Figure(name, value, note=spread(values))


def table(figures: Sequence[Figure]) -> str:
    """Figures as a Markdown table."""
    lines = ["| what | figure | held to | |", "|---|---|---|---|"]
    for figure in figures:
        bound = f"{figure.sense} {_number(figure.bound)}, {'held' if figure.held else '**missed**'}"
        value = f"{_number(figure.value)} {figure.unit}".strip()
        lines.append(f"| {figure.name} | {value} | {bound if figure.sense else ''} | {figure.note} |")
    return "\n".join(lines)
