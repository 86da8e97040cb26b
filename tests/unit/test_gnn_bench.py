"""`bench` on a graph with a planted answer, what it refuses, and folders made from a drop and from known formats."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from scipy.io import savemat

from ringwatch.cli.models import names_of
from ringwatch.data.benchmarks import convert, split_by
from ringwatch.errors import DataError, UsageError
from ringwatch.gnn.bench import FIGURES, load_benchmark, run_bench
from ringwatch.gnn.models.torch_here import pick_device


def _folder(place: Path, seed: int = 0) -> Path:
    """600 nodes in rings of six; what a node shows is noisy, its ring's mean is not. A third of labels is null."""
    rng = np.random.default_rng(seed)
    n = 600
    ring = np.arange(n) // 6
    label = np.isin(ring, rng.choice(100, 20, replace=False)).astype(float)
    known = np.where(rng.random(n) < 0.33, np.nan, label)
    nodes = pd.DataFrame({"id": [f"n{i}" for i in range(n)], "label": pd.array(known, dtype="Float64")})
    nodes.loc[np.isnan(known), "label"] = pd.NA
    nodes["f_noisy"] = label + rng.normal(0, 1.5, n)
    nodes["f_noise"] = rng.normal(size=n)
    nodes["split"] = rng.choice(["train", "val", "test"], n, p=[0.4, 0.2, 0.4])
    place.mkdir()
    nodes.to_parquet(place / "nodes.parquet", index=False)
    src, dst = np.nonzero((ring[:, None] == ring[None, :]) & ~np.eye(n, dtype=np.bool_))
    names = nodes["id"].to_numpy()
    pd.DataFrame({"src": names[src], "dst": names[dst]}).to_parquet(place / "edges-ring.parquet", index=False)
    far = rng.integers(0, n, (2, 500))
    noise = pd.DataFrame({"src": names[far[0]], "dst": names[far[1]], "weight": rng.random(500)})
    noise.to_parquet(place / "edges-noise.parquet", index=False)
    return place


def test_models_that_see_the_graph_beat_those_that_do_not(tmp_path: Path) -> None:
    benchmark = load_benchmark(_folder(tmp_path / "graph"))
    assert [one.name for one in benchmark.graph.relations] == ["all", "noise", "noise_back", "ring"]
    found = run_bench(benchmark, models=["logistic", "trees", "graph-trees"], seeds=2)
    assert all(set(figures) == set(FIGURES) for figures in found.values())
    assert found["graph-trees"]["auprc"]["mean"] > found["trees"]["auprc"]["mean"] + 0.1
    assert found["graph-trees"]["f1_macro"]["mean"] > 0.7
    again = run_bench(benchmark, models=["graph-trees"], seeds=2)
    assert again["graph-trees"]["auprc"] == found["graph-trees"]["auprc"]


def test_who_knows_nothing_recalls_by_chance_whatever_the_order_of_rows(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "plain")
    nodes = pd.read_parquet(folder / "nodes.parquet")
    nodes["label"] = nodes["label"].fillna(0)
    nodes.sort_values("label", ascending=False).to_parquet(folder / "nodes.parquet", index=False)
    for edges in folder.glob("edges-*.parquet"):
        edges.unlink()
    share = nodes.loc[nodes["split"] == "test", "label"].mean()
    found = run_bench(load_benchmark(folder), models=["belief"], seeds=1)["belief"]
    assert found["recall_at_k"]["mean"] == pytest.approx(share, abs=1e-6)


def test_a_device_or_a_list_of_models_that_is_none_is_refused() -> None:
    with pytest.raises(UsageError, match="no device 'gpu'"):
        pick_device("gpu")
    with pytest.raises(UsageError, match="names no model"):
        names_of(" , ")


@pytest.mark.parametrize("name", ["metapath", "signed"])
def test_networks_run_on_any_graph(name: str, tmp_path: Path) -> None:
    pytest.importorskip("torch_geometric")
    found = run_bench(load_benchmark(_folder(tmp_path / "graph")), models=[name, "logistic"], seeds=1)
    assert found[name]["auprc"]["mean"] > found["logistic"]["auprc"]["mean"]


def test_what_breaks_the_form_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no .*nodes\.parquet"):
        load_benchmark(tmp_path)
    place = _folder(tmp_path / "graph")
    nodes = pd.read_parquet(place / "nodes.parquet")
    with pytest.raises(UsageError, match="no model"):
        run_bench(load_benchmark(place), models=["oracle"])
    nodes.assign(split="train").to_parquet(place / "nodes.parquet", index=False)
    with pytest.raises(UsageError, match="test needs labels"):
        run_bench(load_benchmark(place), models=["logistic"])
    nodes.drop(columns="split").to_parquet(place / "nodes.parquet", index=False)
    with pytest.raises(DataError, match="no column 'split'"):
        load_benchmark(place)
    nodes.iloc[:300].to_parquet(place / "nodes.parquet", index=False)
    with pytest.raises(DataError, match="does not have"):
        load_benchmark(place)


@pytest.mark.parametrize(
    ("column", "value", "says"),
    [("label", -1, "not 0, 1 or null"), ("label", "yes", "'label' that is no number"),
     ("f_noisy", np.inf, "'f_noisy' that is infinite"), ("f_noisy", 1e300, "'f_noisy' that is infinite"),
     ("f_noisy", "low", "'f_noisy' that is no number"), ("weight", -0.1, "weight that is null or below 0"),
     ("weight", np.nan, "weight that is null or below 0"), ("weight", "heavy", "'weight' that is no number")],
)  # fmt: skip
def test_numbers_that_are_none_are_refused(tmp_path: Path, column: str, value: float | str, says: str) -> None:
    place = _folder(tmp_path / "graph")
    file = place / ("edges-noise.parquet" if column == "weight" else "nodes.parquet")
    frame = pd.read_parquet(file)
    if isinstance(value, str):
        frame[column] = value
    else:
        frame.loc[0, column] = value
    frame.to_parquet(file, index=False)
    with pytest.raises(DataError, match=says):
        load_benchmark(place)


def test_nodes_without_a_feature_are_refused(tmp_path: Path) -> None:
    place = _folder(tmp_path / "graph")
    nodes = pd.read_parquet(place / "nodes.parquet")
    nodes.drop(columns=["f_noisy", "f_noise"]).to_parquet(place / "nodes.parquet", index=False)
    with pytest.raises(DataError, match="no feature"):
        load_benchmark(place)


def test_a_split_keeps_units_whole() -> None:
    units = pd.Series(np.arange(300) // 5)
    label = (np.arange(300) // 5 % 4 == 0).astype(float)
    label[::7] = np.nan
    split = split_by(units, label, 0)
    for unit in range(60):
        rows = (units == unit).to_numpy() & ~np.isnan(label)
        assert len(set(split[rows])) == 1
    assert set(split) == {"train", "val", "test"}
    assert (split[np.isnan(label)] == "test").all()


def test_a_drop_becomes_a_graph_with_its_groups_on_one_side(tmp_path: Path) -> None:
    drop = tmp_path / "drop"
    drop.mkdir()
    ids = [f"a{i:02d}" for i in range(60)]
    when = pd.Timestamp("2026-03-01", tz="UTC")
    pd.DataFrame({"account_id": ids, "created_at": when, "x_size": range(60)}).to_parquet(drop / "accounts.parquet")
    links = pd.DataFrame({"account_id": ids, "entity_type": "wallet", "entity_id": [f"w{i // 4}" for i in range(60)]})
    links.to_parquet(drop / "links.parquet")
    relations = pd.DataFrame({"src_account_id": ids[:-1], "dst_account_id": ids[1:], "kind": "transfer", "count": 2})
    relations.to_parquet(drop / "relations.parquet")
    labels = pd.DataFrame(
        {
            "account_id": ids[:40], "label": ["abusive"] * 20 + ["benign"] * 20, "labelled_at": when,
            "group_id": [f"g{i // 4}" for i in range(20)] + [None] * 20,
        }
    )  # fmt: skip
    labels.to_parquet(drop / "labels.parquet")
    convert("drop", drop, tmp_path / "out")
    nodes = pd.read_parquet(tmp_path / "out" / "nodes.parquet").set_index("id")
    assert nodes.loc[ids[:20]].groupby([f"g{i // 4}" for i in range(20)])["split"].nunique().max() == 1
    assert nodes["label"].isna().sum() == 20
    shared = pd.read_parquet(tmp_path / "out" / "edges-same_wallet.parquet")
    assert len(shared) == 15 * 4 * 3
    assert len(load_benchmark(tmp_path / "out").graph) == 60


def test_a_mat_of_relations_becomes_a_graph(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    net = sp.random_array((40, 40), density=0.1, rng=rng, format="csc")
    label = np.arange(40) % 4 == 0
    savemat(
        tmp_path / "x.mat",
        {
            "features": sp.csc_matrix(rng.random((40, 3))),
            "label": label[None, :].astype(float),
            "net_rur": net,
            "homo": net,
        },
    )
    convert("mat", tmp_path / "x.mat", tmp_path / "out")
    found = load_benchmark(tmp_path / "out")
    assert found.graph.features.shape == (40, 3)
    assert (found.label == 1).sum() == 10
    assert "rur" in {one.name for one in found.graph.relations}
    with pytest.raises(UsageError, match="no kind"):
        convert("csv", tmp_path, tmp_path / "out")


def test_elliptic_keeps_the_split_of_its_authors(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    source = tmp_path / "elliptic"
    source.mkdir()
    ids, step = np.arange(100, 149), np.arange(1, 50)
    features = pd.DataFrame(np.column_stack([ids, step, rng.random((49, 3))]))
    features[[0, 1]] = features[[0, 1]].astype(int)
    features.to_csv(source / "elliptic_txs_features.csv", header=False, index=False)
    said = np.array(["1", "2", "unknown"])[np.arange(49) % 3]
    pd.DataFrame({"txId": ids, "class": said}).to_csv(source / "elliptic_txs_classes.csv", index=False)
    flow = pd.DataFrame({"txId1": ids[:-1], "txId2": ids[1:]})
    flow.to_csv(source / "elliptic_txs_edgelist.csv", index=False)
    convert("elliptic", source, tmp_path / "out")
    found = load_benchmark(tmp_path / "out")
    known = said != "unknown"
    assert [int(found.split[name].sum()) for name in ("train", "val", "test")] == [
        int((known & rows).sum()) for rows in (step < 30, (step >= 30) & (step < 35), step >= 35)
    ]
    assert (found.label == 1).sum() == (said == "1").sum()
    assert found.graph.features.shape == (49, 4), "time step and features"
    assert {one.name for one in found.graph.relations} == {"all", "flow", "flow_back"}


def test_dgraph_has_a_relation_for_each_type_and_leaves_its_background_unlabelled(tmp_path: Path) -> None:
    n, rng = 60, np.random.default_rng(0)
    y = np.arange(n) % 4
    order = rng.permutation(n)
    train, valid, test = (np.isin(np.arange(n), rows) for rows in (order[:30], order[30:45], order[45:]))
    np.savez(
        tmp_path / "dgraphfin.npz", x=rng.random((n, 17)), y=y[:, None], edge_index=rng.integers(0, n, (80, 2)),
        edge_type=np.arange(80) % 3 + 1, train_mask=train, valid_mask=valid, test_mask=test,
    )  # fmt: skip
    convert("dgraph", tmp_path / "dgraphfin.npz", tmp_path / "out")
    found = load_benchmark(tmp_path / "out")
    assert found.graph.features.shape == (n, 17)
    assert (found.label >= 0).sum() == (y <= 1).sum()
    assert found.split["test"].sum() == (test & (y <= 1)).sum()
    assert {one.name.removesuffix("_back") for one in found.graph.relations} == {"all", "type1", "type2", "type3"}
