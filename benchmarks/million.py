"""What training costs on a million accounts: a made graph through the functions that `train` uses.

A log of a million accounts takes long to make; what training sees of it is columns and relations, and those are made
here at once: 40 columns, ties of five mates each, clusters, and an address that a few share. One account in fifty is
abusive, and 2,000 of them are labelled. Prints JSON: seconds, and accounts scored a second.
"""

from __future__ import annotations

import json
import time
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from ringwatch.gnn import feature_blocks, full_view
from ringwatch.gnn.graph import Direct, Graph, Through
from ringwatch.gnn.labels import ABUSIVE, UNKNOWN, Labels
from ringwatch.gnn.models import MODELS
from ringwatch.gnn.task import make_task

ACCOUNTS, COLUMNS, OWN, LABELLED = 1_000_000, 40, 28, 2000
GROUP = 6


def drawn(n: int) -> tuple[Graph, npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """A graph of `n` accounts, the group of each, and which are abusive; the same each time."""
    rng = np.random.default_rng(0)
    group = np.arange(n) // GROUP
    abusive = rng.random(group[-1] + 1)[group] < 0.02
    features = rng.normal(size=(n, COLUMNS)).astype(np.float32)
    features[:, :4] += 1.2 * abusive[:, None]
    ends = [(np.arange(n), np.minimum(group * GROUP + place, n - 1)) for place in range(GROUP)]
    src, dst = (np.concatenate([pair[side] for pair in ends]) for side in (0, 1))
    noise = rng.integers(0, n, (2, n))
    src, dst = np.r_[src, noise[0], noise[1]], np.r_[dst, noise[1], noise[0]]
    apart = src != dst
    weight = np.r_[np.full(n * GROUP, 0.9), np.full(2 * n, 0.05)].astype(np.float32)
    tie = Direct("tie", sp.csr_matrix((weight[apart], (src[apart], dst[apart])), shape=(n, n)))
    mates = Through("cluster", np.arange(n), group, np.full(group[-1] + 1, 4.0), n)
    address = rng.integers(0, n // 3, n)
    shared = Through("ip", np.arange(n), address, rng.uniform(0, 6, n // 3), n)
    base = np.where(abusive, 1.0, -5.0) + rng.normal(0, 2, n)
    names = tuple(f"c{number}" for number in range(COLUMNS))
    ids = np.arange(n).astype(object)
    graph = Graph(ids, features, names, (tie, mates, shared), base, tuple(range(11)), OWN, carriers=2)
    return graph, group, abusive


def made() -> tuple[Graph, Labels]:
    """The graph of a million accounts, and its labels."""
    graph, group, abusive = drawn(ACCOUNTS)
    label = np.full(ACCOUNTS, UNKNOWN, dtype=np.int8)
    label[np.random.default_rng(1).choice(np.flatnonzero(abusive), LABELLED, replace=False)] = ABUSIVE
    return graph, Labels(label, group, np.where(label == ABUSIVE, 0.0, np.nan))


def main() -> None:
    graph, labels = made()
    start = time.perf_counter()
    blocks = feature_blocks(graph)
    task = make_task(graph, blocks, labels, seed=1)
    before = time.perf_counter() - start
    fits: dict[str, float] = {}
    scored: dict[str, float] = {}
    view = full_view(graph, blocks, labels)
    for name in ("graph-trees", "metapath", "propagation"):
        start = time.perf_counter()
        fitted = MODELS[name].fit(task)
        fits[name] = time.perf_counter() - start
        start = time.perf_counter()
        fitted.score(view)
        scored[name] = round(len(graph) / (time.perf_counter() - start))
    found: dict[str, Any] = {
        "network": before + fits["metapath"], "propagation": before + fits["propagation"],
        "ratio": fits["metapath"] / fits["graph-trees"], "scored": scored,
    }  # fmt: skip
    print(json.dumps(found))


if __name__ == "__main__":
    main()
