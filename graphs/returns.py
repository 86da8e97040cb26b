"""Operators who are back: clusters whose forerunner was taken down, or had ended.

What was taken down is still in the log, so an operator who returns shows in one of three ways. The old accounts and
the new ones are one cluster: then most of its earlier members are suspended, and others signed up after that. They
are two: then a new cluster is tied to one whose members are mostly suspended, by the evidence that ties the parts of
an organization. Or the old ones are in no cluster any more: then a new one is held against those that had ended.
A cluster that has mostly the members of one that had ended has its id back already (`graphs.naming`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import duckdb
import numpy as np
import pandas as pd

from ringwatch.graphs.accounts import AccountTable, FloatArray, IntArray
from ringwatch.graphs.clusters import MIN_SIZE, Found
from ringwatch.graphs.evidence import Model
from ringwatch.graphs.layers import Incidence, query_columns
from ringwatch.graphs.lineage import ENDED, NEW, statuses, with_returns
from ringwatch.graphs.naming import CLUSTER, History
from ringwatch.graphs.syndicates import unit_of
from ringwatch.graphs.ties import Ties, tie_layers, weigh_ties


def find_returns(
    con: duckdb.DuckDBPyConnection,
    found: Found,
    history: History,
    accounts: AccountTable,
    shared: Sequence[Incidence],
    ties: Ties,
    model: Model,
    bits: FloatArray,
    *,
    use_labels: bool,
) -> Found:
    """`found`, its lineage and statuses saying which clusters are the return of earlier ones.

    Args:
        con: with the tables of `collect_accounts`. shared: the layers. ties: of the clusters.
        use_labels: whether suspensions may be looked at; without, only what had ended can return.
    """
    own = history.of(CLUSTER)
    if own.members.empty and own.past.empty:
        return found
    groups = found.members[["cluster_id", "account_id"]].rename(columns={"cluster_id": "id"})
    unit = unit_of(found.clusters["cluster_id"], accounts, groups)
    down = _suspended(con, len(accounts)) if use_labels else np.full(len(accounts), np.nan)
    taken = _mostly(down, unit, len(found.clusters))
    fresh = found.clusters["cluster_id"].map(statuses(found.lineage)).to_numpy() == NEW
    returns = [
        _newcomers(found, own, accounts, unit, down),
        _tied(ties, found.clusters, fresh & ~taken, taken, np.bincount(unit[unit >= 0], minlength=len(taken))),
    ]
    ended = _ended(found, own, accounts, unit)
    if len(ended) and fresh.any():
        names = pd.Series([*found.clusters["cluster_id"], *ended["id"].unique()])
        both = unit_of(names, accounts, pd.concat([groups, ended], ignore_index=True))
        old = np.arange(len(names)) >= len(fresh)
        again = weigh_ties(tie_layers(shared, both), both, len(names), model, bits)
        frame = pd.DataFrame({"cluster_id": names})
        size = np.bincount(both[both >= 0], minlength=len(names))
        returns.append(_tied(again, frame, np.append(fresh, np.zeros(old.sum(), dtype=np.bool_)), old, size))
    lineage = with_returns(found.lineage, pd.concat(returns, ignore_index=True))
    status = found.clusters["cluster_id"].map(statuses(lineage)).astype(object)
    return replace(found, lineage=lineage, clusters=found.clusters.assign(status=status))


def _suspended(con: duckdb.DuckDBPyConnection, n: int) -> FloatArray:
    """When each account was suspended (µs; the sign-up where no time is known), NaN where it is not; float64[n]."""
    rows = query_columns(
        con,
        """SELECT i, coalesce(epoch_us(updated_at), epoch_us(created_at), 0)::DOUBLE AS at
           FROM accounts JOIN ix USING (account_id) WHERE status = 'suspended' ORDER BY i""",
    )
    out = np.full(n, np.nan)
    out[np.asarray(rows["i"], dtype=np.int64)] = np.asarray(rows["at"], dtype=np.float64)
    return out


def _mostly(down: FloatArray, unit: IntArray, units: int) -> np.ndarray:
    """Which units have more than half of their members suspended; bool[units]."""
    inside = unit >= 0
    size = np.bincount(unit[inside], minlength=units)
    return np.asarray(2 * np.bincount(unit[inside], ~np.isnan(down[inside]), minlength=units) > size)


def _newcomers(found: Found, own: History, accounts: AccountTable, unit: IntArray, down: FloatArray) -> pd.DataFrame:
    """Clusters that go on with one which was mostly suspended, and got members enough for a cluster after that."""
    goes_on = found.lineage[found.lineage["cluster_id"] == found.lineage["from_cluster_id"]]
    goes_on = goes_on[["cluster_id", "from_cluster_id", "before"]].reset_index(drop=True)
    place = pd.Index(found.clusters["cluster_id"]).get_indexer(goes_on["cluster_id"])
    earlier = pd.concat([own.past[["id", "account_id"]], own.members], ignore_index=True)  # the last one counts
    earlier = earlier[earlier["id"].isin(goes_on["from_cluster_id"])]
    before = unit_of(goes_on["from_cluster_id"], accounts, earlier)
    was = before >= 0
    mostly = _mostly(down, before, len(goes_on))
    when = pd.Series(down[was]).groupby(before[was]).median().reindex(range(len(goes_on))).to_numpy()
    after = np.full(len(found.clusters), np.inf)
    after[place[mostly]] = when[mostly]
    # Who joined: of this cluster now, not of its origin, not suspended, and signed up after the takedown.
    origin = np.full(len(found.clusters), -1)
    origin[place] = np.arange(len(goes_on))
    inside = np.flatnonzero(unit >= 0)
    joined = (before[inside] != origin[unit[inside]]) & np.isnan(down[inside])
    joined &= accounts.created[inside] > after[unit[inside]]
    count = np.bincount(unit[inside], joined, minlength=len(found.clusters))
    back: pd.DataFrame = goes_on[count[place] >= MIN_SIZE]
    return back


def _tied(ties: Ties, clusters: pd.DataFrame, fresh: np.ndarray, gone: np.ndarray, size: IntArray) -> pd.DataFrame:
    """New clusters with the strongest of those that are gone to which they are tied."""
    standing = ties.standing().sort_values("bits", ascending=False, kind="stable")
    both = pd.concat([standing, standing.rename(columns={"first": "second", "second": "first"})], ignore_index=True)
    first, second = both["first"].to_numpy(dtype=np.int64), both["second"].to_numpy(dtype=np.int64)
    at = both.index[fresh[first] & gone[second]]
    names = clusters["cluster_id"].to_numpy(dtype=object)
    rows = pd.DataFrame(
        {
            "cluster_id": names[first[at]], "from_cluster_id": names[second[at]], "before": size[second[at]],
            "bits": both["bits"].to_numpy()[at],
        }
    )  # fmt: skip
    rows = rows.sort_values(["bits", "from_cluster_id"], ascending=[False, True], kind="stable")
    return rows.drop_duplicates("cluster_id")[["cluster_id", "from_cluster_id", "before"]]


def _ended(found: Found, own: History, accounts: AccountTable, unit: IntArray) -> pd.DataFrame:
    """id, account_id: what is left of clusters that have ended, now or earlier: accounts that are in no cluster."""
    gone = found.lineage.loc[found.lineage["kind"] == ENDED, "from_cluster_id"]
    rows = pd.concat([own.members[own.members["id"].isin(gone)], own.past[["id", "account_id"]]], ignore_index=True)
    rows = rows[~rows["id"].isin(found.clusters["cluster_id"])]
    at = pd.Index(accounts.ids).get_indexer(pd.Index(rows["account_id"]))
    rows = rows[(at >= 0) & (unit[at] < 0)]
    # An account that was in several of them stands for the first.
    rows = rows.drop_duplicates("account_id")
    return rows[rows.groupby("id")["account_id"].transform("size") >= MIN_SIZE]
