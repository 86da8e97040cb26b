"""What others would do with the same drop: accounts that share an entity are joined, then cut into communities.

An entity of k accounts gives each of their pairs the weight 1 / log2(1 + k) (Adamic and Adar 2003), relations
weigh 1; entities of more than `HUB` accounts, and those that the drop itself names as shared by strangers, are left
out. Communities: connected components, Louvain (Blondel and others 2008) and Leiden (Traag and others 2019), the last
two by modularity. They are ranked by their members' share of harmful events, shrunk towards the mean, times the
logarithm of their size; where there are no events, by size. The measures are written here apart from the product's.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb
import igraph
import numpy as np
import numpy.typing as npt
import pandas as pd

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

HUB = 400
PRIOR_EVENTS = 20.0
SMALLEST = 3


@dataclass(frozen=True)
class Quality:
    """`recovery`: mean best F1 of true groups of three or more; `precision_at_k`: k is the number of true groups."""

    recovery: float
    precision_at_k: float


def columns(con: duckdb.DuckDBPyConnection, path: Path) -> set[str]:
    """The column names of a Parquet file; none where it is absent."""
    if not path.exists():
        return set()
    return {row[0] for row in con.execute("DESCRIBE SELECT * FROM read_parquet(?)", [str(path)]).fetchall()}


def _shared(con: duckdb.DuckDBPyConnection, drop: Path) -> str:
    parts = []
    for file, fields in (("events", ("ip", "device_id", "payment_id")), ("accounts", ("email", "phone"))):
        path = drop / f"{file}.parquet"
        for field in sorted(columns(con, path) & set(fields)):
            parts.append(f"SELECT account_id, '{field}' AS t, {field} AS v FROM '{path}' WHERE {field} IS NOT NULL")
    if (drop / "links.parquet").exists():
        parts.append(f"SELECT account_id, entity_type AS t, entity_id AS v FROM '{drop}/links.parquet'")
    return " UNION ".join(parts) if parts else "SELECT '' AS account_id, '' AS t, '' AS v WHERE false"


def _known(drop: Path) -> str:
    path = drop / "entities.parquet"
    return f"SELECT entity_id FROM '{path}'" if path.exists() else "SELECT ''"


def edges(drop: Path) -> tuple[list[str], IntArray, FloatArray]:
    """Accounts, pairs of their positions (n, 2) and weights (n)."""
    relations = "SELECT '' AS a, '' AS b, 0.0 AS w WHERE false"
    if (drop / "relations.parquet").exists():
        relations = f"""SELECT least(src_account_id, dst_account_id), greatest(src_account_id, dst_account_id), 1.0
            FROM '{drop}/relations.parquet' WHERE src_account_id <> dst_account_id"""
    with duckdb.connect() as con:
        con.execute(f"CREATE TABLE held AS {_shared(con, drop)}")
        con.execute(
            f"""CREATE TABLE size AS SELECT t, v, count(*) AS k FROM held
                WHERE v NOT IN ({_known(drop)}) GROUP BY t, v HAVING k BETWEEN 2 AND {HUB}"""
        )
        frame = con.execute(
            f"""SELECT a, b, sum(w) AS w FROM (
                SELECT x.account_id AS a, y.account_id AS b, 1 / log2(1 + k) AS w FROM held x JOIN size USING (t, v)
                JOIN held y ON x.t = y.t AND x.v = y.v AND x.account_id < y.account_id
                UNION ALL {relations}) GROUP BY a, b ORDER BY a, b"""
        ).df()
    names, codes = np.unique(frame[["a", "b"]].to_numpy(dtype=object).ravel().astype(str), return_inverse=True)
    return names.tolist(), codes.reshape(-1, 2), frame["w"].to_numpy(dtype=np.float64)


def communities(drop: Path, *, seed: int = 1) -> Iterator[tuple[str, pd.DataFrame]]:
    """For each peer its name and its clusters of three or more: `cluster`, `account_id`, best cluster first."""
    names, pairs, weights = edges(drop)
    graph = igraph.Graph(n=len(names), edges=pairs)
    harm = _harm(drop).reindex(names).fillna(0.0)
    igraph.set_random_number_generator(random.Random(seed))
    found = {
        "connected components": graph.connected_components().membership,
        "Louvain": graph.community_multilevel(weights=weights).membership,
        "Leiden": graph.community_leiden("modularity", weights=weights, n_iterations=-1).membership,
    }
    for name, membership in found.items():
        members = pd.DataFrame({"cluster": membership, "account_id": names})
        members["harmful"], members["events"] = harm["harmful"].to_numpy(), harm["events"].to_numpy()
        yield name, _ranked(members)


def _harm(drop: Path) -> pd.DataFrame:
    path = drop / "events.parquet"
    with duckdb.connect() as con:
        known = columns(con, path)
        if not {"harm", "refused"} <= known:
            return pd.DataFrame({"harmful": [], "events": []})
        return con.execute(
            f"""SELECT account_id, count(*) FILTER (WHERE harm IS NOT NULL OR refused)::DOUBLE AS harmful,
                count(*)::DOUBLE AS events FROM '{path}' GROUP BY 1"""
        ).df().set_index("account_id")  # fmt: skip


def _ranked(members: pd.DataFrame) -> pd.DataFrame:
    sums = members.groupby("cluster").agg(
        size=("account_id", "size"), harmful=("harmful", "sum"), events=("events", "sum")
    )
    sums = sums[sums["size"] >= SMALLEST]
    mean = sums["harmful"].sum() / max(sums["events"].sum(), 1.0)
    rate = (sums["harmful"] + PRIOR_EVENTS * mean) / (sums["events"] + PRIOR_EVENTS)
    score = (rate if sums["events"].sum() else 1.0) * np.log2(sums["size"])
    order = score.sort_values(ascending=False, kind="stable").index
    rank = pd.Series(range(len(order)), index=order)
    kept = members[members["cluster"].isin(order)].assign(cluster=lambda frame: frame["cluster"].map(rank))
    return kept.sort_values(["cluster", "account_id"])[["cluster", "account_id"]].reset_index(drop=True)


def quality(clusters: pd.DataFrame, labels: pd.DataFrame) -> Quality:
    """Holds ranked clusters (0 is the first) to a labels table, by the contract's definitions."""
    groups = labels[labels["group_id"].notna() & (labels["label"] == "abusive")][["account_id", "group_id"]]
    sizes = groups.groupby("group_id")["account_id"].size()
    cluster_sizes = clusters.groupby("cluster")["account_id"].size()
    both = clusters.merge(groups, on="account_id")
    common = both.groupby(["group_id", "cluster"])["account_id"].size().rename("n").reset_index()
    of_group, of_cluster = common["group_id"].map(sizes), common["cluster"].map(cluster_sizes)
    common["f1"] = 2 * common["n"] / (of_group + of_cluster)
    best = common.groupby("group_id")["f1"].max().reindex(sizes[sizes >= SMALLEST].index).fillna(0.0)
    first = sorted(cluster_sizes.index)[: len(sizes)]
    hits = set(common.loc[common["n"] * 2 > of_cluster, "cluster"])
    return Quality(float(best.mean()), sum(cluster in hits for cluster in first) / max(len(first), 1))
