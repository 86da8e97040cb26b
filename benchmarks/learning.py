"""What labels add: scores by trained models on simulated worlds and on the real network, held to all other labels."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import explaining
import numpy as np
import numpy.typing as npt
import pandas as pd
from figures import Figure, mean
from floor import big_drop
from process import FailedError, Ringwatch, run_process
from quality import FIRST_SEED, PREVALENCE, UNLABELLED, hop_fold
from sklearn.metrics import average_precision_score

from ringwatch.evaluation.metrics import ece
from ringwatch.gnn import Graph, Labels, feature_blocks, full_view, train
from ringwatch.gnn.labels import UNKNOWN
from ringwatch.gnn.models import MODELS
from ringwatch.gnn.task import Task, make_task
from ringwatch.graphs.scores import drawn_together
from ringwatch.pipeline import rehearse
from ringwatch.pipeline.training import REACH, prepare
from ringwatch.workspace import Workspace

BOUNDS = {"medium": (0.97, 0.93), "hard": (0.88, 0.82)}
"""Least AUPRC over unlabelled accounts, and over those and operations never labelled."""

HOP_BOUND, ECE_BOUND, BEHIND = 0.88, 0.03, 0.01
CURVE = (10, 50, 200)
"""Numbers of abusive labels."""

DRAWS = 3
"""Choices of who is labelled, for each number."""

CURVE_PREVALENCE = 0.1
"""So that there are two hundred members of half of the operations."""

CURVE_MODELS = ("logistic", "trees", "belief", "graph-trees", "propagation", "metapath", "metapath-nnpu", "signed")
PROMOTED = "the promoted model"
BASELINES = ("unsupervised", "logistic", "trees", "belief", "graph-trees")
QUICK = ("trees", "belief", "graph-trees", "propagation")
NOISE, DELAY_DAYS = 0.05, 14
RARE, RARE_RECALL = (0.001, 60_000), 0.8
"""Prevalence, accounts."""

Rows = npt.NDArray[np.bool_]


def gnn(out: Path, tools: Path | None = None, *, seeds: int = 2) -> Iterator[Figure]:
    """Half of the operations with half of their members as labels; curves by number of labels; at a million."""
    for preset in BOUNDS:
        yield from _halves(out, preset, seeds)
    yield from _curves(out)
    yield from _rare(out)
    yield from _explained(out)
    yield from _million()
    if tools is not None:
        yield from _log(out, tools)


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
    """AUPRC of each candidate and of the promoted model by number of abusive labels, half of the operations never
    labelled, over some draws of who is; what wrong and late labels cost. In one process: the log is read once."""
    world = _world(out, "medium", FIRST_SEED + 70, CURVE_PREVALENCE)
    study = _Study(world)
    groups = np.array(sorted(world.truth["group_id"].dropna().unique()))
    half = world.truth["group_id"].isin(groups[::2]).to_numpy()
    orders = [np.random.default_rng(draw).permutation(np.flatnonzero(half)) for draw in range(DRAWS)]
    for count in CURVE:
        drawn = [_curve_point(study, half, order[:count]) for order in orders]
        size = f"medium, {count} labels"
        for name in drawn[0]:
            yield mean(f"{size}: AUPRC of {name}", [point[name] for point in drawn])
        ahead = [point[PROMOTED] - max(point[name] for name in BASELINES) for point in drawn]
        yield mean(f"{size}: promoted less the best baseline", ahead, at_least=-BEHIND)
    yield from _worse_labels(world, study, half, orders[0])
    world.close()


def _curve_point(study: _Study, half: Rows, chosen: npt.NDArray[np.int64]) -> dict[str, float]:
    """AUPRC of each candidate and of the promoted model where these accounts of the truth are labelled."""
    given = np.zeros(len(half), dtype=np.bool_)
    given[chosen] = True
    labels = study.labels(given)
    task, view = study.task(labels), full_view(study.graph, study.blocks, labels)
    found = {"unsupervised": study.graph.base}
    found |= {name: MODELS[name].fit(task).score(view) for name in CURVE_MODELS}
    found[PROMOTED] = train(study.graph, study.blocks, labels, seed=1).log_odds(view)
    return {name: study.quality(z, ~half) for name, z in found.items()}


def _worse_labels(world: _World, study: _Study, half: Rows, order: npt.NDArray[np.int64]) -> Iterator[Figure]:
    """One label in twenty is wrong; and each comes two weeks after the account's first harm, or not yet."""
    given = np.zeros(len(world.truth), dtype=np.bool_)
    given[order[: CURVE[-1]]] = True
    rng = np.random.default_rng(1)
    wrong = given.copy()
    wrong[rng.choice(np.flatnonzero(given), round(NOISE * given.sum()), replace=False)] = False
    wrong[rng.choice(np.flatnonzero(~world.positive), round(NOISE * given.sum()), replace=False)] = True
    events = pd.read_parquet(world.drop / "events.parquet", columns=["account_id", "ts", "harm"])
    first = events[events["harm"].notna()].groupby("account_id")["ts"].min().reindex(world.truth["account_id"])
    known = {
        days: given & (first + pd.Timedelta(days=days) <= events["ts"].max()).to_numpy() for days in (0, DELAY_DAYS)
    }
    plain = study.quality(study.graph.base, ~half)
    for what, labels in (
        ("one label in twenty wrong", study.labels(wrong, abusive=True)),
        *(
            (
                f"labels {days} days after the first harm",
                study.labels(rows, at=first.to_numpy(dtype="datetime64[us]").astype(np.int64)),
            )
            for days, rows in known.items()
        ),
    ):
        view = full_view(study.graph, study.blocks, labels)
        trained = train(study.graph, study.blocks, labels, names=QUICK, seed=1)
        promoted = study.quality(trained.log_odds(view), ~half)
        count = f"{labels.counts['abusive']} labels"
        yield Figure(f"medium, {what}: AUPRC of the promoted model", promoted, "", ">=", plain - BEHIND, count)


class _Study:
    """What a model sees of a world, gathered once; labels as wanted."""

    def __init__(self, world: _World) -> None:
        with rehearse(Workspace.open(world.plain), seed=1) as rehearsal:
            seen = prepare(rehearsal)
        self.graph: Graph = seen.graph.common(REACH)
        self.blocks = feature_blocks(self.graph)
        self._cluster = seen.evidence.cluster
        self._row = pd.Index(self.graph.ids).get_indexer(pd.Index(world.truth["account_id"]))
        self._world = world

    def labels(self, given: Rows, *, abusive: bool = False, at: npt.NDArray[np.int64] | None = None) -> Labels:
        """Labels of these accounts of the truth, as they are or all abusive; of one moment, or of those given."""
        n, row = len(self.graph), self._row[given]
        label, group = np.full(n, UNKNOWN, dtype=np.int8), np.full(n, -1, dtype=np.int64)
        label[row] = self._world.positive[given] | abusive
        group[row] = self._world.truth["group_id"].astype("category").cat.codes.to_numpy(dtype=np.int64)[given]
        when = np.full(n, np.nan)
        when[row] = 0.0 if at is None else at[given]
        return Labels(label, drawn_together(group, self._cluster), when)

    def quality(self, z: npt.NDArray[np.float64], rows: Rows) -> float:
        """Average precision over these accounts of the truth."""
        return self._world.quality(z[self._row], rows)

    def task(self, labels: Labels) -> Task:
        return make_task(self.graph, self.blocks, labels, seed=1)


def _rare(out: Path) -> Iterator[Figure]:
    """One account in a thousand is abusive: how many of them are among as many of the first."""
    world = _World(out / "learning-rare", "medium", FIRST_SEED + 80, RARE[0], accounts=RARE[1])
    rng = np.random.default_rng(0)
    groups = np.array(sorted(world.truth["group_id"].dropna().unique()))
    inside = world.truth["group_id"].isin(rng.permutation(groups)[: (len(groups) + 1) // 2]).to_numpy()
    given = inside & (rng.random(len(world.truth)) < 0.5)
    world.train(given)
    score = world.scores()[~given]
    positive = world.positive[~given]
    k = int(positive.sum())
    found = float(positive[np.argsort(-score, kind="stable")[:k]].sum() / k)
    world.close()
    yield Figure(f"medium at {RARE[0]:.1%}: recall at k of accounts", found, "", ">=", RARE_RECALL)


def _explained(out: Path) -> Iterator[Figure]:
    """Explanations of a world in which strangers were given things in common; half of the operations are labelled."""
    world = _World(out / "learning-explained", "medium", FIRST_SEED + 90, PREVALENCE, change=explaining.plant)
    groups = np.array(sorted(world.truth["group_id"].dropna().unique()))
    given = world.truth["group_id"].isin(groups[::2]).to_numpy()
    world.train(given)
    world.scores()
    abusive = world.truth.loc[world.positive & ~given, "account_id"].tolist()
    for figure in explaining.explanations(world.place, world.changed, abusive):
        yield replace(figure, name=f"medium: {figure.name}")
    world.close()


def _million() -> Iterator[Figure]:
    """Training and scoring on a made graph of a million accounts, in a process of its own."""
    done = run_process([sys.executable, Path(__file__).with_name("million.py")])
    if done.code:
        raise FailedError(done)
    found = done.document
    yield Figure("1 M accounts: metapath, minutes to aggregate, mask and fit", found["network"] / 60, "", "<=", 10.0)
    yield Figure("1 M accounts: metapath / boosted trees on the same columns, time of the fit", found["ratio"])
    yield Figure("1 M accounts: propagation, minutes", found["propagation"] / 60)
    yield Figure("1 M accounts: peak GiB", done.peak_rss_mb / 1024, "", "<=", 10.0)
    for name in ("metapath", "graph-trees", "propagation"):
        yield Figure(f"1 M accounts: accounts scored a second by {name}", found["scored"][name], "", ">=", 200_000)


def _log(out: Path, tools: Path) -> Iterator[Figure]:
    """`train` from the log of a million accounts, which `tools` make; half of its rings are labelled."""
    drop = big_drop(out, tools, "1e6", "1e7")
    rings = pd.read_parquet(drop.parent / "ring_truth.parquet").drop_duplicates("account_id")
    known = rings[rings["group_id"] % 2 == 0]
    when = pd.Timestamp("2026-06-30", tz="UTC")
    folder = out / "learning-log"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    labels = known.assign(label="abusive", labelled_at=when, group_id="ring" + known["group_id"].astype(str))
    labels.to_parquet(folder / "labels.parquet", index=False)
    command = Ringwatch(folder / "workspace")
    command.run("init")
    command.run("ingest", drop, folder / "labels.parquet")
    done = command.run("train", "--seed", "1", "--models", "metapath", "--json")
    shutil.rmtree(folder)
    size = "1 M accounts, 10 M events"
    note = f"{done.document['labels']['abusive']:,} labels, {done.document['folds']} folds"
    yield Figure(f"{size}: train of metapath from the log, minutes", done.seconds / 60, "", "<=", 10.0, note)
    yield Figure(f"{size}: peak GiB", done.peak_rss_mb / 1024, "", "<=", 10.0)


def hop(out: Path, data: Path) -> Iterator[Figure]:
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

    def __init__(
        self,
        folder: Path,
        preset: str,
        seed: int,
        prevalence: float,
        *,
        accounts: int | None = None,
        change: Callable[[Path], pd.DataFrame] | None = None,
    ) -> None:
        self._folder = folder
        shutil.rmtree(folder, ignore_errors=True)
        self.plain = folder / "plain"
        plain = Ringwatch(self.plain)
        drop = self.drop = folder / "drop"
        size = ["--accounts", str(accounts)] if accounts else []
        plain.run("simulate", preset, "--output", drop, "--seed", str(seed), "--prevalence", str(prevalence), *size)
        self.changed = pd.DataFrame() if change is None else change(drop)
        plain.run("init")
        plain.run("ingest", drop)
        self._command = plain
        self.truth = pd.read_parquet(drop / "truth" / "labels.parquet")
        self.positive: Rows = (self.truth["label"] == "abusive").to_numpy()

    def train(self, given: Rows, *wishes: str) -> dict[str, Any]:
        """Trains on the labels of some accounts."""
        place = self.place = self._folder / "trained"
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
