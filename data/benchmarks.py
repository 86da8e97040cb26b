"""Graphs for `ringwatch bench`: `python -m ringwatch.data.benchmarks KIND SOURCE OUTPUT [--seed N]`.

    drop      a drop of the contract with a labels table (or truth/labels): hop, a simulated world
    mat       YelpChi.mat or Amazon.mat of CARE-GNN (Dou et al., CIKM 2020): features, label, net_…
    elliptic  the folder of the Elliptic data set (Weber et al., 2019): …_features, …_classes, …_edgelist .csv
    dgraph    dgraphfin.npz of DGraph-Fin (Huang et al., NeurIPS 2022)

Only the folder of a drop comes with ringwatch; the others are for users who have the files. A drop is split by group:
all accounts of an operation are in one split. The others keep the split that is usual for them, or get 40/20/40 at
random within classes.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp

from ringwatch.errors import DataError, UsageError

SPLIT = (0.4, 0.2)
"""Shares of train and val; the rest is test."""

CROWD = 50
"""An entity that more accounts share makes a ring of edges and not all pairs."""

Edges = Mapping[str, pd.DataFrame]


def write_benchmark(folder: Path, nodes: pd.DataFrame, edges: Edges) -> None:
    """Writes `nodes.parquet` and an `edges-RELATION.parquet` of each relation."""
    folder.mkdir(parents=True, exist_ok=True)
    nodes.to_parquet(folder / "nodes.parquet", index=False)
    for name, frame in edges.items():
        frame.to_parquet(folder / f"edges-{name}.parquet", index=False)


def split_by(units: pd.Series, label: npt.NDArray[np.float64], seed: int) -> npt.NDArray[np.object_]:
    """train, val or test for each row: whole units, those with a positive apart from the others; test where the label
    is unknown (NaN)."""
    rng = np.random.default_rng(seed)
    codes, names = pd.factorize(units)
    positive = np.zeros(len(names), dtype=np.bool_)
    positive[codes[label == 1]] = True
    of_unit = np.full(len(names), "test", dtype=object)
    for kind in (True, False):
        drawn = rng.permutation(np.flatnonzero(positive == kind))
        train, val = round(SPLIT[0] * len(drawn)), round(SPLIT[1] * len(drawn))
        of_unit[drawn[:train]] = "train"
        of_unit[drawn[train : train + val]] = "val"
    return np.where(np.isnan(label), "test", of_unit[codes])


# -- a drop ----------------------------------------------------------------------------------------------------------


def from_drop(source: Path, output: Path, seed: int) -> None:
    """Accounts with what their rows say, relations by kind, shared entities by type; the labels of the drop.

    Raises:
        DataError: there is no labels table.
    """
    tables = {name: _table(source, name) for name in ("accounts", "events", "links", "relations", "labels")}
    labels = tables["labels"]
    if labels is None:
        labels = _table(source / "truth", "labels")
    if labels is None:
        raise DataError(f"{source} has no labels table, nor has its truth folder.", hint="Add labels.parquet.")
    labels = labels.sort_values("labelled_at").drop_duplicates("account_id", keep="last").set_index("account_id")
    events, links, relations = (tables[name] for name in ("events", "links", "relations"))
    accounts = tables["accounts"]
    ids = accounts["account_id"] if accounts is not None else events["account_id"].drop_duplicates()
    index = pd.Index(sorted(ids.astype(str)), name="id")
    nodes = pd.DataFrame(index=index)
    if accounts is not None:
        known = accounts.drop_duplicates("account_id", keep="last").set_index("account_id").reindex(index)
        nodes["f_created"] = pd.to_datetime(known["created_at"], utc=True).astype("int64") / 86_400e9
        for name in sorted(name for name in known.columns if name.startswith("x_")):
            nodes[f"f_{name}"] = known[name].astype(float)
    edges: dict[str, pd.DataFrame] = {}
    if relations is not None:
        for kind, rows in relations.groupby("kind"):
            weight = rows["count"].fillna(1).to_numpy() if "count" in rows else np.ones(len(rows))
            edges[str(kind)] = pd.DataFrame(
                {"src": rows["src_account_id"].to_numpy(), "dst": rows["dst_account_id"].to_numpy(), "weight": weight}
            )
            nodes[f"f_{kind}_out"] = _count(rows["src_account_id"], index)
            nodes[f"f_{kind}_in"] = _count(rows["dst_account_id"], index)
    uses = []
    if links is not None:
        uses.append(links[["account_id", "entity_type", "entity_id"]])
    if events is not None:
        _event_features(nodes, events, index)
        for name in ("ip", "device_id", "payment_id"):
            some = events[["account_id", name]].dropna()
            uses.append(some.rename(columns={name: "entity_id"}).assign(entity_type=name.removesuffix("_id")))
    if uses:
        for kind, rows in pd.concat(uses, ignore_index=True).drop_duplicates().groupby("entity_type"):
            nodes[f"f_{kind}"] = _count(rows["account_id"], index)
            edges[f"same_{kind}"] = _shared(rows["account_id"], rows["entity_id"], seed)
    truth = labels.reindex(index)
    label = np.asarray(truth["label"].map({"abusive": 1.0, "benign": 0.0}).to_numpy(dtype=np.float64))
    group = truth["group_id"] if "group_id" in truth else pd.Series(None, index=index, dtype=object)
    units = group.astype(object).where(group.notna(), index.to_series())
    nodes["label"] = pd.array(label, dtype="Float64")
    nodes.loc[np.isnan(label), "label"] = pd.NA
    nodes["split"] = split_by(units, label, seed)
    kept = {name: frame[frame["src"].isin(index) & frame["dst"].isin(index)] for name, frame in edges.items()}
    write_benchmark(output, nodes.reset_index(), kept)


def _table(folder: Path, name: str) -> Any:
    path = folder / f"{name}.parquet"
    if path.is_file():
        return pd.read_parquet(path)
    parts = sorted((folder / name).glob("*.parquet")) or sorted(folder.glob(f"{name}-*.parquet"))
    return pd.concat([pd.read_parquet(part) for part in parts], ignore_index=True) if parts else None


def _count(accounts: pd.Series, index: pd.Index) -> npt.NDArray[np.float64]:
    return np.log1p(accounts.value_counts().reindex(index).fillna(0).to_numpy(dtype=np.float64))


def _event_features(nodes: pd.DataFrame, events: pd.DataFrame, index: pd.Index) -> None:
    grouped = events.groupby("account_id")
    nodes["f_events"] = np.log1p(grouped.size().reindex(index).fillna(0))
    for name in ("harm_score", "tokens"):
        if name in events:
            nodes[f"f_{name}"] = grouped[name].mean().reindex(index).astype(float)
    if "refused" in events:
        refused = events["refused"].astype("boolean").fillna(False).astype(float)
        nodes["f_refused"] = refused.groupby(events["account_id"]).mean().reindex(index)
    kinds = pd.crosstab(events["account_id"], events["kind"], normalize="index").reindex(index).fillna(0.0)
    for kind in kinds.columns:
        nodes[f"f_kind_{kind}"] = kinds[kind]


def _shared(account: pd.Series, entity: pd.Series, seed: int) -> pd.DataFrame:
    """Edges between accounts that have an entity in common: all pairs of a small one, a ring of a crowd."""
    rng = np.random.default_rng(seed)
    src, dst, weight = [], [], []
    for _, members in account.groupby(entity.to_numpy()):
        names = members.to_numpy(dtype=object)
        if len(names) < 2:
            continue
        if len(names) <= CROWD:
            a, b = np.triu_indices(len(names), 1)
            left, right = names[a], names[b]
        else:
            order = rng.permutation(names)
            left, right = order, np.roll(order, 1)
        src += [left, right]
        dst += [right, left]
        weight.append(np.full(2 * len(left), 1 / np.log2(1 + len(names))))
    empty = np.zeros(0, dtype=object)
    return pd.DataFrame(
        {
            "src": np.concatenate(src) if src else empty, "dst": np.concatenate(dst) if dst else empty,
            "weight": np.concatenate(weight) if weight else np.zeros(0),
        }
    )  # fmt: skip


# -- files that users have -------------------------------------------------------------------------------------------


def from_mat(source: Path, output: Path, seed: int) -> None:
    """YelpChi or Amazon as CARE-GNN has them: `features`, `label`, and a `net_…` a relation; `homo` is left out."""
    from scipy.io import loadmat

    found = loadmat(source)
    label = np.asarray(found["label"], dtype=np.float64).ravel()
    features: Any = found["features"]
    dense: npt.NDArray[Any] = sp.csr_array(features).toarray()
    nodes = _nodes(dense, label, seed)
    edges = {name.removeprefix("net_"): _coo(found[name]) for name in sorted(found) if name.startswith("net_")}
    write_benchmark(output, nodes, edges)


def from_elliptic(source: Path, output: Path, seed: int) -> None:
    """Elliptic: label 1 is illicit; split by time step, 1–29 train, 30–34 val, 35–49 test, as its authors do."""
    del seed
    features = pd.read_csv(source / "elliptic_txs_features.csv", header=None)
    classes = pd.read_csv(source / "elliptic_txs_classes.csv").set_index("txId")["class"].astype(str)
    edges = pd.read_csv(source / "elliptic_txs_edgelist.csv")
    label: npt.NDArray[np.float64] = np.asarray(
        classes.reindex(features[0]).map({"1": 1.0, "2": 0.0}).to_numpy(dtype=np.float64)
    )
    step = features[1].to_numpy()
    split = np.where(step < 30, "train", np.where(step < 35, "val", "test"))
    nodes = _nodes(features.iloc[:, 1:].to_numpy(dtype=np.float32), label, 0).assign(id=features[0], split=split)
    write_benchmark(output, nodes, {"flow": edges.rename(columns={"txId1": "src", "txId2": "dst"})})


def from_dgraph(source: Path, output: Path, seed: int) -> None:
    """DGraph-Fin: label 1 is a fraudster, 2 and 3 are background; a relation for each type of edge, its own split."""
    del seed
    found = np.load(source)
    y = found["y"].ravel()
    label: npt.NDArray[np.float64] = np.where(y <= 1, y, np.nan).astype(np.float64)
    nodes = _nodes(found["x"], label, 0)
    split = np.full(len(nodes), "test", dtype=object)
    for name, key in (("train", "train_mask"), ("val", "valid_mask"), ("test", "test_mask")):
        split[found[key].ravel()] = name
    kind = found["edge_type"].ravel()
    edges = {
        f"type{number}": pd.DataFrame(found["edge_index"][kind == number], columns=["src", "dst"])
        for number in np.unique(kind).tolist()
    }
    write_benchmark(output, nodes.assign(split=split), edges)


def _nodes(features: npt.NDArray[Any], label: npt.NDArray[np.float64], seed: int) -> pd.DataFrame:
    nodes = pd.DataFrame(features.astype(np.float32), columns=[f"f_{number}" for number in range(features.shape[1])])
    nodes.insert(0, "id", np.arange(len(nodes)))
    nodes["label"] = pd.array(label, dtype="Float64")
    nodes.loc[np.isnan(label), "label"] = pd.NA
    nodes["split"] = split_by(pd.Series(np.arange(len(nodes))), label, seed)
    return nodes


def _coo(matrix: Any) -> pd.DataFrame:
    found = sp.coo_matrix(matrix)
    return pd.DataFrame({"src": found.row.astype(np.int64), "dst": found.col.astype(np.int64)})


FORMS: dict[str, Callable[[Path, Path, int], None]] = {
    "drop": from_drop, "mat": from_mat, "elliptic": from_elliptic, "dgraph": from_dgraph,
}  # fmt: skip


def convert(kind: str, source: Path, output: Path, *, seed: int = 0) -> None:
    """Writes the graph in `source` into `output` in the form that `ringwatch bench` reads.

    Raises:
        UsageError: no such kind, no such source. DataError: a drop without labels.
    """
    if kind not in FORMS:
        raise UsageError(f"There is no kind {kind!r}.", hint=f"Choose one of {', '.join(FORMS)}.")
    if not source.exists():
        raise UsageError(f"There is no {source}.", hint="Name the file or folder as its authors give it.")
    FORMS[kind](source, output, seed)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Writes a graph in the form that `ringwatch bench` reads.")
    parser.add_argument("kind", choices=sorted(FORMS))
    parser.add_argument("source", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    convert(arguments.kind, arguments.source, arguments.output, seed=arguments.seed)
