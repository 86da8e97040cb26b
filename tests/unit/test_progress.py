"""How far a long work is: a bar on a terminal, lines elsewhere, nothing where quiet is asked for."""

from __future__ import annotations

import io
import sys

import pytest

from ringwatch.metrics import BAR, Stopwatch


class _Stream(io.StringIO):
    def __init__(self, *, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


def _said(monkeypatch: pytest.MonkeyPatch, *, terminal: bool, quiet: bool = False) -> str:
    stream = _Stream(terminal=terminal)
    monkeypatch.setattr(sys, "stderr", stream)
    watch = Stopwatch(quiet=quiet)
    watch.progress(0, 4)
    with watch.stage("fit"):
        watch.progress(1, 4)
    watch.progress(4, 4)
    return stream.getvalue()


def test_a_terminal_has_a_bar_that_fills_and_ends_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    said = _said(monkeypatch, terminal=True)
    assert f"[{'.' * BAR}] 0/4" in said
    assert said.endswith(f"[{'#' * BAR}] 4/4\n")
    assert "\nstage=fit" not in said, "a stage's line takes the place of the bar"


def test_elsewhere_there_are_lines_without_control_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    said = _said(monkeypatch, terminal=False)
    assert said.startswith("done=0 of=4 seconds=")
    assert "\033" not in said
    assert "\r" not in said


def test_quiet_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _said(monkeypatch, terminal=True, quiet=True) == ""
