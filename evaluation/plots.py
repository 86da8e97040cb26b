"""Line charts as SVG: shares from 0 to 1 against anything. The same lines give the same bytes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

WIDTH, HEIGHT = 640, 360
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 176, 36, 48
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""Okabe and Ito's palette: apart for colour-blind readers as well."""

_TICKS = 5


@dataclass(frozen=True)
class Line:
    """Points of one line, from left to right. `dashed` for what is only compared with; `steps` holds each value until
    the next."""

    name: str
    points: Sequence[tuple[float, float]]
    dashed: bool = False
    steps: bool = False


def line_chart(lines: Sequence[Line], *, title: str, x: str, y: str) -> str:
    """An SVG document with a line for each of `lines` that has points, a legend, and y from 0 to 1."""
    lines = [line for line in lines if line.points]
    places = [point[0] for line in lines for point in line.points]
    ticks = _ticks(min(places, default=0.0), max(places, default=1.0))
    low, high = ticks[0], ticks[-1]
    right, bottom = WIDTH - _RIGHT, HEIGHT - _BOTTOM

    def across(value: float) -> float:
        return _LEFT + (value - low) / (high - low) * (right - _LEFT)

    def up(value: float) -> float:
        return bottom - value * (bottom - _TOP)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        'font-family="sans-serif" font-size="12">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        _text((_LEFT + right) / 2, _TOP - 14, title, "middle", weight="bold"),
        _text((_LEFT + right) / 2, HEIGHT - 10, x, "middle"),
        f'<text x="16" y="{(_TOP + bottom) / 2:g}" text-anchor="middle" '
        f'transform="rotate(-90 16 {(_TOP + bottom) / 2:g})">{escape(y)}</text>',
    ]
    for at in range(_TICKS + 1):
        value = at / _TICKS
        parts += [_rule(_LEFT, up(value), right, up(value)), _text(_LEFT - 6, up(value) + 4, f"{value:g}", "end")]
    for value in ticks:
        parts += [
            _rule(across(value), bottom, across(value), bottom + 4),
            _text(across(value), bottom + 17, f"{value:g}"),
        ]
    for number, line in enumerate(lines):
        colour = _COLOURS[number % len(_COLOURS)]
        points = [(across(where), up(min(max(value, 0.0), 1.0))) for where, value in line.points]
        dash = ' stroke-dasharray="5 4"' if line.dashed else ""
        drawn = " ".join(f"{a:.1f},{b:.1f}" for a, b in (_stairs(points) if line.steps else points))
        parts.append(f'<polyline points="{drawn}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>')
        if not line.steps and not line.dashed:
            parts += [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3" fill="{colour}"/>' for a, b in points]
        key = _TOP + 8 + 18 * number
        parts += [
            f'<line x1="{right + 12}" y1="{key}" x2="{right + 32}" y2="{key}" stroke="{colour}" '
            f'stroke-width="2"{dash}/>',
            _text(right + 38, key + 4, line.name, "start"),
        ]
    return "\n".join([*parts, "</svg>\n"])


def _ticks(low: float, high: float) -> list[float]:
    """Some five round numbers, the first not above `low`, the last not below `high`."""
    span = (high - low) or abs(high) or 1.0
    rough = span / _TICKS
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * factor for factor in (1, 2, 2.5, 5, 10) if unit * factor >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(number * step, 10) for number in range(first, max(last, first + 1) + 1)]


def _stairs(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Goes right first, then up or down."""
    corners = [point for (_, level), new in pairwise(points) for point in ((new[0], level), new)]
    return [points[0], *corners]


def _rule(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="#ccc"/>'


def _text(x: float, y: float, text: str, anchor: str = "middle", *, weight: str = "normal") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}">{escape(text)}</text>'
