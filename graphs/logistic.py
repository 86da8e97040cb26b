"""Logistic regression with a ridge, by Newton steps (iteratively reweighted least squares)."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from scipy.special import expit

from ringwatch.graphs.accounts import FloatArray

STEPS = 50
LEAST_GAIN = 1e-12
"""A step that promises a smaller share of the loss is the last."""


def ridge_logistic(
    x: FloatArray | sp.csr_array,
    target: FloatArray,
    ridge: FloatArray,
    *,
    start: FloatArray | None = None,
    count: FloatArray | float = 1.0,
    offset: FloatArray | float = 0.0,
) -> FloatArray:
    """The weights of least loss of log odds x · weights + `offset`; float64[columns].

    Args:
        x: float64[rows, columns]. target: float64[rows], in [0, 1]. ridge: float64[columns], how many rows `start`
            weighs, the weights that it draws to (none: 0). count: how often each row counts.
    """
    weight = begin = np.zeros(x.shape[1]) if start is None else start

    def loss(weight: FloatArray) -> float:
        z = x @ weight + offset
        return float(np.sum(count * (np.logaddexp(0, z) - target * z)) + np.sum(ridge * (weight - begin) ** 2) / 2)

    least = loss(weight)
    for _ in range(STEPS):
        p = expit(x @ weight + offset)
        slope = x.T @ (count * (p - target)) + ridge * (weight - begin)
        step = np.linalg.solve(curvature(x, count * p * (1 - p), ridge), slope)
        if slope @ step <= LEAST_GAIN * least:
            return np.asarray(weight - step)
        while (now := loss(weight - step)) > least:
            step = step / 2
        weight, least = weight - step, now
    return weight


def curvature(x: FloatArray | sp.csr_array, spread: FloatArray, ridge: FloatArray) -> FloatArray:
    """Second derivatives of the loss, float64[columns, columns]; `spread`: p (1 − p) of each row, as often as it
    counts."""
    bend = x.T @ (x * np.maximum(spread, 1e-6)[:, None])
    return np.asarray((bend.toarray() if sp.issparse(bend) else bend) + np.diag(ridge))
