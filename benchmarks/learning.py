"""What labels add: scores by trained models on simulated worlds and on the real network, held to all other labels."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from figures import Figure, mean
from process import Ringwatch
from quality import FIRST_SEED, PREVALENCE, UNLABELLED, hop_fold
from sklearn.metrics import average_precision_score

from ringwatch.evaluation.metrics import ece

BOUNDS = {"medium": (0.97, 0.93), "hard": (0.88, 0.82)}
"""Least AUPRC over unlabelled accounts, and over those and operations never labelled."""

HOP_BOUND, ECE_BOUND, BEHIND = 0.88, 0.03, 0.01
CURVE = (10, 50, 200)
"""Numbers of abusive labels."""

CURVE_PREVALENCE = 0.1
"""So that there are two hundred members of half of the operations."""

Rows = npt.NDArray[np.bool_]


def gnn(out: Path, hop: Path | None, *, seeds: int = 2) -> list[Figure]:
    """Half of the operations with half of their members as labels; curves by number of labels; hop by groups."""
    figures: list[Figure] = []
    for preset in BOUNDS:
        figures += _halves(out, preset, seeds)
    figures += _curves(out)
    if hop is not None:
        figures += _hop(out, hop)
    return figures


def _halves(out: Path, preset: str, seeds: int) -> Iterator[Figure]:
    every, never, before, error, seconds = [], [], [], [], []
    for seed in range(seeds):
        world = _world(out, preset, FIRST_SEED + seed, PREVALENCE)
        truth = world.truth
        rng = np.random.default_rng(seed)
        groups = np.array(sorted(truth["group_id"].dropna().unique()))
        chosen = rng.permutation(groups)[: (len(groups) + 1) // 2]
        inside = truth["group_id"].isin(chosen).to_numpy()
        given = inside & (rng.random(len(truth)) < 0.5)
        before.append(world.quality(world.scores("--no-labels"), ~given))
        trained = world.train(given)
        score = world.scores()
        every.append(world.quality(score, ~given))
        never.append(world.quality(score, ~inside))
        error.append(ece(score[~given], world.positive[~given]))
        seconds.append(float(trained["seconds"]))
        world.close()
    all_bound, never_bound = BOUNDS[preset]
    yield mean(f"{preset}: AUPRC over unlabelled accounts, half of half labelled", every, at_least=all_bound)
    yield mean(f"{preset}: the same without any label", before)
    yield mean(f"{preset}: AUPRC where operations were never labelled", never, at_least=never_bound)
    yield mean(f"{preset}: expected calibration error of accounts", error, at_most=ECE_BOUND)
    yield mean(f"{preset}: seconds of train", seconds)


def _curves(out: Path) -> Iterator[Figure]:
    """AUPRC of each candidate that is alone a model, and of the promoted one, by number of abusive labels."""
    world = _world(out, "medium", FIRST_SEED + 70, CURVE_PREVALENCE)
    groups = np.array(sorted(world.truth["group_id"].dropna().unique()))
    half = world.truth["group_id"].isin(groups[::2]).to_numpy()
    order = np.random.default_rng(0).permutation(np.flatnonzero(half))
    plain = world.quality(world.scores("--no-labels"), ~half)
    for count in CURVE:
        given = np.zeros(len(world.truth), dtype=np.bool_)
        given[order[:count]] = True
        found = {"unsupervised": plain}
        for name in ("logistic", "trees", "belief", "graph-trees", "metapath", "signed"):
            world.train(given, "--models", name)
            found[name] = world.quality(world.scores(), ~half)
        world.train(given)
        promoted = world.quality(world.scores(), ~half)
        for name, value in found.items():
            yield Figure(f"medium, {count} labels: AUPRC of {name}", value)
        best = max(found[name] for name in ("unsupervised", "logistic", "trees", "belief", "graph-trees"))
        yield Figure(f"medium, {count} labels: AUPRC of the promoted model", promoted)
        yield Figure(f"medium, {count} labels: promoted less the best baseline", promoted - best, "", ">=", -BEHIND)
    world.close()


def _hop(out: Path, data: Path) -> Iterator[Figure]:
    """Either half of the groups as labels, held to the other half."""
    labels = pd.read_parquet(data / "labels.parquet")
    fold = hop_fold(labels)
    quality, error = [], []
    for given in (0, 1):
        folder = out / f"learning-hop-{given}"
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "labels").mkdir(parents=True)
        labels[fold == given].to_parquet(folder / "labels" / "labels.parquet", index=False)
        command = Ringwatch(folder / "workspace")
        command.run("init", "--entity-type", "wallet")
        command.run(
            "ingest", *(data / f"{table}.parquet" for table in UNLABELLED), folder / "labels" / "labels.parquet"
        )
        command.run("train", "--seed", "1")
        command.run("detect", "--seed", "1")
        document = command.json("evaluate", "--labels", data / "labels.parquet")
        quality.append(float(document["accounts"]["auprc"]["value"]))
        error.append(float(document["accounts"]["ece"]["value"]))
        shutil.rmtree(folder)
    yield mean("hop: AUPRC with half of the groups as labels, on the other half", quality, at_least=HOP_BOUND)
    yield mean("hop: expected calibration error of accounts", error, at_most=ECE_BOUND)


class _World:
    """A simulated workspace and its truth; each training begins from the drop alone."""

    def __init__(self, folder: Path, preset: str, seed: int, prevalence: float) -> None:
        self._folder = folder
        shutil.rmtree(folder, ignore_errors=True)
        plain = Ringwatch(folder / "plain")
        drop = folder / "drop"
        plain.run("simulate", preset, "--output", drop, "--seed", str(seed), "--prevalence", str(prevalence))
        plain.run("init")
        plain.run("ingest", drop)
        self._command = plain
        self.truth = pd.read_parquet(drop / "truth" / "labels.parquet")
        self.positive: Rows = (self.truth["label"] == "abusive").to_numpy()

    def train(self, given: Rows, *wishes: str) -> dict[str, Any]:
        """Trains on the labels of some accounts."""
        place = self._folder / "trained"
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(self._folder / "plain", place)
        table = self._folder / "labels.parquet"
        self.truth[given].to_parquet(table, index=False)
        self._command = Ringwatch(place)
        self._command.run("ingest", table)
        return self._command.json("train", "--seed", "1", *wishes)

    def scores(self, *wishes: str) -> npt.NDArray[np.float64]:
        """The score of each account of the truth."""
        self._command.run("detect", "--seed", "1", *wishes)
        self._command.run("scores", "--output", self._folder / "scores.parquet")
        found = pd.read_parquet(self._folder / "scores.parquet").set_index("account_id")["score"]
        return np.asarray(found.reindex(self.truth["account_id"]).to_numpy(dtype=np.float64))

    def quality(self, score: npt.NDArray[np.float64], rows: Rows) -> float:
        return float(average_precision_score(self.positive[rows], score[rows]))

    def close(self) -> None:
        shutil.rmtree(self._folder)


def _world(out: Path, preset: str, seed: int, prevalence: float) -> _World:
    return _World(out / f"learning-{preset}-{seed}", preset, seed, prevalence)
