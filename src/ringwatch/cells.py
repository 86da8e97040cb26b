"""Figures as the cells of a table, at every door the same."""

from __future__ import annotations

from typing import Protocol


class Interval(Protocol):
    """A figure with its interval; all three are None where it is undefined, the ends where it has none."""

    @property
    def value(self) -> float | None: ...
    @property
    def low(self) -> float | None: ...
    @property
    def high(self) -> float | None: ...


def number(value: float | None, digits: int = 3) -> str:
    """A figure of a table; a dash where it is undefined."""
    return "–" if value is None else f"{value:.{digits}f}"


def interval(figure: Interval, digits: int = 3) -> tuple[str, str]:
    """A figure and its 95 % interval, as two cells."""
    if figure.low is None and figure.high is None:
        return number(figure.value, digits), ""
    return number(figure.value, digits), f"{number(figure.low, digits)} to {number(figure.high, digits)}"
