"""Which other clusters are like this one, and what was decided about them: what came of it last time?"""

from __future__ import annotations

import numpy as np
import pandas as pd

from ringwatch.graphs.clusters import ABUSE_LAYERS
from ringwatch.pipeline import Run
from ringwatch.review.cases import Book

COLUMNS = ("cluster_id", "case_id", "state", "size", "score", "accounts", "shared", "bits", "alike")

LEAST_ALIKE = 0.8
"""A cluster that shares nothing is like another by its reasons from this cosine on, where it has a case."""

MOST = 6
"""So many are named."""

_COMMON = ("user_agent", "signup_burst", "signup_burst_mail", "signup_burst_place")
"""What strangers share by the browser that they have and by the time of day."""


def similar_clusters(run: Run, book: Book, cluster_id: str) -> pd.DataFrame:
    """COLUMNS: those that have members in common, then those that somebody decided on, the most similar first.

    `accounts`: how many members of the cluster were members of the newest case of that one. `shared`: what both have,
    as text, by type; `bits`: how much that says, each thing log2 of one cluster in how many has it. `alike`: cosine
    of the two lists of reasons, in bits a layer. `size` and `score` are null where the run has no such cluster.
    """
    things = run.entities.loc[~run.entities["type"].isin(_COMMON), ["cluster_id", "type", "token"]].drop_duplicates()
    having = things.groupby(["type", "token"])["cluster_id"].transform("size")
    things = things.assign(bits=np.log2(max(len(run.clusters), 1) / having))
    own = things[things["cluster_id"] == cluster_id]
    common = things[things["cluster_id"] != cluster_id].merge(own[["type", "token"]], on=["type", "token"])
    counts = common.groupby(["cluster_id", "type"]).size().reset_index(name="count")
    counts["said"] = counts["count"].astype(str) + " " + counts["type"].str.replace("_", " ")
    shared = counts.groupby("cluster_id")["said"].agg(", ".join)
    bits = common.groupby("cluster_id")["bits"].sum()
    alike = _alike(run, cluster_id)
    newest = {case.cluster_id: case for case in book.cases.values() if case.cluster_id != cluster_id}
    members = set(run.members.loc[run.members["cluster_id"] == cluster_id, "account_id"])
    accounts = {name: len(members.intersection(case.members)) for name, case in newest.items()}
    table = pd.DataFrame({"cluster_id": sorted({*shared.index, *newest})})
    table = table.merge(run.clusters[["cluster_id", "size", "score"]], how="left", on="cluster_id")
    case = [newest.get(name) for name in table["cluster_id"]]
    table = table.assign(
        case_id=pd.Series([None if one is None else one.case_id for one in case], dtype="object"),
        state=pd.Series([None if one is None else str(one.state) for one in case], dtype="object"),
        accounts=table["cluster_id"].map(accounts).fillna(0).astype(int),
        shared=table["cluster_id"].map(shared).fillna(""),
        bits=table["cluster_id"].map(bits).fillna(0.0).round(1),
        alike=table["cluster_id"].map(alike).fillna(0.0).round(2),
        decided=[one is not None for one in case],
    )
    shares = (table["accounts"] > 0) | (table["bits"] > 0)
    table = table[shares | (table["decided"] & (table["alike"] >= LEAST_ALIKE))].sort_values(
        ["accounts", "decided", "bits", "alike", "cluster_id"], ascending=[False, False, False, False, True],
        ignore_index=True,
    )  # fmt: skip
    return table.head(MOST)[list(COLUMNS)]


def _alike(run: Run, cluster_id: str) -> pd.Series[float]:
    """The cosine of each cluster's reasons with those of one."""
    reasons = run.evidence[~run.evidence["layer"].isin([*ABUSE_LAYERS, "prior", "others"])]
    table = reasons.pivot_table(index="cluster_id", columns="layer", values="bits", aggfunc="sum", fill_value=0.0)
    if cluster_id not in table.index:
        return pd.Series(dtype="float64")
    values = table.to_numpy(dtype=np.float64)
    own = values[table.index.get_loc(cluster_id)]
    length = np.linalg.norm(values, axis=1) * np.linalg.norm(own)
    return pd.Series((values @ own) / np.maximum(length, 1e-12), index=table.index)
