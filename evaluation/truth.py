"""Who counts in an evaluation, and as what: labelled accounts, their true groups, the units that are resampled."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ringwatch.evaluation.metrics import BoolArray, IntArray

ObjectArray = npt.NDArray[np.object_]


@dataclass(frozen=True)
class Truth:
    """The labelled accounts that count against a run; row i is account i in every array.

    `accounts` and `group_id` (None for none) object[n], `positive` bool[n], whether abusive, `group` int64[n]: a code
    for each pair of group_id and label that there is, 0 … of abusive groups first, −1 without a group. `left_out` are
    the accounts that the run's own labels take out, `counts` says how many labelled accounts went where.
    """

    accounts: ObjectArray
    positive: BoolArray
    group_id: ObjectArray
    group: IntArray
    left_out: frozenset[str]
    counts: dict[str, int]

    @property
    def grouped(self) -> BoolArray:
        """Which accounts are abusive and in a true group."""
        return self.positive & (self.group >= 0)

    @property
    def groups(self) -> int:
        """How many abusive groups there are; their codes are below it."""
        return int(self.group[self.positive].max(initial=-1)) + 1

    @property
    def names(self) -> list[str]:
        """group_id of each abusive group, in the order of the codes."""
        code, at = np.unique(self.group[self.grouped], return_index=True)
        return [str(name) for name in self.group_id[self.grouped][at]] if len(code) else []

    @property
    def paired(self) -> BoolArray:
        """Which accounts are in pair figures: all but the abusive ones without a group, whose mates are unknown."""
        return ~self.positive | (self.group >= 0)

    @property
    def units(self) -> IntArray:
        """The unit that each account is drawn with in a bootstrap: its group, or itself; 0 … units−1."""
        unit = self.group.copy()
        alone = self.group < 0
        unit[alone] = int(self.group.max(initial=-1)) + 1 + np.arange(int(alone.sum()))
        return unit

    def with_benign(self, benign_groups: pd.DataFrame | None) -> Truth:
        """The same with the benign groups that are known from elsewhere (account_id, group_id), where the labels
        themselves name none."""
        if benign_groups is None:
            return self
        known = benign_groups.set_index("account_id")["group_id"].reindex(self.accounts)
        code = pd.factorize(known, sort=True)[0]
        more = ~self.positive & (self.group < 0) & (code >= 0)
        group, group_id = self.group.copy(), self.group_id.copy()
        group[more] = int(self.group.max(initial=-1)) + 1 + code[more]
        group_id[more] = known.to_numpy(dtype=object)[more]
        return replace(self, group=group, group_id=group_id)


def select(labels: pd.DataFrame, seen: Collection[str], used: Collection[str] = ()) -> Truth:
    """The labelled accounts that a run has seen, without those whose label it used and everybody in their groups.

    Args:
        labels: account_id, label, group_id; one row an account.
        seen: the accounts of the run. used: accounts whose label the run used.
    """
    is_used = labels["account_id"].isin(list(used))
    left = is_used | labels["group_id"].isin(labels.loc[is_used, "group_id"].dropna())
    known = labels["account_id"].isin(list(seen))
    kept = labels[~left & known]
    positive = (kept["label"] == "abusive").to_numpy(dtype=np.bool_)
    return Truth(
        kept["account_id"].to_numpy(dtype=object),
        positive,
        kept["group_id"].astype(object).where(kept["group_id"].notna(), None).to_numpy(dtype=object),
        _codes(kept["group_id"], positive),
        frozenset(labels.loc[left, "account_id"]),
        {
            "labelled": len(labels),
            "evaluated": len(kept),
            "abusive": int(positive.sum()),
            "benign": int((~positive).sum()),
            "left_out": int(left.sum()),
            "left_out_by_group": int((left & ~is_used).sum()),
            "unknown_accounts": int((~left & ~known).sum()),
        },
    )


def _codes(group_id: pd.Series[Any], positive: BoolArray) -> IntArray:
    code = pd.factorize(group_id, sort=True)[0].astype(np.int64)
    key = np.where(code >= 0, code + np.where(positive, 0, len(code)), -1)
    present, place = np.unique(key, return_inverse=True)
    return np.asarray(place - int(len(present) > 0 and present[0] < 0), dtype=np.int64)


@dataclass(frozen=True)
class Placed:
    """Where the accounts of a `Truth` are: `cluster` int64[accounts], the number of the cluster, −1 for none.

    By cluster, highest score first: `size` (members that count, labelled or not), `listed` (whether it counts among
    the first k), `names` (cluster_id).
    """

    cluster: IntArray
    size: IntArray
    listed: BoolArray
    names: ObjectArray


def place(truth: Truth, members: pd.DataFrame, cluster_id: pd.Series) -> Placed:
    """Where each account is among clusters (`cluster_id`, highest score first) that have `members` (cluster_id,
    account_id). Accounts that are left out leave their clusters; one that is half of them or more is not listed."""
    out = members["account_id"].isin(truth.left_out).to_numpy()
    number = pd.Series(np.arange(len(cluster_id)), index=cluster_id)
    of_member = number.reindex(members["cluster_id"]).to_numpy(dtype=np.int64)
    size = np.bincount(of_member[~out], minlength=len(cluster_id)).astype(np.int64)
    cluster_of = pd.Series(of_member[~out], index=members["account_id"].to_numpy()[~out])
    cluster = cluster_of.reindex(truth.accounts).fillna(-1).to_numpy(dtype=np.int64)
    listed = size > np.bincount(of_member[out], minlength=len(cluster_id))
    return Placed(cluster, size, listed, cluster_id.to_numpy(dtype=object))
