"""Names that last: ids of clusters and organizations over runs, and digests over what was found."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pandas as pd

from ringwatch.graphs.accounts import IntArray

OVERLAP = 0.5
"""Two groups of two runs are one and the same, or parts of each other, when they share more of the smaller one."""

CLUSTER, SYNDICATE = "c", "o"
"""What ids of clusters and of organizations begin with."""

Names = npt.NDArray[np.object_]


@dataclass(frozen=True)
class History:
    """What earlier runs found, for the run that goes on from them; clusters and organizations alike, told apart by
    the first letter of their ids.

    `members`: id, account_id, of the run before (`run_id`). `past`: id, account_id, run_id, those of earlier runs
    that the run before did not have, as they were when run `run_id` had them last.
    """

    run_id: str
    members: pd.DataFrame
    past: pd.DataFrame

    def of(self, letter: str) -> History:
        """Clusters only, or organizations only."""
        members, past = (frame[frame["id"].str.startswith(letter)] for frame in (self.members, self.past))
        return History(self.run_id, members, past)

    def remember(self, members: pd.DataFrame) -> pd.DataFrame:
        """The `past` of the run after one that found `members` (id, account_id)."""
        now = members["id"].unique()
        gone = self.members[~self.members["id"].isin(now)].assign(run_id=self.run_id)
        kept = self.past[~self.past["id"].isin(now)]
        both = pd.concat([kept, gone[["id", "account_id", "run_id"]]], ignore_index=True)
        return both.sort_values(["id", "account_id"], ignore_index=True)


NO_HISTORY = History(
    "",
    pd.DataFrame({name: pd.Series(dtype="str") for name in ("id", "account_id")}),
    pd.DataFrame({name: pd.Series(dtype="str") for name in ("id", "account_id", "run_id")}),
)


def overlaps(now: pd.DataFrame, then: pd.DataFrame) -> pd.DataFrame:
    """Pairs of groups that have more than half of the smaller one in common, those that share most first.

    Args:
        now, then: id and account_id, an account in at most one group of each.

    Returns:
        new, old (ids), shared, size (of the new one), before (of the old one).
    """
    both = now.rename(columns={"id": "new"}).merge(then.rename(columns={"id": "old"}), on="account_id")
    pairs = both.groupby(["new", "old"]).size().rename("shared").reset_index()
    pairs["size"] = pairs["new"].map(now.groupby("id").size()).astype(np.int64)
    pairs["before"] = pairs["old"].map(then.groupby("id").size()).astype(np.int64)
    pairs = pairs[pairs["shared"] > OVERLAP * pairs[["size", "before"]].min(axis=1)]
    union = pairs["size"] + pairs["before"] - pairs["shared"]
    order = np.lexsort((pairs["new"].astype(str), pairs["old"].astype(str), union, -pairs["shared"]))
    return pairs.iloc[order].reset_index(drop=True)


def name_groups(letter: str, group: IntArray, account_id: Names, count: int, history: History) -> Names:
    """Ids of groups: that of the earlier group that it goes on with, else one made of its members.

    Groups go on with those of the run before that they overlap with, the pair that shares most first, and each id is
    given once. What is left over is looked for among those of earlier runs: an id that had ended comes back.

    Args:
        group, account_id: group (from 0) and id of each member, sorted by group and then by id.
    """
    own = history.of(letter)
    ids = np.full(count, None, dtype=object)
    starts = np.searchsorted(group, np.arange(count + 1))
    # A group is called as its first member is until it has a name, so that no order of groups decides.
    first = pd.Series(np.arange(count), index=account_id[starts[:-1]])
    now = pd.DataFrame({"id": account_id[starts[:-1]][group], "account_id": account_id}).astype("str")
    for then in (own.members, own.past):
        unnamed = now[pd.isna(ids[group])]
        for pairs in _matched(overlaps(unnamed, then[["id", "account_id"]])):
            ids[first[pairs["new"]].to_numpy(dtype=np.int64)] = pairs["old"].to_numpy(dtype=object)
    used = {*own.members["id"], *own.past["id"]}
    people = account_id.tolist()
    for number, (start, stop) in enumerate(pairwise(starts.tolist())):
        content = "\n".join(people[start:stop])
        while ids[number] is None:
            made = letter + hashlib.sha256(content.encode()).hexdigest()[:10]
            if made not in used:
                used.add(made)
                ids[number] = made
            # A group that has outgrown its first members keeps the id that was made of them.
            content += "\n"
    return ids


def _matched(pairs: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Pairs that are each other's strongest, then the same among what is left."""
    while len(pairs):
        best = pairs[~pairs["new"].duplicated() & ~pairs["old"].duplicated()]
        yield best
        pairs = pairs[~pairs["new"].isin(best["new"]) & ~pairs["old"].isin(best["old"])]


def digest_clusters(cluster: IntArray, account_id: Names, evidence: pd.DataFrame, count: int) -> list[str]:
    """SHA-256 over account ids and evidence of each cluster; tokens have no part in it.

    Args:
        cluster, account_id: as for `name_groups`. evidence: cluster, layer, bits, text.
    """
    people, starts = account_id.tolist(), np.searchsorted(cluster, np.arange(count + 1)).tolist()
    said = evidence.sort_values(["cluster", "layer", "text"], kind="stable")
    lines = (said["layer"] + " " + said["text"]).tolist()
    ends = np.searchsorted(said["cluster"].to_numpy(dtype=np.int64), np.arange(count + 1)).tolist()
    return [
        hashlib.sha256("\n".join([*people[a:b], "", *lines[c:d]]).encode()).hexdigest()
        for (a, b), (c, d) in zip(pairwise(starts), pairwise(ends), strict=True)
    ]
