"""Sorted arrays as runs: where each begins and how far into it a value stands, nothing of nothing."""

from __future__ import annotations

import numpy as np

from ringwatch.graphs.ordered import first_of_run, places, starts


def test_runs_of_equal_values() -> None:
    values = np.array([3, 3, 5, 9, 9, 9])
    assert starts(values).tolist() == [0, 2, 3]
    assert places(values).tolist() == [0, 1, 0, 0, 1, 2]
    assert values[first_of_run(values)].tolist() == [3, 5, 9]


def test_of_nothing_there_is_no_run() -> None:
    assert [len(of(np.zeros(0))) for of in (starts, places, first_of_run)] == [0, 0, 0]
