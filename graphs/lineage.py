"""What became of the clusters of one run in the next: born, grew, shrank, merged, split, ended, returned.

Two clusters are linked when they share more than half of the smaller one: when most of the old one went into the new
one, or most of the new one came out of the old one. Where most of several went into one they have merged; where
several came out of one, or most of it went elsewhere, it has split.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ringwatch.graphs.naming import History, overlaps

NEW, KNOWN, GREW, SHRANK, MERGED, SPLIT, ENDED, RETURNED = (
    "new", "known", "grew", "shrank", "merged", "split", "ended", "returned",
)  # fmt: skip
KINDS = (RETURNED, MERGED, SPLIT, GREW, SHRANK, KNOWN, NEW, ENDED)
"""Kinds of lineage; of several that a cluster has, the first is its status. No cluster of a run has ended."""

COLUMNS = ("cluster_id", "from_cluster_id", "kind", "shared", "size", "before")


def trace(now: pd.DataFrame, history: History) -> pd.DataFrame:
    """The lineage of a run against the run before it, or against any earlier one.

    Args:
        now: id and account_id of the clusters of the run, with the ids that they have. history: of clusters only.

    Returns:
        cluster_id (null: ended), from_cluster_id (null: new), kind, shared (members in both), size (of the new
        cluster), before (of the old one). Every cluster of either run is in a row.
    """
    then = history.members
    links = _links(now, then)
    into, of = 2 * links["shared"] > links["before"], 2 * links["shared"] > links["size"]
    heirs = links["new"].map(links.loc[into, "new"].value_counts()).fillna(0)
    parts = links["old"].map(links.loc[of, "old"].value_counts()).fillna(0)
    elsewhere = ~into & links["old"].isin(links.loc[into, "old"])
    change = np.sign(links["size"] - links["before"])
    kind = np.select(
        [into & (heirs > 1), of & ((parts > 1) | elsewhere), change > 0, change < 0],
        [MERGED, SPLIT, GREW, SHRANK],
        default=KNOWN,
    )
    rows = [links.assign(kind=kind)]
    size, before = now.groupby("id").size(), then.groupby("id").size()
    fresh = size[~size.index.isin(links["new"])]
    past = history.past.merge(now, on=["id", "account_id"]).groupby("id").size()
    known = pd.Index(history.past["id"].unique())
    back = fresh.index.isin(known)
    rows.append(
        pd.DataFrame(
            {
                "new": fresh.index, "old": fresh.index.to_series().where(back).to_numpy(dtype=object),
                "kind": np.where(back, RETURNED, NEW), "shared": past.reindex(fresh.index).fillna(0).to_numpy(),
                "size": fresh.to_numpy(),
                "before": history.past.groupby("id").size().reindex(fresh.index).fillna(0).to_numpy(),
            }
        )
    )  # fmt: skip
    gone = before[~before.index.isin(links["old"])]
    rows.append(
        pd.DataFrame(
            {"new": None, "old": gone.index, "kind": ENDED, "shared": 0, "size": 0, "before": gone.to_numpy()}
        )
    )
    return _ordered(pd.concat([row for row in rows if len(row)] or rows[:1], ignore_index=True))


def _links(now: pd.DataFrame, then: pd.DataFrame) -> pd.DataFrame:
    """What overlaps; and one id in both runs is one cluster, though over many runs all its members may change."""
    links = overlaps(now, then)
    both = now["id"].drop_duplicates()
    missing = both[both.isin(then["id"]) & ~both.isin(links.loc[links["new"] == links["old"], "new"])]
    shared = now.merge(then, on=["id", "account_id"]).groupby("id").size()
    kept = pd.DataFrame(
        {
            "new": missing, "old": missing, "shared": shared.reindex(missing).fillna(0).to_numpy(dtype=np.int64),
            "size": now.groupby("id").size().reindex(missing).to_numpy(),
            "before": then.groupby("id").size().reindex(missing).to_numpy(),
        }
    )  # fmt: skip
    return pd.concat([links, kept], ignore_index=True) if len(kept) else links


def _ordered(rows: pd.DataFrame) -> pd.DataFrame:
    table = rows.rename(columns={"new": "cluster_id", "old": "from_cluster_id"})[list(COLUMNS)]
    table = table.astype({"shared": np.int64, "size": np.int64, "before": np.int64})
    for name in ("cluster_id", "from_cluster_id", "kind"):
        table[name] = table[name].astype("str")
    rank = table["kind"].map({kind: place for place, kind in enumerate(KINDS)})
    order = np.lexsort((table["from_cluster_id"].fillna(""), table["cluster_id"].fillna(""), rank))
    return table.iloc[order].reset_index(drop=True)


def statuses(lineage: pd.DataFrame) -> pd.Series:
    """The one word of each cluster of the run, by cluster_id; `lineage` as `trace` returns it."""
    return lineage.dropna(subset="cluster_id").drop_duplicates("cluster_id").set_index("cluster_id")["kind"]


def with_returns(lineage: pd.DataFrame, returns: pd.DataFrame) -> pd.DataFrame:
    """`lineage`, where clusters are known to have come back.

    Args:
        returns: cluster_id, from_cluster_id, before (size of what came back). A cluster that goes on with that same
            earlier one has its row renamed; a new one gets the earlier one as its origin.
    """
    if returns.empty:
        return lineage
    table = lineage.copy()
    wanted = returns.drop_duplicates("cluster_id").set_index("cluster_id")
    source = table["cluster_id"].map(wanted["from_cluster_id"])
    goes_on = source.notna() & (table["from_cluster_id"] == source)
    fresh = source.notna() & (table["kind"] == NEW)
    table.loc[fresh, "from_cluster_id"] = source[fresh]
    table.loc[fresh, "before"] = table.loc[fresh, "cluster_id"].map(wanted["before"]).astype(np.int64)
    table.loc[goes_on | fresh, "kind"] = RETURNED
    return _ordered(table)


@dataclass(frozen=True)
class Difference:
    """What changed from one run (`before`) to a later one (`after`).

    `lineage`: as `trace` has it. `moved`: account_id, from_cluster_id, to_cluster_id of accounts that are in another
    cluster, or that joined (from is null) or left (to is null) a cluster that is in both runs.
    """

    before: str
    after: str
    lineage: pd.DataFrame
    moved: pd.DataFrame

    def document(self) -> dict[str, Any]:
        """What happened, by kind, as JSON has it; `known` is how many clusters are as they were."""
        rows: dict[str, list[dict[str, Any]]] = {kind: [] for kind in KINDS}
        for row in self.lineage.to_dict("records"):
            new, old = (None if pd.isna(row[name]) else row[name] for name in ("cluster_id", "from_cluster_id"))
            told = {str(name): value for name, value in row.items()}
            rows[row["kind"]].append({**told, "cluster_id": new, "from_cluster_id": old})
        parts = {
            MERGED: _gathered(rows[MERGED], "cluster_id", "from_cluster_id", "from"),
            SPLIT: _gathered(rows[SPLIT], "from_cluster_id", "cluster_id", "into"),
        }
        changed = {
            kind: [
                {
                    **{name: row[name] for name in ("cluster_id", "from_cluster_id", "size", "before")},
                    "joined": row["size"] - row["shared"], "left": row["before"] - row["shared"],
                }
                for row in rows[kind]
            ]
            for kind in (GREW, SHRANK, RETURNED)
        }  # fmt: skip
        return {
            "from_run": self.before,
            "to_run": self.after,
            "born": [{"cluster_id": row["cluster_id"], "size": row["size"]} for row in rows[NEW]],
            **changed,
            **parts,
            "ended": [{"cluster_id": row["from_cluster_id"], "size": row["before"]} for row in rows[ENDED]],
            "known": len(rows[KNOWN]),
            "moved": [
                {str(name): None if pd.isna(value) else value for name, value in row.items()}
                for row in self.moved.to_dict("records")
            ],
        }


def _gathered(rows: list[dict[str, Any]], whole: str, part: str, name: str) -> list[dict[str, Any]]:
    """Rows of one merger, or of one split, as one: the cluster that there is of it, and its parts."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault(row[whole], []).append(row)
    return [
        {
            "cluster_id": key,
            "size": own[0]["size" if whole == "cluster_id" else "before"],
            name: [{"cluster_id": row[part], "shared": row["shared"]} for row in own],
        }
        for key, own in found.items()
    ]


def difference(now: History, then: History, lineage: pd.DataFrame) -> Difference:
    """Compares two runs, of each of which only the clusters are looked at.

    Args:
        now, then: what the later and the earlier run found. lineage: of the later run against the earlier one.
    """
    both = then.members.rename(columns={"id": "from_cluster_id"}).merge(
        now.members.rename(columns={"id": "to_cluster_id"}), on="account_id", how="outer"
    )
    linked = lineage.dropna(subset=["cluster_id", "from_cluster_id"])
    here, there = both["to_cluster_id"], both["from_cluster_id"]
    other = here.notna() & there.notna() & (here != there)
    joined = there.isna() & here.isin(linked["cluster_id"])
    left = here.isna() & there.isin(linked["from_cluster_id"])
    moved = both[other | joined | left].sort_values("account_id", ignore_index=True)
    return Difference(then.run_id, now.run_id, lineage, moved[["account_id", "from_cluster_id", "to_cluster_id"]])
