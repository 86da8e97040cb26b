"""Gradient boosted trees: on an account's own rows, and on what is aggregated over its neighbours beforehand.

The second is the strongest baseline of GADBench (Tang et al., "GADBench: Revisiting and benchmarking supervised graph
anomaly detection", NeurIPS 2023), with relations kept apart; what is known without labels is a column.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ringwatch.errors import RingwatchError
from ringwatch.gnn.graph import FloatArray
from ringwatch.gnn.labels import UNKNOWN
from ringwatch.gnn.models.base import load_arrays, save_arrays
from ringwatch.gnn.models.torch_here import FEW_ROWS
from ringwatch.gnn.neighbours import Block
from ringwatch.gnn.task import Task, View, columns

SIZES = ((5000, 300, 6), (1000, 200, 5), (0, 80, 4))
"""From so many labels on, so many trees of such depth."""

CHUNK = 200_000
BINS = 128
PARAMETERS: dict[str, Any] = {
    "objective": "binary:logistic", "tree_method": "hist", "eta": 0.1, "min_child_weight": 5.0,
    "reg_lambda": 5.0, "subsample": 0.8, "colsample_bytree": 0.4, "max_bin": BINS, "verbosity": 0,
}  # fmt: skip


@dataclass(frozen=True)
class FittedTrees:
    """`booster`, the columns that it reads, and the log odds that it begins from."""

    booster: Any
    names: tuple[str, ...]
    start: float

    def score(self, view: View) -> FloatArray:
        import xgboost

        n = len(view.graph)
        out = np.empty(n)
        for low in range(0, n, CHUNK):
            rows = np.arange(low, min(low + CHUNK, n))
            data = xgboost.DMatrix(columns(view.blocks, self.names, rows), base_margin=np.full(len(rows), self.start))
            out[rows] = self.booster.predict(data, output_margin=True)
        return out

    def save(self, place: Path) -> None:
        save_arrays(place, {}, {"names": list(self.names), "start": self.start})
        self.booster.save_model(str(place.with_name(f"{place.name}.trees.json")))


class _Trees:
    name = ""
    graphless = False

    def fit(self, task: Task, *, device: str = "cpu") -> FittedTrees:
        import xgboost

        del device  # xgboost-cpu has no other

        blocks: list[list[Block]] = [
            [task.blocks[0]] if self.graphless else [*task.blocks, one.labels] for one in task.rounds
        ]
        names = tuple(name for block in blocks[0] for name in block.names)
        x = np.concatenate([columns(part, names, one.rows) for part, one in zip(blocks, task.rounds, strict=True)])
        rows = np.concatenate([one.rows for one in task.rounds])
        # Few rows: several threads would mostly wait for each other.
        threads = 1 if len(task.graph) < FEW_ROWS else os.cpu_count()
        data = xgboost.QuantileDMatrix(
            x,
            task.target[rows],
            weight=task.weight[rows] / len(task.rounds),
            base_margin=np.full(len(rows), task.start),
            max_bin=BINS,
            nthread=threads,
        )
        # More labels carry more and deeper trees.
        labelled = int((task.labels.label != UNKNOWN).sum())
        trees, depth = next((trees, depth) for least, trees, depth in SIZES if labelled >= least)
        parameters = {**PARAMETERS, "max_depth": depth, "seed": task.seed, "nthread": threads}
        return FittedTrees(xgboost.train(parameters, data, trees), names, task.start)

    def load(self, place: Path) -> FittedTrees:
        import xgboost

        _, words = load_arrays(place)
        booster = xgboost.Booster()
        path = place.with_name(f"{place.name}.trees.json")
        try:
            booster.load_model(str(path))
        except xgboost.core.XGBoostError as error:
            raise RingwatchError(f"The model {path} cannot be read.", hint="Train again.") from error
        return FittedTrees(booster, tuple(words["names"]), words["start"])


class Trees(_Trees):
    """Boosted trees on an account's own rows; no neighbour, no evidence."""

    name = "trees"
    graphless = True


class GraphTrees(_Trees):
    """Boosted trees on aggregated neighbourhoods, relation by relation."""

    name = "graph-trees"
