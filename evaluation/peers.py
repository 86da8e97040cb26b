"""What others would do with the same log: accounts that share an entity are joined, then cut into communities.

An entity of k accounts gives each of their pairs the weight 1 / log2(1 + k) (Adamic and Adar, "Friends and neighbors
on the Web", Social Networks 2003), relations weigh 1; entities of more than `HUB` accounts, and those that the log
itself names as shared by strangers, are left out. Communities: connected components; Louvain (Blondel and others, J.
Stat. Mech. 2008) and Leiden (Traag and others, Scientific Reports 2019), both by modularity; label propagation
(Raghavan and others, Phys. Rev. E 2007). They are ranked by their members' share of harmful events, shrunk towards
the mean, times the logarithm of their size; where there are no events, by size.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import duckdb
import igraph as ig
import numpy as np
import numpy.typing as npt
import pandas as pd

from ringwatch.evaluation.evaluate import EvaluationReport, KindRecovery
from ringwatch.evaluation.intervals import Estimate, documents
from ringwatch.evaluation.metrics import MIN_GROUP, FloatArray, IntArray
from ringwatch.graphs import collect_accounts

HUB = 400
PRIOR_EVENTS = 20.0
UNIT = 1 << 30
"""Weights are added up as whole numbers of this unit: sums of floats would depend on the order of threads."""


FIGURES = ("recovery", "precision_at_k", "pairwise_f1")
"""What a peer is held to, among the figures of clusters."""

_FIELDS = {"ip": "ev", "device": "ev", "payment": "ev", "email": "accounts", "phone": "accounts"}
_HELD = "SELECT i, entity_type AS t, entity AS v FROM links JOIN ix USING (account_id) " + " ".join(
    f"UNION SELECT i, '{field}', {field} FROM {'ev' if table == 'ev' else 'accounts JOIN ix USING (account_id)'} "
    f"WHERE {field} IS NOT NULL"
    for field, table in _FIELDS.items()
)


@dataclass(frozen=True)
class Peer:
    """A peer's figures, against the same truth as the run's: those of `FIGURES`, and recovery by kind."""

    name: str
    clusters: dict[str, Estimate]
    kinds: tuple[KindRecovery, ...]

    def document(self) -> dict[str, Any]:
        kinds = [kind.document() for kind in self.kinds]
        return {"name": self.name, "clusters": documents(self.clusters), "kinds": kinds}


def hold_peers(
    con: duckdb.DuckDBPyConnection, measure: Callable[[pd.DataFrame, pd.DataFrame], EvaluationReport], *, seed: int
) -> tuple[Peer, ...]:
    """Finds each peer's clusters in the attached views of the log; `measure` takes their members and their list."""
    found = []
    for name, members in communities(con, seed=seed):
        listed = members[["cluster_id"]].drop_duplicates()
        report = measure(members, listed)
        found.append(Peer(name, {figure: report.clusters[figure] for figure in FIGURES}, report.kinds))
    return tuple(found)


def communities(con: duckdb.DuckDBPyConnection, *, seed: int) -> Iterator[tuple[str, pd.DataFrame]]:
    """For each peer its name and its clusters of three or more: `cluster_id`, `account_id`, best cluster first.

    Makes temporary tables in `con`.
    """
    accounts = collect_accounts(con)
    nodes, pairs, weight = _edges(con)
    frame = accounts.frame.iloc[nodes]
    graph = ig.Graph(n=len(nodes), edges=pairs)
    ig.set_random_number_generator(random.Random(seed))  # noqa: S311 (a seed, not a secret)
    weighted = {"weights": weight.tolist()}
    ways: dict[str, tuple[str, dict[str, Any]]] = {
        "connected components": ("connected_components", {}),
        "Louvain": ("community_multilevel", weighted),
        "Leiden": ("community_leiden", {"objective_function": "modularity", "n_iterations": -1, **weighted}),
        "label propagation": ("community_label_propagation", weighted),
    }
    for name, (method, settings) in ways.items():
        found: Any = getattr(graph, method)(**settings)
        cluster = np.asarray(found.membership, dtype=np.int64)
        yield name, _ranked(cluster, frame["account_id"], frame["harmful"], frame["events"])


def _edges(con: duckdb.DuckDBPyConnection) -> tuple[IntArray, IntArray, FloatArray]:
    """Accounts that have an edge, pairs of positions among them (n, 2), weights (n)."""
    found = con.execute(
        f"""
        WITH held AS ({_HELD}),
        size AS (SELECT t, v, count(*) AS k FROM held ANTI JOIN entities ON entity_type = t AND entity = v
                 GROUP BY t, v HAVING k BETWEEN 2 AND {HUB}),
        related AS (SELECT least(s.i, d.i) AS a, greatest(s.i, d.i) AS b FROM relations
                    JOIN ix s ON src_account_id = s.account_id JOIN ix d ON dst_account_id = d.account_id)
        SELECT a, b, sum(w) AS w FROM (
            SELECT x.i AS a, y.i AS b, round({UNIT} / log2(1 + k))::BIGINT AS w
            FROM held x JOIN size USING (t, v) JOIN held y ON x.t = y.t AND x.v = y.v AND x.i < y.i
            UNION ALL SELECT a, b, {UNIT} FROM related WHERE a <> b)
        GROUP BY a, b ORDER BY a, b
        """
    ).fetchnumpy()
    ends = np.column_stack([found["a"], found["b"]]).astype(np.int64)
    nodes, place = np.unique(ends, return_inverse=True)
    return nodes, place.reshape(-1, 2).astype(np.int64), np.asarray(found["w"], dtype=np.float64) / UNIT


def _ranked(cluster: IntArray, account_id: pd.Series, harmful: pd.Series, events: pd.Series) -> pd.DataFrame:
    def total(values: npt.NDArray[Any] | None = None) -> FloatArray:
        return np.bincount(cluster, values).astype(np.float64)

    size = total()
    bad, all_ = total(harmful.to_numpy()), total(events.to_numpy())
    large = np.flatnonzero(size >= MIN_GROUP)
    mean = bad[large].sum() / max(all_[large].sum(), 1.0)
    rate = (bad + PRIOR_EVENTS * mean) / (all_ + PRIOR_EVENTS) if all_[large].sum() else np.ones(len(size))
    score = rate * np.log2(np.maximum(size, 1))
    place = np.full(len(size), -1, dtype=np.int64)
    place[large[np.argsort(-score[large], kind="stable")]] = np.arange(len(large))
    members = pd.DataFrame({"cluster_id": place[cluster], "account_id": account_id.to_numpy()})
    return members[members["cluster_id"] >= 0].sort_values(["cluster_id", "account_id"], ignore_index=True)
