"""The benchmarks hold peers to a measure written apart from the product's: on the same clusters both say the same."""

from __future__ import annotations

import numpy as np
import pandas as pd
import peers
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


@pytest.mark.parametrize("seed", range(5))
def test_both_measures_agree(seed: int) -> None:
    clusters, labels = _world(seed)
    own = peers.quality(clusters, labels)
    members = clusters.rename(columns={"cluster": "cluster_id"})
    listed = pd.DataFrame({"cluster_id": sorted(members["cluster_id"].unique())})
    scores = pd.DataFrame({"account_id": labels["account_id"], "score": 0.5})
    other = assess(labels, scores, members, listed).clusters
    assert 0.2 < own.recovery < 1
    assert own.recovery == pytest.approx(other["recovery"].value, abs=1e-6)
    assert own.precision_at_k == pytest.approx(other["precision_at_k"].value, abs=1e-6)
