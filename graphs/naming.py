"""Names that last: ids of clusters over runs, and digests over what was found."""

from __future__ import annotations

import hashlib
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pandas as pd

from ringwatch.graphs.accounts import IntArray

OVERLAP = 0.5
"""A cluster keeps the id of an earlier one when they share more than half of the members of both together."""

Names = npt.NDArray[np.object_]


def name_clusters(
    cluster: IntArray, account_id: Names, count: int, previous: pd.DataFrame | None
) -> tuple[Names, list[str]]:
    """Ids (from content, or from the cluster of the run before that has mostly the same members) and status.

    Args:
        cluster, account_id: cluster and id of each member, sorted by cluster and then by id.
        previous: cluster_id and account_id of the run before.
    """
    starts = np.searchsorted(cluster, np.arange(count + 1)).tolist()
    people = account_id.tolist()
    ids = np.empty(count, dtype=object)
    for number, (start, stop) in enumerate(pairwise(starts)):
        ids[number] = "c" + hashlib.sha256("\n".join(people[start:stop]).encode()).hexdigest()[:10]
    status = np.full(count, "new", dtype=object)
    if previous is None or previous.empty or count == 0:
        return ids, status.tolist()
    members = pd.DataFrame({"cluster": cluster, "account_id": account_id})
    both = members.merge(previous[["cluster_id", "account_id"]], on="account_id")
    shared = both.groupby(["cluster", "cluster_id"]).size().rename("shared").reset_index()
    then = previous.groupby("cluster_id").size()
    now = np.diff(starts)[shared["cluster"].to_numpy(dtype=np.int64)]
    union = now + then.reindex(shared["cluster_id"]).to_numpy() - shared["shared"].to_numpy()
    # More than half of the union can be shared with one cluster only, so no id is given twice.
    known = shared[shared["shared"].to_numpy() > OVERLAP * union]
    ids[known["cluster"].to_numpy(dtype=np.int64)] = known["cluster_id"].to_numpy(dtype=object)
    status[known["cluster"].to_numpy(dtype=np.int64)] = "known"
    return ids, status.tolist()


def digest_clusters(cluster: IntArray, account_id: Names, evidence: pd.DataFrame, count: int) -> list[str]:
    """SHA-256 over account ids and evidence of each cluster; tokens have no part in it.

    Args:
        cluster, account_id: as for `name_clusters`. evidence: cluster, layer, bits, text.
    """
    people, starts = account_id.tolist(), np.searchsorted(cluster, np.arange(count + 1)).tolist()
    said = evidence.sort_values(["cluster", "layer", "text"], kind="stable")
    lines = (said["layer"] + " " + said["text"]).tolist()
    ends = np.searchsorted(said["cluster"].to_numpy(dtype=np.int64), np.arange(count + 1)).tolist()
    return [
        hashlib.sha256("\n".join([*people[a:b], "", *lines[c:d]]).encode()).hexdigest()
        for (a, b), (c, d) in zip(pairwise(starts), pairwise(ends), strict=True)
    ]
