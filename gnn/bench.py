"""Node classification on attributed multi-relation graphs in the form of the contract: models beside each other.

`nodes.parquet` has id, f_…, label (0, 1 or null), split (train, val, test); each `edges-RELATION.parquet` has src,
dst and perhaps weight, directed as given. A model learns the labels of `train`; `val` sets the threshold of F1 alone.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import scipy.sparse as sp
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from ringwatch.errors import DataError, UsageError
from ringwatch.gnn import pu
from ringwatch.gnn.graph import BoolArray, Direct, FloatArray, Graph, symmetric
from ringwatch.gnn.labels import UNKNOWN, Labels
from ringwatch.gnn.models import GRAPHLESS, MODELS
from ringwatch.gnn.neighbours import feature_blocks
from ringwatch.gnn.task import full_view, make_task
from ringwatch.gnn.training import MIXTURES
from ringwatch.metrics import Stopwatch

FIGURES = ("auroc", "auprc", "recall_at_k", "f1_macro", "seconds")
MOST_CORE = 48
"""Features whose means over neighbours are taken, those that tell the labels of `train` apart best."""

ALL = "all"


@dataclass(frozen=True)
class Benchmark:
    """A graph, its labels (−1: null) and the rows of each split."""

    graph: Graph
    label: FloatArray
    split: dict[str, BoolArray]


def load_benchmark(folder: Path) -> Benchmark:
    """Reads a folder of `nodes.parquet` and `edges-*.parquet`.

    Raises:
        UsageError: there is no such folder, or no nodes in it.
        DataError: a file cannot be read, lacks a column, or names a node that is not there.
    """
    if not (folder / "nodes.parquet").is_file():
        raise UsageError(f"There is no {folder / 'nodes.parquet'}.", hint="Name a folder with nodes and edges.")
    nodes = _read(folder / "nodes.parquet", ("id", "label", "split"))
    features = sorted((name for name in nodes.columns if name.startswith("f_")), key=_natural)
    if not features:
        raise DataError(f"{folder / 'nodes.parquet'} has no feature.", hint="Name its columns f_….")
    if nodes["id"].duplicated().any() or nodes["id"].isna().any():
        raise DataError(
            f"{folder / 'nodes.parquet'} has ids that are null or not unique.", hint="Give each node one."
        )
    if not set(nodes["split"].dropna()) <= {"train", "val", "test"}:
        raise DataError(f"{folder / 'nodes.parquet'} has a split that is not train, val or test.", hint="Correct it.")
    label = _numbers(folder / "nodes.parquet", nodes, "label")
    if not np.isin(label[~np.isnan(label)], [0, 1]).all():
        raise DataError(f"{folder / 'nodes.parquet'} has a label that is not 0, 1 or null.", hint="Correct it.")
    label = np.nan_to_num(label, nan=-1.0)
    split = {name: ((nodes["split"] == name).to_numpy() & (label >= 0)) for name in ("train", "val", "test")}
    place = pd.Index(nodes["id"])
    given = [_edges(path, place) for path in sorted(folder.glob("edges-*.parquet"))]
    columns = [_numbers(folder / "nodes.parquet", nodes, name).astype(np.float32) for name in features]
    values = np.column_stack(columns)
    both = symmetric(given)
    relations = [_merged(both), *both] if len(both) > 1 else both
    core = _core(values, label, split["train"])
    names = tuple(features)
    graph = Graph(
        nodes["id"].to_numpy(dtype=object), values, names, tuple(relations), np.zeros(len(nodes)), core, len(names)
    )
    return Benchmark(graph, label, split)


def _natural(name: str) -> tuple[int, str]:
    return (len(name), name)


def _read(path: Path, required: Sequence[str]) -> pd.DataFrame:
    try:
        frame = pq.read_table(path).to_pandas()
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(f"{path} cannot be read: {str(error).splitlines()[0]}.", hint="Write it again.") from error
    missing = [name for name in required if name not in frame.columns]
    if missing:
        raise DataError(f"{path} has no column '{missing[0]}'.", hint=f"It needs {', '.join(required)}.")
    return frame


def _numbers(path: Path, frame: pd.DataFrame, name: str) -> FloatArray:
    """A column as float64[n], null as NaN; finite and within what a float32 holds."""
    try:
        values = pd.to_numeric(frame[name]).astype("Float64").to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise DataError(f"{path} has a '{name}' that is no number.", hint="Write it again.") from error
    if (np.abs(values) > np.finfo(np.float32).max).any():
        raise DataError(f"{path} has a '{name}' that is infinite.", hint="Write null where it is unknown.")
    return np.asarray(values)


def _edges(path: Path, place: pd.Index) -> Direct:
    """A relation by its targets: row i holds the nodes with an edge to i."""
    frame = _read(path, ("src", "dst"))
    src, dst = (place.get_indexer(pd.Index(frame[name])) for name in ("src", "dst"))
    if (src < 0).any() or (dst < 0).any():
        raise DataError(f"{path} names a node that nodes.parquet does not have.", hint="Remove the edge.")
    weight = _numbers(path, frame, "weight") if "weight" in frame.columns else np.ones(len(frame))
    if not (weight >= 0).all():
        raise DataError(f"{path} has a weight that is null or below 0.", hint="Correct it.")
    keep = src != dst
    matrix = sp.csr_matrix((weight[keep].astype(np.float32), (dst[keep], src[keep])), shape=(len(place), len(place)))
    matrix.sum_duplicates()
    return Direct(path.stem.removeprefix("edges-"), matrix)


def _merged(relations: Sequence[Direct]) -> Direct:
    total = relations[0].matrix.copy()
    for relation in relations[1:]:
        total = total + relation.matrix
    return Direct(ALL, total.tocsr())


def _core(values: np.ndarray, label: FloatArray, train: BoolArray) -> tuple[int, ...]:
    if values.shape[1] <= MOST_CORE:
        return tuple(range(values.shape[1]))
    x, y = np.nan_to_num(values[train]), label[train]
    spread = np.maximum(x.std(axis=0), 1e-9)
    told = np.abs(((x - x.mean(axis=0)) * (y - y.mean())[:, None]).mean(axis=0)) / spread
    return tuple(sorted(np.argsort(-told, kind="stable")[:MOST_CORE].tolist()))


def run_bench(
    benchmark: Benchmark,
    *,
    models: Sequence[str] | None = None,
    seeds: int = 3,
    device: str = "cpu",
    watch: Stopwatch | None = None,
) -> dict[str, dict[str, dict[str, float]]]:
    """Model → figure → mean and sd over seeds; mixtures are among the models.

    Raises:
        UsageError: an unknown model, or too few labels in a split.
    """
    watch = watch or Stopwatch()
    known = (*MODELS, *MIXTURES)
    names = tuple(models) if models else known
    unknown = [name for name in names if name not in known]
    if unknown:
        raise UsageError(f"There is no model {unknown[0]!r}.", hint=f"Choose among {', '.join(known)}.")
    for split in ("train", "test"):
        found = benchmark.label[benchmark.split[split]]
        if not ((found == 1).any() and (found == 0).any()):
            raise UsageError(
                f"Split {split} needs labels of both kinds.", hint="Label some of its nodes 0, others 1."
            )
    rows: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for seed in range(seeds):
        watch.progress(seed, seeds)
        for name, figures in _one(benchmark, names, seed, device, watch).items():
            rows[name].append(figures)
    watch.progress(seeds, seeds)
    return {
        name: {
            figure: {
                "mean": round(float(np.mean([one[figure] for one in found])), 6),
                "sd": round(float(np.std([one[figure] for one in found])), 6),
            }
            for figure in FIGURES
        }
        for name, found in rows.items()
    }


def _one(
    benchmark: Benchmark, names: Sequence[str], seed: int, device: str, watch: Stopwatch
) -> dict[str, dict[str, float]]:
    graph = benchmark.graph
    label = np.where(benchmark.split["train"], benchmark.label, UNKNOWN).astype(np.int8)
    labels = Labels(label, np.arange(len(graph), dtype=np.int64), np.where(label >= 0, 0.0, np.nan))
    start = time.perf_counter()
    with watch.stage("neighbours"):
        blocks = feature_blocks(graph)
        task, view = make_task(graph, blocks, labels, seed=seed), full_view(graph, blocks, labels)
    shared = time.perf_counter() - start
    found, z, took = {}, {}, {}
    for name in MODELS:
        if not any(name in MIXTURES.get(one, (one,)) for one in names):
            continue
        start = time.perf_counter()
        with watch.stage(f"fit {name}"):
            fitted = MODELS[name].fit(task, device=device)
        with watch.stage(f"score {name}"):
            z[name] = fitted.score(view)
        took[name] = time.perf_counter() - start
    for name in names:
        parts = MIXTURES.get(name, (name,))
        seconds = sum(took[part] for part in parts) + (shared if name not in GRAPHLESS else 0.0)
        found[name] = _figures(benchmark, np.mean([z[part] for part in parts], axis=0), seconds)
    return found


def _figures(benchmark: Benchmark, z: FloatArray, seconds: float) -> dict[str, float]:
    test = benchmark.split["test"]
    truth, score = benchmark.label[test] == 1, z[test]
    k = int(truth.sum())
    return {
        "auroc": float(roc_auc_score(truth, score)),
        "auprc": float(average_precision_score(truth, score)),
        "recall_at_k": pu.hits_at_k(score, truth, k) / k,
        "f1_macro": float(f1_score(truth, score >= _threshold(benchmark, z), average="macro")),
        "seconds": seconds,
    }


def _threshold(benchmark: Benchmark, z: FloatArray) -> float:
    """The score above which macro F1 on `val` is best; 0, even odds, where `val` has not both kinds."""
    rows = benchmark.split["val"]
    truth, score = benchmark.label[rows] == 1, z[rows]
    if not truth.any() or truth.all():
        return 0.0
    order = np.argsort(-score, kind="stable")
    ranked = score[order]
    ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    tp = np.cumsum(truth[order])[ends]
    above, positives, n = ends + 1, truth.sum(), len(truth)
    tn = n - above - (positives - tp)
    abusive = 2 * tp / (above + positives)
    benign = 2 * tn / np.maximum((n - above) + (n - positives), 1)
    return float(ranked[ends][np.argmax(abusive + benign)])
