"""Logistic regression, without a graph; and belief propagation, which is one on two columns."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ringwatch.gnn.features import standardise
from ringwatch.gnn.graph import Float32, FloatArray
from ringwatch.gnn.models.base import Arrays, load_arrays, save_arrays, scaled
from ringwatch.gnn.neighbours import BELIEF
from ringwatch.gnn.task import Task, View, columns
from ringwatch.graphs.logistic import ridge_logistic

RIDGE = 1.0
"""Penalty on squared weights, in accounts."""


def with_intercept(
    x: Float32 | FloatArray, target: FloatArray, count: FloatArray, offset: FloatArray, *, ridge: float = RIDGE
) -> tuple[FloatArray, float]:
    """Weights and intercept, which no ridge holds, of a logistic regression on top of `offset`."""
    design = np.column_stack([x, np.ones(len(x))]).astype(np.float64)
    penalty = np.append(np.full(x.shape[1], ridge), 0.0)
    found = ridge_logistic(design, target, penalty, count=count, offset=offset)
    return found[:-1], float(found[-1])


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

    def fit(self, task: Task, *, device: str = "cpu") -> FittedLogistic:
        del device
        own = task.blocks[0]
        mean, deviation = standardise(own.values)
        rows = np.unique(np.concatenate([one.rows for one in task.rounds]))
        x = scaled(own.values[rows], mean, deviation)
        weight, intercept = with_intercept(x, task.target[rows], task.weight[rows], np.zeros(len(rows)))
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

    def fit(self, task: Task, *, device: str = "cpu") -> FittedBelief:
        del device
        x, y, w, base = [], [], [], []
        for one in task.rounds:
            x.append(columns([one.labels], [BELIEF], one.rows))
            y.append(task.target[one.rows])
            w.append(task.weight[one.rows])
            base.append(task.graph.base[one.rows])
        gain, shift = with_intercept(np.concatenate(x), np.concatenate(y), np.concatenate(w), np.concatenate(base))
        return FittedBelief(max(float(gain[0]), 0.0), shift)

    def load(self, place: Path) -> FittedBelief:
        _, words = load_arrays(place)
        return FittedBelief(words["gain"], words["shift"])
