"""Logistic regression, without a graph; and belief propagation, which is one on two columns."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.special import expit

from ringwatch.gnn.features import standardise
from ringwatch.gnn.graph import Float32, FloatArray
from ringwatch.gnn.models.base import Arrays, load_arrays, save_arrays, scaled
from ringwatch.gnn.neighbours import BELIEF
from ringwatch.gnn.task import Task, View, columns

RIDGE = 1.0
"""Penalty on squared weights, in accounts."""


def ridge_logistic(
    x: Float32, target: FloatArray, weight: FloatArray, offset: FloatArray, *, ridge: float = RIDGE
) -> tuple[FloatArray, float]:
    """Weights and intercept of a logistic regression on top of `offset`, for targets in [0, 1]."""
    wide = x.astype(np.float64)

    def loss(theta: FloatArray) -> tuple[float, FloatArray]:
        z = wide @ theta[:-1] + theta[-1] + offset
        gap = weight * (expit(z) - target)
        value = (weight * (np.logaddexp(0, z) - target * z)).sum() + ridge / 2 * (theta[:-1] ** 2).sum()
        return float(value), np.append(wide.T @ gap + ridge * theta[:-1], gap.sum())

    from scipy.optimize import minimize

    found = minimize(loss, np.zeros(x.shape[1] + 1), jac=True, method="L-BFGS-B", options={"maxiter": 300})
    return np.asarray(found.x[:-1]), float(found.x[-1])


@dataclass(frozen=True)
class FittedLogistic:
    names: tuple[str, ...]
    mean: Float32
    spread: Float32
    weight: FloatArray
    intercept: float

    def score(self, view: View) -> FloatArray:
        x = scaled(columns(view.blocks, self.names), self.mean, self.spread)
        return np.asarray(x @ self.weight + self.intercept, dtype=np.float64)

    def save(self, place: Path) -> None:
        arrays: Arrays = {"mean": self.mean, "spread": self.spread, "weight": self.weight}
        save_arrays(place, arrays, {"names": list(self.names), "intercept": self.intercept})


class Logistic:
    """Logistic regression on an account's own rows; no neighbour, no evidence."""

    name = "logistic"
    needs_torch = False

    def fit(self, task: Task, *, device: str = "cpu") -> FittedLogistic:
        del device
        own = task.blocks[0]
        mean, deviation = standardise(own.values)
        rows = np.unique(np.concatenate([one.rows for one in task.rounds]))
        x = scaled(own.values[rows], mean, deviation)
        weight, intercept = ridge_logistic(x, task.target[rows], task.weight[rows], np.zeros(len(rows)))
        return FittedLogistic(own.names, mean, deviation, weight, intercept)

    def load(self, place: Path) -> FittedLogistic:
        arrays, words = load_arrays(place)
        return FittedLogistic(
            tuple(words["names"]), arrays["mean"], arrays["spread"], arrays["weight"], words["intercept"]
        )


@dataclass(frozen=True)
class FittedBelief:
    """Log odds = base + `gain` × beliefs from labels (bits) + `shift`."""

    gain: float
    shift: float

    def score(self, view: View) -> FloatArray:
        belief = columns(view.blocks, [BELIEF])[:, 0].astype(np.float64)
        return view.graph.base + self.gain * belief + self.shift

    def save(self, place: Path) -> None:
        save_arrays(place, {}, {"gain": self.gain, "shift": self.shift})


class Belief:
    """Linearised belief propagation of labels along the ties, on top of what is known without them."""

    name = "belief"
    needs_torch = False

    def fit(self, task: Task, *, device: str = "cpu") -> FittedBelief:
        del device
        x, y, w, base = [], [], [], []
        for one in task.rounds:
            x.append(columns([one.labels], [BELIEF], one.rows))
            y.append(task.target[one.rows])
            w.append(task.weight[one.rows])
            base.append(task.graph.base[one.rows])
        gain, shift = ridge_logistic(np.concatenate(x), np.concatenate(y), np.concatenate(w), np.concatenate(base))
        return FittedBelief(max(float(gain[0]), 0.0), shift)

    def load(self, place: Path) -> FittedBelief:
        _, words = load_arrays(place)
        return FittedBelief(words["gain"], words["shift"])
