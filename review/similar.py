"""Which other clusters are like this one, and what was decided about them: a reviewer asks what came of it last time."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ringwatch.graphs.clusters import ABUSE_LAYERS
from ringwatch.pipeline import Run
from ringwatch.review.cases import Book

COLUMNS = ("cluster_id", "case_id", "state", "size", "score", "accounts", "shared", "bits", "alike")

LEAST_ALIKE = 0.8
"""A cluster that shares nothing is like another by its reasons from this cosine on, where it has a case."""

_COMMON = ("user_agent", "signup_burst", "signup_burst_mail", "signup_burst_place")
"""What strangers share by the browser that they have and by the time of day."""


def similar_clusters(run: Run, book: Book, cluster_id: str, *, limit: int = 6) -> pd.DataFrame:
    """COLUMNS: those that have members in common, then those that somebody decided on, the most similar first.

    `accounts`: how many members of the cluster were members of the newest case of that one. `shared`: what both have,
    as text, by type; `bits`: how much that says, each thing log2 of one cluster in how many has it. `alike`: cosine of
    the two lists of reasons, in bits a layer. `size` and `score` are null where the run has no such cluster any more.
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
    clusters = run.clusters.set_index("cluster_id")
    rows = [
        (
            name, newest[name].case_id if name in newest else None, str(newest[name].state) if name in newest else None,
            int(clusters.at[name, "size"]) if name in clusters.index else None,
            float(clusters.at[name, "score"]) if name in clusters.index else None,
            accounts.get(name, 0), shared.get(name, ""), round(float(bits.get(name, 0.0)), 1),
            round(float(alike.get(name, 0.0)), 2),
        )
        for name in {*shared.index, *newest}
    ]  # fmt: skip
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    keep = (
        (table["accounts"] > 0) | (table["bits"] > 0) | (table["case_id"].notna() & (table["alike"] >= LEAST_ALIKE))
    )
    table = table[keep].assign(decided=table["case_id"].notna())
    table = table.sort_values(
        ["accounts", "decided", "bits", "alike", "cluster_id"], ascending=[False, False, False, False, True],
        ignore_index=True,
    )  # fmt: skip
    return table.head(limit)[list(COLUMNS)]


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
