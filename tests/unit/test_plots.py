"""Charts are well-formed, show what they are given where it belongs, and quote nothing as markup."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringwatch.evaluation.plots import HEIGHT, WIDTH, Line, _ticks, line_chart

SVG = "{http://www.w3.org/2000/svg}"
numbers = st.floats(-1e6, 1e6).map(lambda value: round(value, 3))


def _drawn(text: str) -> list[list[tuple[float, float]]]:
    lines = ET.fromstring(text).iter(f"{SVG}polyline")  # noqa: S314 (our own text)
    pairs = [[point.split(",") for point in line.attrib["points"].split()] for line in lines]
    return [[(float(x), float(y)) for x, y in points] for points in pairs]


def _texts(text: str) -> list[str]:
    return [one.text or "" for one in ET.fromstring(text).iter(f"{SVG}text")]  # noqa: S314 (our own text)


@given(st.lists(st.tuples(numbers, st.floats(-1, 2)), max_size=8), st.booleans())
def test_every_point_is_inside_and_higher_values_are_higher(points: list[tuple[float, float]], steps: bool) -> None:
    text = line_chart([Line("a", sorted(points), steps=steps)], title="t", x="x", y="y")
    drawn = _drawn(text)
    assert len(drawn) == (1 if points else 0)
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for line in drawn for x, y in line)
    assert text == line_chart([Line("a", sorted(points), steps=steps)], title="t", x="x", y="y")


@given(numbers, numbers)
def test_ticks_are_few_and_hold_the_ends(one: float, other: float) -> None:
    low, high = min(one, other), max(one, other)
    ticks = _ticks(low, high)
    assert 2 <= len(ticks) <= 8
    assert ticks[0] <= low + 1e-6 * abs(low) and high - 1e-6 * abs(high) <= ticks[-1]
    assert ticks == sorted(set(ticks))


def test_values_are_where_the_axes_say() -> None:
    (line,) = _drawn(line_chart([Line("a", [(0, 0.0), (5, 0.5), (10, 1.0)])], title="t", x="x", y="y"))
    (x0, y0), (x1, y1), (x2, y2) = line
    assert (x1, y1) == pytest.approx(((x0 + x2) / 2, (y0 + y2) / 2))
    assert x0 < x2 and y0 > y2


def test_steps_hold_a_value_until_the_next() -> None:
    (line,) = _drawn(line_chart([Line("a", [(0, 0.0), (10, 1.0)], steps=True)], title="t", x="x", y="y"))
    start, corner, end = line
    assert corner == (end[0], start[1])


def test_names_are_text_and_lines_without_points_are_not_there() -> None:
    text = line_chart([Line("<b>&", [(0, 1)]), Line("none", [])], title='"<script>"', x="<x>", y="y")
    assert {"<b>&", '"<script>"', "<x>", "y"} <= set(_texts(text))
    assert "none" not in _texts(text)
    assert "<script>" not in text
