"""Sorted arrays as runs of equal values; `np.unique` would sort again, or hash."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ringwatch.graphs.accounts import BoolArray, IntArray


def first_of_run(values: npt.NDArray[Any]) -> BoolArray:
    """Which of `values` are not what stands before them."""
    new = np.ones(len(values), dtype=np.bool_)
    np.not_equal(values[1:], values[:-1], out=new[1:])
    return new


def starts(values: npt.NDArray[Any]) -> IntArray:
    """Where each run begins; int64[runs]."""
    return np.flatnonzero(first_of_run(values))


def places(values: npt.NDArray[Any]) -> IntArray:
    """How many of its run stand before each; int64[values]."""
    begin = starts(values)
    return np.arange(len(values)) - np.repeat(begin, np.diff(np.append(begin, len(values))))
