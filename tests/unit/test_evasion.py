"""Curves are means of worlds, worlds come out the same again, and knobs are those of the simulator."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from ringwatch.data import Tactics
from ringwatch.errors import UsageError
from ringwatch.evaluation import evasion
from ringwatch.evaluation.evasion import KNOBS, Evasion, Point, Quality, evade, evasion_charts
from ringwatch.metrics import Stopwatch


def _point(knob: str, level: float, seed: int, found: float | None) -> Point:
    ours = Quality(found, None if found is None else found / 0.8, 1.0)
    return Point(knob, level, seed, 0.8, ours, Quality(0.2, 0.25, None))


POINTS = (
    _point("hidden", 0.0, 1, 0.8), _point("hidden", 0.0, 2, 0.4), _point("hidden", 0.5, 1, 0.2),
    _point("hidden", 0.5, 2, None), _point("cell", 0, 1, 0.6), _point("cell", 4, 1, 0.3),
)  # fmt: skip


def test_a_curve_is_the_mean_of_its_worlds_as_far_as_they_are_defined() -> None:
    document = Evasion(POINTS).document()
    assert [(one["knob"], one["level"], one["ours_ratio"]) for one in document["curves"]] == [
        ("hidden", 0.0, 0.75), ("hidden", 0.5, 0.25), ("cell", 0.0, 0.75), ("cell", 4.0, 0.375),
    ]  # fmt: skip
    assert {one["peer_precision_at_k"] for one in document["curves"]} == {None}
    assert len(document["worlds"]) == len(POINTS)
    assert document["worlds"][3]["ours_recovery"] is None


def test_a_chart_a_knob_with_the_peer_beside() -> None:
    charts = dict(evasion_charts(Evasion(POINTS)))
    assert list(charts) == ["hidden", "cell"]
    for chart in charts.values():
        assert chart.count("<polyline") == 3, "a line without a point is not drawn"
        assert "Leiden: recovery" in chart
    assert "cells per member" in charts["cell"]


def test_knobs_are_tactics_that_hide_more_and_more() -> None:
    names = {field.name for field in fields(Tactics)}
    assert set(KNOBS) == names, "every tactic has a curve"
    for knob, levels in KNOBS.items():
        effort = [1 / level if level else 0 for level in levels] if knob == "cell" else list(levels)
        assert effort == sorted(set(effort)) and levels[0] == 0, knob


def test_the_same_seed_gives_the_same_figures_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(KNOBS, "hidden", (0.35, 0.7))
    monkeypatch.setitem(KNOBS, "dilution", (0.25,))
    watch = Stopwatch()
    one = evade(["hidden", "dilution"], tmp_path / "new", seeds=[303], accounts=400, watch=watch)
    other = evade(["hidden"], tmp_path / "new", seeds=[303], accounts=400, watch=Stopwatch())
    assert list((tmp_path / "new").iterdir()) == []
    assert one.points[:2] == other.points
    base, _, again = one.points
    assert (base.attainable, base.ours, base.peer) == (again.attainable, again.ours, again.peer)
    assert len(watch.stages) == 2, "the preset as it is is one world, whichever knob stands there"
    assert one.points[0].attainable is not None and one.points[1].attainable is not None
    assert one.points[0].attainable > one.points[1].attainable


def test_an_unknown_knob_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="luck"):
        evade(["hidden", "luck"], tmp_path / "new", seeds=[1], watch=Stopwatch())
    assert not (tmp_path / "new").exists()
    assert evasion.BASE == "medium"
