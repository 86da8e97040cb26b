"""A measure written apart from the product's, by joins and not by counts: on the same clusters both say the same."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ringwatch.evaluation import assess


def _world(seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    random = np.random.default_rng(seed)
    accounts = np.array([f"a{i}" for i in range(300)])
    group = random.integers(-20, 25, 300)
    labels = pd.DataFrame(
        {
            "account_id": accounts,
            "label": np.where(group >= 0, "abusive", "benign"),
            "group_id": [f"g{g}" if g >= 0 else None for g in group],
        }
    )
    found = np.where(random.random(300) < 0.7, group, random.integers(0, 30, 300))
    clusters = pd.DataFrame({"cluster": found, "account_id": accounts})[found >= 0]
    sizes = clusters.groupby("cluster")["account_id"].transform("size")
    kept = clusters[sizes >= 3]
    rank = pd.Series(range(kept["cluster"].nunique()), index=random.permutation(kept["cluster"].unique()))
    return kept.assign(cluster=kept["cluster"].map(rank)), labels


def _by_joins(clusters: pd.DataFrame, labels: pd.DataFrame) -> tuple[float, float]:
    """Recovery and precision at k of ranked clusters (0 is the first), by the contract's definitions."""
    groups = labels[labels["group_id"].notna() & (labels["label"] == "abusive")][["account_id", "group_id"]]
    sizes = groups.groupby("group_id")["account_id"].size()
    cluster_sizes = clusters.groupby("cluster")["account_id"].size()
    both = clusters.merge(groups, on="account_id")
    common = both.groupby(["group_id", "cluster"])["account_id"].size().rename("n").reset_index()
    of_group, of_cluster = common["group_id"].map(sizes), common["cluster"].map(cluster_sizes)
    common["f1"] = 2 * common["n"] / (of_group + of_cluster)
    best = common.groupby("group_id")["f1"].max().reindex(sizes[sizes >= 3].index).fillna(0.0)
    first = sorted(cluster_sizes.index)[: len(sizes)]
    hits = set(common.loc[common["n"] * 2 > of_cluster, "cluster"])
    return float(best.mean()), sum(cluster in hits for cluster in first) / max(len(first), 1)


@pytest.mark.parametrize("seed", range(5))
def test_both_measures_agree(seed: int) -> None:
    clusters, labels = _world(seed)
    recovery, precision = _by_joins(clusters, labels)
    members = clusters.rename(columns={"cluster": "cluster_id"})
    listed = pd.DataFrame({"cluster_id": sorted(members["cluster_id"].unique())})
    scores = pd.DataFrame({"account_id": labels["account_id"], "score": 0.5})
    other = assess(labels, scores, members, listed).clusters
    assert 0.2 < recovery < 1
    assert recovery == pytest.approx(other["recovery"].value, abs=1e-6)
    assert precision == pytest.approx(other["precision_at_k"].value, abs=1e-6)
