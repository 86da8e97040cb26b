"""The least loss is found, from wherever it begins, of dense and of sparse rows, however often each counts."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.special import expit

from ringwatch.graphs.logistic import ridge_logistic

RNG = np.random.default_rng(5)
X = np.column_stack([np.ones(200), RNG.normal(size=(200, 3)) * (1, 5, 0.1)])
TARGET = expit(X @ [-2.0, 1.0, 0.5, 4.0] + RNG.normal(size=200))
RIDGE, START = np.array([0.0, 2.0, 30.0, 0.5]), np.array([0.0, 3.0, -1.0, 0.0])
COUNT, OFFSET = RNG.integers(1, 4, 200).astype(np.float64), RNG.normal(size=200)


def test_the_loss_falls_no_further() -> None:
    weight = ridge_logistic(X, TARGET, RIDGE, start=START, count=COUNT, offset=OFFSET)
    slope = X.T @ (COUNT * (expit(X @ weight + OFFSET) - TARGET)) + RIDGE * (weight - START)
    assert slope == pytest.approx(np.zeros(4), abs=1e-8)


def test_sparse_rows_and_rows_written_out_as_often_as_they_count_give_the_same() -> None:
    weight = ridge_logistic(X, TARGET, RIDGE, count=COUNT)
    assert ridge_logistic(sp.csr_array(X), TARGET, RIDGE, count=COUNT) == pytest.approx(weight)
    often = np.repeat(np.arange(200), COUNT.astype(np.int64))
    assert ridge_logistic(X[often], TARGET[often], RIDGE) == pytest.approx(weight)


def test_rows_that_can_be_told_apart_wholly_and_a_ridge_that_gives_no_way() -> None:
    apart = (X[:, 1] > 0).astype(np.float64)
    assert np.isfinite(ridge_logistic(X[:, 1:2], apart, np.array([1e-9]))).all()
    held = ridge_logistic(X, apart, np.full(4, 1e9), start=START)
    assert held == pytest.approx(START, abs=1e-5)
